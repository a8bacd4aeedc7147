"""Run the command line with `python -m jaxmetrics`."""

import sys

from jaxmetrics.cli import main

if __name__ == "__main__":
    sys.exit(main())
