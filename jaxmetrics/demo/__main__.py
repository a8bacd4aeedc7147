"""`python -m jaxmetrics.demo`."""

import sys

from jaxmetrics.demo import main

if __name__ == "__main__":
    sys.exit(main())
