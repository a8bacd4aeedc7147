"""`freeze.py` needs the libraries that it freezes."""

collect_ignore = ["freeze.py"]
