"""Functions that are compiled again are recorded."""

import jax
import numpy as np

from jaxmetrics.telemetry import Alarms, CompileWatch


def test_a_recompilation_after_the_warm_up_is_reported_once():
    @jax.jit
    def train_step(x):
        return x * 2

    with CompileWatch("train_*") as watch:
        alarms = Alarms(compiles=watch, warmup=2)
        sizes = [3, 4, 4, 5, 5]
        reported = []
        for step, size in enumerate(sizes):
            train_step(np.ones(size, np.float32))
            reported += [(a.step, a.kind, a.key) for a in alarms.check(step, {})]
    assert reported == [(3, "recompile", "train_step")]
    train_step(np.ones(6, np.float32))
    assert watch.counts == {"train_step": 3}  # not 4: the watch is closed
