"""Rows of the audio family."""

from __future__ import annotations

import itertools

import numpy as np
from support.case import Case, weighted

import jaxmetrics as jm

TIME, SPEAKERS = 40, 3
REASON = "energies and logarithms of a signal are computed in float32"


def signals(rng, rows):
    targets = rng.normal(0.1, 1, (rows, TIME))
    preds = 0.8 * targets + rng.normal(0, 0.3, targets.shape)
    return dict(preds=preds.astype(np.float32), targets=targets.astype(np.float32))


def mixtures(rng, rows):
    targets = rng.normal(0.1, 1, (rows, SPEAKERS, TIME))
    preds = targets[:, [1, 2, 0]] + rng.normal(0, 0.5, targets.shape)
    return dict(preds=preds.astype(np.float32), targets=targets.astype(np.float32))


def _snr(preds, targets):
    noise = targets - preds
    return 10 * np.log10((targets**2).sum(-1) / (noise**2).sum(-1))


def _si_sdr(preds, targets):
    scale = (preds * targets).sum(-1) / (targets**2).sum(-1)
    return _snr(preds, scale[..., None] * targets)


def _centred(x):
    return x - x.mean(-1, keepdims=True)


def _best(preds, targets):
    orders = itertools.permutations(range(SPEAKERS))
    values = [_si_sdr(preds[:, list(order)], targets).mean(-1) for order in orders]
    return np.max(values, axis=0).mean()


CASES = (
    Case(
        "snr, weighted",
        jm.SNR(weighted=True),
        weighted(signals),
        lambda preds, targets, weights: np.average(
            _snr(preds, targets), weights=weights
        ),
        tolerance=3e-6,
        reason=REASON,
    ),
    Case(
        "si-sdr",
        jm.SISDR(),
        signals,
        lambda preds, targets: _si_sdr(preds, targets).mean(),
        tolerance=3e-6,
        reason=REASON,
    ),
    Case(
        "si-snr",
        jm.SISNR(),
        signals,
        lambda preds, targets: _si_sdr(_centred(preds), _centred(targets)).mean(),
        tolerance=3e-6,
        reason=REASON,
    ),
    Case(
        "permutation invariant",
        jm.PermutationInvariant(speakers=SPEAKERS),
        mixtures,
        _best,
        tolerance=3e-6,
        reason=REASON,
    ),
)
