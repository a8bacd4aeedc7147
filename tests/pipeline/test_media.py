"""Media on their way to the writers: copies, references and secrets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmetrics.logger._device_bins import count
from jaxmetrics.pipeline._media import MediaRow, media_value


def media_row(kind):
    return MediaRow(kind, 5, "train", 0.0, lambda row, record: None)


def test_a_histogram_of_an_array_that_is_donated_afterwards_is_complete():
    step = jax.jit(lambda x: x + 1, donate_argnums=0)
    weights = jnp.arange(1000.0)
    row = media_row("histogram")
    row.values["train/w"] = media_value("histogram", "w", weights, count)
    step(weights)
    assert weights.is_deleted()
    (bins,) = row.record().values.values()
    assert (bins.minimum, bins.maximum, bins.counts.sum()) == (0, 999, 1000)
    assert row.faults == []


def test_an_image_that_is_donated_before_it_is_fetched_is_named_as_lost():
    image, kept = jnp.zeros((4, 4)), jnp.ones((4, 4))
    row = media_row("image")
    row.values["train/sample"] = media_value("image", "sample", image, count)
    row.values["train/kept"] = media_value("image", "kept", kept, count)
    image.delete()
    assert list(row.record().values) == ["train/kept"]
    (fault,) = row.faults
    assert "'train/sample' logged at step 5" in fault and "donates" in fault


def test_no_part_of_a_secret_is_left_where_a_text_is_cut():
    row = media_row("text")
    secret = "hf_" + "a" * 40
    text = "x" * (2**16 - 60) + f" {secret} " + "tail " * 50
    row.values["train/note"] = media_value("text", "note", text, count)
    (shown,) = row.record().values.values()
    assert len(shown) <= 2**16
    assert "hf_" not in shown and "aaa" not in shown
    assert shown.endswith("<cut: text of more than 65536 characters>")
    assert row.cuts == {"text of more than 65536 characters": ["train/note"]}


def test_a_text_of_the_maximum_length_is_not_cut():
    row = media_row("text")
    text = "x " * 2**15
    row.values["train/note"] = media_value("text", "note", text, count)
    assert row.record().values == {"train/note": text}


def test_an_array_that_no_writer_shows_is_not_counted():
    def refuse(array):
        raise AssertionError("counted")

    weights = jnp.arange(8.0)
    value = media_value("histogram", "w", weights, refuse, will_fetch=False)
    assert value is weights


@pytest.mark.parametrize("kind", ["image", "histogram"])
def test_a_traced_array_is_refused(kind):
    @jax.jit
    def step(x):
        media_value(kind, "sample", x, count)
        return x

    with pytest.raises(TypeError, match="'sample' within jit"):
        step(np.zeros((2, 2), np.float32))
