"""Batches are padded with masked copies of the last row."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.batches import assert_same, batch_of, collection, update, values_of

import jaxmetrics as jm
from jaxmetrics.loop.evaluation._padding import (
    deserialize_row,
    layout_of,
    serialize_row,
)


def test_padding_repeats_the_last_row_and_is_masked():
    x = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    batch = {"x": x, "n": {"m": np.array([7, 8, 9])}}
    padded = jm.pad_batch(batch, np.int8(4))
    assert padded["x"].tolist() == [[1, 2], [3, 4], [5, 6], [5, 6]]
    assert padded["n"]["m"].tolist() == [7, 8, 9, 9]
    assert padded["mask"].tolist() == [True, True, True, False]
    assert "mask" not in batch


def test_a_batch_of_a_multiple_of_rows_is_not_padded():
    padded = jm.pad_batch(batch_of(8), 4)
    assert len(padded["labels"]) == 8
    assert padded["mask"].all()


def test_a_mask_of_tokens_is_kept_and_extended():
    mask = np.array([[True, False], [True, True], [False, True]])
    padded = jm.pad_batch({"tokens": np.ones((3, 2)), "mask": mask}, 2)
    assert padded["mask"].tolist() == [*mask.tolist(), [False, False]]


def test_a_batch_without_rows_is_not_padded():
    assert len(jm.pad_batch(batch_of(0), 4)["mask"]) == 0


def test_jax_arrays_stay_on_the_device_and_may_be_traced():
    batch = {"x": jnp.arange(3.0)}
    assert isinstance(jm.pad_batch(batch, 2)["x"], jax.Array)
    padded = jax.jit(lambda b: jm.pad_batch(b, 2))(batch)
    assert padded["x"].tolist() == [0, 1, 2, 2]
    assert padded["mask"].tolist() == [True, True, True, False]


@pytest.mark.parametrize("rows", [1, 5, 8])
def test_padding_does_not_count(rows):
    batch = batch_of(rows)
    metrics = update(None, collection(), jm.pad_batch(batch, 8))
    assert_same(metrics.compute(), values_of([batch]))


@pytest.mark.parametrize(
    "batch, error, words",
    [
        ([1, 2], TypeError, "a batch of type list, expected a dict"),
        ({"x": np.ones(3), "y": np.ones(2)}, ValueError, r"\{'x': 3, 'y': 2\} rows"),
        ({}, ValueError, "got arrays of no rows"),
        ({"x": np.ones(3), "n": 3}, TypeError, r"'n' as int64\[\].*Leave it out"),
        ({"x": {"y": [1, 2]}}, TypeError, "'x/y/0'.*make arrays of lists"),
        ({"x": np.array(["a", "b"])}, TypeError, r"'x' as <U1\[2\]"),
        ({"x": np.ma.ones(2)}, TypeError, "'x', got a masked array of NumPy"),
        (
            {"x": jax.random.split(jax.random.key(0))},
            TypeError,
            "as key.*key_data",
        ),
        ({"x": np.ones(2), "mask": np.ones(2)}, TypeError, "mask of float64.*mask > 0"),
        ({"x": np.ones(2), "mask": {"a": np.ones(2)}}, TypeError, "mask of dict"),
    ],
)
def test_batches_other_than_arrays_of_rows_are_refused(batch, error, words):
    with pytest.raises(error, match=words):
        jm.pad_batch(batch, 2)


@pytest.mark.parametrize("multiple", [0, -1, 2.0, True])
def test_a_multiple_is_a_positive_int(multiple):
    with pytest.raises(ValueError, match=f"multiple={multiple!r}"):
        jm.pad_batch(batch_of(3), multiple)


def test_a_row_is_rebuilt_from_its_layout_and_bytes():
    batch = {
        "b": {"x": np.array([[1, 2], [3, 4]], np.int16)},
        "a": jnp.array([0.5, 0.25]),
        "scalar": np.array([[[True]], [[False]]]),
    }
    layout = layout_of("f()", batch)
    assert layout[0] == [["a"], "float32", []]
    assert layout[1] == [["b", "x"], "int16", [2]]
    row = deserialize_row(serialize_row(batch), layout)
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(a, b[:1], strict=True),
        row,
        jax.tree.map(np.asarray, batch),
    )


@pytest.mark.parametrize("other", [None, [np.ones(2)]])
def test_only_dicts_of_arrays_have_a_layout(other):
    with pytest.raises(TypeError, match=r"at \['x'\].*Use dicts, and leave out None"):
        layout_of("f()", {"x": other})
