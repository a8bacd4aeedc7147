"""Train a small language model, kill and resume it, and read its record back.

`python -m jaxmetrics.demo` trains on text that comes with Python. Read `_training.py`
first: it has the loop as a user of the package writes it; `_trainer.py` has the step.
"""

from jaxmetrics.demo._command import main
from jaxmetrics.demo._compare import stripped_rows

__all__ = ["main", "stripped_rows"]
