"""DeadUnits by hand."""

import numpy as np
import pytest

import jaxmetrics as jm

ACTIVE = np.float32([[1, 0, -1, 0], [0, 0, -2, 3]])


def test_a_unit_that_was_active_once_in_all_batches_is_alive():
    metric = jm.DeadUnits(4)
    first, second = (metric.update(activations=x[None]) for x in ACTIVE)
    assert first.compute() == second.compute() == 0.75
    assert first.merge(second).compute() == 0.5


def test_the_threshold_itself_is_not_active():
    metric = jm.DeadUnits(4, threshold=1.0)
    assert jm.evaluate(metric, activations=ACTIVE) == 0.75
    assert jm.evaluate(metric, activations=np.abs(ACTIVE)) == 0.5


def test_masked_rows_and_nan_make_no_unit_active():
    activations = ACTIVE.copy()
    activations[0, 1] = np.nan
    state = jm.DeadUnits(4).update(activations=activations)
    assert state.compute() == 0.5 and state.plain()["invalid"] == 1
    state = jm.DeadUnits(4).update(
        activations=activations, mask=np.array([False, True])
    )
    assert state.compute() == 0.75 and state.plain()["invalid"] == 0


def test_a_unit_of_which_only_nan_was_seen_does_not_count():
    activations = np.float32([[np.nan, 1], [np.nan, 0]])
    assert jm.evaluate(jm.DeadUnits(2), activations=activations) == 0
    assert np.isnan(jm.evaluate(jm.DeadUnits(2), activations=activations * np.nan))


def test_another_number_of_units_is_refused():
    with pytest.raises(ValueError, match="Configure units=4"):
        jm.DeadUnits(3).update(activations=ACTIVE)
