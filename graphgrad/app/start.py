"""The script that Streamlit runs: the list of pages."""

from __future__ import annotations

from importlib.resources import files

import streamlit as st

from graphgrad.app import explore
from graphgrad.drawing.style import variables


def main() -> None:
    """Show the page that the address asks for."""
    st.set_page_config(page_title="graphgrad", page_icon=_read("icon.svg"), layout="wide")
    st.logo(_read("logo.svg"), size="large")
    st.html(f"<style>:root {{ {variables()} }}\n{_read('style.css')}</style>")
    pages = [st.Page(explore.page, title="Explore", icon=":material/account_tree:", url_path="explore", default=True)]
    st.navigation(pages, position="top").run()


def _read(name: str) -> str:
    """A file of the package, sent inline: nothing is fetched from elsewhere."""
    return files("graphgrad.app").joinpath(name).read_text("utf-8")


if __name__ == "__main__":
    main()
