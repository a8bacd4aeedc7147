"""Token ids of any integer type, on which every metric of text agrees."""

import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm

PREDS = np.int32([[1, 2, 3, 0], [4, 5, 6, 0], [1, 1, 2, 7]])
REFERENCES = np.int32([[1, 2, 0, 0], [4, 6, 5, 0], [1, 2, 7, 3]])
LARGEST = 2**32 - 1
METRICS = [
    jm.WordErrorRate(),
    jm.BLEU(n=2),
    jm.chrF(n=2),
    jm.ROUGE("2"),
    jm.ROUGE("L"),
    jm.SQuAD(),
]

every_metric = pytest.mark.parametrize("metric", METRICS, ids=repr)


def ignoring(metric, index):
    configuration = {name: getattr(metric, name) for name in metric._configuration}
    return type(metric)(**configuration | dict(ignore_index=index))


def value(metric, preds, references):
    return jm.evaluate(metric, preds=preds, references=references)


@every_metric
def test_the_largest_ids_of_32_bits_are_ids(metric):
    """A tokenizer may pad with the largest uint32, which as int32 is -1."""
    right = value(ignoring(metric, 0), PREDS, REFERENCES)
    mirrored = [jnp.uint32(LARGEST) - x.astype(np.uint32) for x in (PREDS, REFERENCES)]
    assert value(ignoring(metric, LARGEST), *mirrored) == right
    assert value(ignoring(metric, -1), *mirrored) == value(metric, PREDS, REFERENCES)


@every_metric
def test_padding_on_the_left_and_a_start_token_are_skipped(metric):
    right = value(ignoring(metric, 0), PREDS, REFERENCES)
    moved = [np.stack([np.r_[row[row == 0], row[row > 0]] for row in PREDS])]
    started = np.pad(REFERENCES, ((0, 0), (2, 1)), constant_values=(8, 0))
    moved += [started]
    assert value(ignoring(metric, (0, 8)), *moved) == right
    nothing = [np.zeros_like(x) for x in moved]
    empty = np.zeros((3, 0), np.int32)
    wanted = value(metric, empty, empty)
    np.testing.assert_equal(value(ignoring(metric, 0), *nothing), wanted)
