"""Number of Python calls of an eager update: what a user waits for outside jit."""

import sys
from pathlib import Path

import numpy as np

import jaxmetrics as jm

PACKAGE = str(Path(jm.__file__).parent)
LIMIT = 110  # 90 when this was written


def calls_of(function):
    """Count the calls of Python functions of the package."""
    calls = []

    def profile(frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls.append(frame.f_code.co_qualname)

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def test_an_update_of_one_accuracy_makes_few_calls():
    logits = np.eye(3, dtype=np.float32)
    labels = np.arange(3, dtype=np.int32)
    metrics = jm.Collection(accuracy=jm.Accuracy())
    metrics.update(logits=logits, labels=labels)  # derives the layout
    calls = calls_of(lambda: metrics.update(logits=logits, labels=labels))
    assert len(calls) <= LIMIT, sorted(calls)
