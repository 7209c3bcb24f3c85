"""`streamlit run app.py` serves the pages of graphgrad."""

from graphgrad.app.start import main

main()
