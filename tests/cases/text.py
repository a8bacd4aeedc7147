"""Rows of text metrics."""

from __future__ import annotations

import numpy as np
import scipy.special
from support.case import Case, tokens

import jaxmetrics as jm


def with_bytes(draw):
    """The outputs of `draw` with the bytes that each label stands for."""

    def outputs(rng, rows):
        given = draw(rng, rows)
        size = rng.integers(0, 7, given["labels"].shape).astype(np.int32)
        return dict(given, bytes=size)

    return outputs


def _bits_per_byte(logits, labels, bytes, ignored=None):
    scores = scipy.special.log_softmax(logits, -1)
    mine = np.take_along_axis(scores, labels[..., None], -1)[..., 0]
    kept = labels != ignored
    return -mine[kept].sum() / np.log(2) / bytes[kept].sum()


CASES = (
    Case("bits per byte", jm.BitsPerByte(), with_bytes(tokens), _bits_per_byte),
    Case(
        "bits per byte, padding ignored",
        jm.BitsPerByte(ignore_index=0),
        with_bytes(tokens),
        lambda **given: _bits_per_byte(**given, ignored=0),
    ),
)
