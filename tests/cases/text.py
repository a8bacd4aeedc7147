"""Rows of the text family."""

from __future__ import annotations

import numpy as np
import scipy.special
import sklearn.metrics as sk
from support.case import Case, in_top_k, tokens, weighted, weights_like, with_preds

import jaxmetrics as jm


def with_bytes(draw):
    """Return a draw function that adds the bytes that each label stands for."""

    def outputs(rng, rows):
        drawn = draw(rng, rows)
        sizes = rng.integers(0, 7, drawn["labels"].shape).astype(np.int32)
        return dict(drawn, bytes=sizes)

    return outputs


def _bits_per_byte(logits, labels, bytes, ignored=None, weights=None):
    scores = scipy.special.log_softmax(logits, -1)
    log_likelihood = np.take_along_axis(scores, labels[..., None], -1)[..., 0]
    kept = (labels != ignored).astype(float)
    if weights is not None:
        kept = kept * weights_like(weights, kept)
    return -(log_likelihood * kept).sum() / np.log(2) / (bytes * kept).sum()


def _accuracy(logits, labels, weights):
    hits = logits.argmax(-1) == labels
    return np.average(hits, weights=weights_like(weights, hits))


CASES = (
    Case(
        "token accuracy",
        jm.TokenAccuracy(),
        tokens,
        lambda logits, labels: sk.accuracy_score(
            labels.ravel(), logits.argmax(-1).ravel()
        ),
        exact=True,
    ),
    Case(
        "token accuracy, padding ignored",
        jm.TokenAccuracy(k=2, ignore_index=0),
        tokens,
        lambda logits, labels: in_top_k(logits, labels, 2)[labels != 0].mean(),
        exact=True,
    ),
    Case("bits per byte", jm.BitsPerByte(), with_bytes(tokens), _bits_per_byte),
    Case(
        "bits per byte, padding ignored",
        jm.BitsPerByte(ignore_index=0),
        with_bytes(tokens),
        lambda **outputs: _bits_per_byte(**outputs, ignored=0),
    ),
    Case(
        "token accuracy weighted",
        jm.TokenAccuracy(weighted=True),
        weighted(tokens),
        _accuracy,
    ),
    Case(
        "token accuracy from preds",
        jm.TokenAccuracy(scores="preds", ignore_index=0),
        with_preds(tokens),
        lambda preds, labels: (preds == labels)[labels != 0].mean(),
        exact=True,
        reads={"logits": "preds"},
    ),
    Case(
        "bits per byte weighted",
        jm.BitsPerByte(weighted=True),
        weighted(with_bytes(tokens)),
        _bits_per_byte,
    ),
)
