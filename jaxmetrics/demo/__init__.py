"""A small language model that is killed in training, resumes, and is read back.

`python -m jaxmetrics.demo` trains on text that comes with Python. The file to read
first is `_training.py`: the step and the loop, as a user of the package writes them.
"""

from jaxmetrics.demo._command import main
from jaxmetrics.demo._compare import stripped_rows

__all__ = ["main", "stripped_rows"]
