"""`python -m jaxmetrics.demo`."""

import sys

from jaxmetrics.demo._command import main

if __name__ == "__main__":
    sys.exit(main())
