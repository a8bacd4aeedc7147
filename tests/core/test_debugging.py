"""Metrics under the modes of jax that help to debug: no jit, and a check for NaN."""

import jax
import numpy as np
import pytest
from cases import CASES
from support.laws import draw, expected

import jaxmetrics as jm

pytestmark = pytest.mark.sampled(61)

MODES = {
    "disable_jit": jax.disable_jit,
    "debug_nans": lambda: jax.debug_nans(True),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_batch_has_its_value_in_a_mode_for_debugging(case, mode):
    outputs = draw(case)
    with MODES[mode]():
        state = case.metric.update(**outputs).merge(case.metric)
        value = state.compute()
    np.testing.assert_allclose(
        np.asarray(value, np.float64),
        np.asarray(expected(case, outputs), np.float64),
        rtol=case.tolerance,
        atol=case.tolerance,
    )


def test_without_jit_a_metric_of_ones_own_can_be_stepped_through():
    seen = []

    class Largest(jm.Metric):
        value: jax.Array = jm.max_leaf()

        def observe(self, *, loss, mask=None):
            seen.append(loss)
            return {"value": jm.maximum(loss, mask)}

        def compute(self):
            return self.value

    with jax.disable_jit():
        state = Largest().update(loss=np.float32([1, 3, 2]))
        assert state.merge(Largest()).compute() == 3
    assert [np.asarray(x).tolist() for x in seen] == [[1, 3, 2]]
