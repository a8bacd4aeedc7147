"""Size and class shares of a batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmetrics.telemetry import batch_statistics


def test_class_shares_are_fractions_of_the_labels_that_are_not_masked():
    labels = jnp.array([0, 2, 2, -100, 1, 1])
    mask = jnp.array([True, True, True, True, False, False])
    values = jax.jit(batch_statistics, static_argnums=1)(labels, 3, mask)
    assert {key: float(x) for key, x in values.items()} == {
        "batch/size": 4,
        "batch/share/0": 0.25,
        "batch/share/1": 0,
        "batch/share/2": 0.5,
    }
    assert np.isnan(batch_statistics(labels[:0], 1)["batch/share/0"])
    with pytest.raises(TypeError, match="labels of float32"):
        batch_statistics(jnp.ones(3), 2)
    with pytest.raises(ValueError, match="'labels' has integers beyond 32 bits"):
        batch_statistics(np.array([2**32, 1]), 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16])
def test_classes_beyond_a_narrow_type_are_counted_for_no_label(dtype):
    labels = np.array([0, 44, 100], dtype)
    values = jax.jit(lambda labels: batch_statistics(labels, classes=301))(labels)
    counted = {key for key, value in values.items() if float(value)}
    expected = {"batch/size", *(f"batch/share/{label}" for label in labels)}
    assert counted == expected
