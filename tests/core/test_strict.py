"""Metrics trace under 64-bit types and strict promotion, and compute no float64."""

import re

import jax
import numpy as np
import pytest
from cases import CASES
from support.laws import draw, expected


def traced(case):
    """Trace and run a step with 64-bit types and strict promotion on."""
    outputs = draw(case)

    def step(metric, outputs):
        metric = metric.update(**outputs).merge(metric)
        return metric, metric.compute()

    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        text = str(jax.make_jaxpr(step)(case.metric, outputs))
        update = jax.jit(lambda m, o: m.update(**o))
        return text, update(case.metric, outputs).compute()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_float64_under_x64_and_nothing_promotes(case):
    text, value = traced(case)
    # Python numbers are weak scalars of 64 bits until they meet an array.
    wide = [line for line in text.splitlines() if re.search(r"\bf64\[\d", line)]
    assert not wide, f"{case.name}: {wide[:3]}"
    np.testing.assert_allclose(
        np.asarray(value, np.float64),
        np.asarray(expected(case, draw(case)), np.float64),
        rtol=case.tolerance,
        atol=case.tolerance,
    )
