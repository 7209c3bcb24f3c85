"""The pages in the browser: `start.py` serves them, one module for each page."""
