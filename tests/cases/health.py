"""Rows of the health family."""

from __future__ import annotations

import numpy as np
import scipy.special
import scipy.stats
from support.case import Case

import jaxmetrics as jm

MICROBATCHES, MICROBATCH_SIZE = 4, 8
HEADS, KEYS, UNITS = 2, 5, 16


def norms(rng, rows):
    micro = rng.uniform(1, 2, (rows, MICROBATCHES)).astype(np.float32)
    return dict(micro_norms=micro, norm=rng.uniform(0.9, 1, rows).astype(np.float32))


def norms_of_updates(rng, rows):
    return dict(norms(rng, rows), updated=rng.random(rows) < 0.25)


def _noise_scale(micro_norms, norm, updated=True):
    """Solve E|g|^2 = |G|^2 + tr(Sigma) / B for the two batch sizes."""
    sizes = np.array([MICROBATCH_SIZE, MICROBATCH_SIZE * MICROBATCHES])
    complete = np.broadcast_to(updated, norm.shape)
    squares = [(micro_norms**2).mean(), (norm[complete] ** 2).mean()]
    signal, noise = np.linalg.solve(np.stack([np.ones(2), 1 / sizes], -1), squares)
    return noise / signal


def activations(rng, rows):
    values = rng.normal(-3, 1, (rows, 3, UNITS)) + np.linspace(-1, 3, UNITS)
    return dict(activations=np.maximum(values, 0).astype(np.float32))


def attention(rng, rows):
    logits = rng.normal(0, 2, (rows, HEADS, 3, KEYS)).round(1)
    return dict(logits=logits.astype(np.float32))


def attention_probs(rng, rows):
    probs = scipy.special.softmax(attention(rng, rows)["logits"], -1)
    return dict(probs=probs.astype(np.float32))


CASES = (
    Case(
        "gradient noise scale",
        jm.GradientNoiseScale(MICROBATCHES, MICROBATCH_SIZE),
        norms,
        _noise_scale,
        tolerance=1e-5,
        reason="a difference of means multiplies the rounding of the squares",
    ),
    Case(
        "gradient noise scale, some updated",
        jm.GradientNoiseScale(MICROBATCHES, MICROBATCH_SIZE),
        norms_of_updates,
        _noise_scale,
        tolerance=1e-5,
        reason="a difference of means multiplies the rounding of the squares",
    ),
    Case(
        "dead units",
        jm.DeadUnits(UNITS),
        activations,
        lambda activations: (activations.reshape(-1, UNITS).max(0) <= 0).mean(),
        exact=True,
    ),
    Case(
        "attention entropy",
        jm.AttentionEntropy(HEADS),
        attention,
        lambda logits: scipy.stats.entropy(
            scipy.special.softmax(logits, -1), axis=-1
        ).mean((0, 2)),
    ),
    Case(
        "attention entropy from probs",
        jm.AttentionEntropy(HEADS, scores="probs"),
        attention_probs,
        lambda probs: scipy.special.entr(probs).sum(-1).mean((0, 2)),
        reads={"logits": "probs"},
    ),
    Case(
        "attention maximum",
        jm.AttentionMaximum(HEADS),
        attention,
        lambda logits: logits.max((0, 2, 3)),
        exact=True,
    ),
    Case(
        "attention maximum from probs",
        jm.AttentionMaximum(HEADS, scores="probs"),
        attention_probs,
        lambda probs: probs.max((0, 2, 3)),
        exact=True,
        reads={"logits": "probs"},
    ),
)
