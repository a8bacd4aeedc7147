"""Batches come from Python's own text, and depend on seed and step alone."""

import numpy as np
import pytest

from jaxmetrics.demo._text import DATASETS, Text


@pytest.fixture(scope="module")
def text():
    return Text(length=64)


def test_a_batch_depends_on_seed_and_step_alone(text):
    first = text.batch(seed=0, step=5, size=8)["tokens"]
    text.batch(seed=0, step=6, size=8)
    np.testing.assert_array_equal(first, text.batch(0, 5, 8)["tokens"])
    assert not np.array_equal(first, text.batch(0, 6, 8)["tokens"])
    assert not np.array_equal(first, text.batch(1, 5, 8)["tokens"])


def test_a_batch_is_half_of_each_dataset(text):
    batch = text.batch(seed=0, step=0, size=8)
    assert batch["tokens"].shape == (8, 65) and batch["tokens"].dtype == np.int32
    assert batch["code"].tolist() == [True, False] * 4
    assert (batch["code"] ^ batch["prose"]).all()


def test_held_out_sequences_are_not_in_the_training_set(text):
    held_out = text.held_out(count=32, size=16)
    assert [len(batch["tokens"]) for batch in held_out] == [16] * 4
    for dataset in DATASETS:
        training = {row.tobytes() for row in text._train[dataset]}
        rows = np.concatenate([b["tokens"][b[dataset]] for b in held_out])
        seen = [row.astype(np.uint8).tobytes() in training for row in rows]
        assert np.mean(seen) < 0.1  # a line of dashes may occur twice


def test_the_datasets_contain_prose_and_code(text):
    prose = text._train["prose"].tobytes()
    assert b"Beautiful is better than ugly" in Text(4096)._train["prose"].tobytes()
    assert prose.count(b"import ") < text._train["code"].tobytes().count(b"import ")


def test_a_python_without_sources_is_an_error(tmp_path):
    (tmp_path / "one.py").write_text("x = 1\n")
    with pytest.raises(RuntimeError, match="found 0 sequences of code in .* sources"):
        Text(length=64, folder=tmp_path)
