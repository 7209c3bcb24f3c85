"""How Streamlit is run: for this machine alone, without statistics, with sentences where others show traces.

`.streamlit/config.toml` says the same for `streamlit run app.py` in a checkout.
"""

from __future__ import annotations

SETTINGS: dict[str, str | int | bool] = {
    "server.address": "127.0.0.1",
    "server.maxUploadSize": 5,
    "server.maxMessageSize": 50,
    "server.fileWatcherType": "none",
    "server.showEmailPrompt": False,
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "theme.light.primaryColor": "#00695C",
    "theme.dark.primaryColor": "#4DB6AC",
    "theme.dark.backgroundColor": "#11161C",
    "theme.dark.secondaryBackgroundColor": "#1A2028",
}


def flags() -> list[str]:
    """The settings as options of `streamlit run`."""
    return [f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in SETTINGS.items()]
