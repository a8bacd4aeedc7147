"""Rows of the reinforcement family."""

from __future__ import annotations

import numpy as np
from support.case import Case, weighted

import jaxmetrics as jm


def log_probs(rng, rows):
    old = rng.normal(-2, 1, (rows, 6)).astype(np.float32)
    new = old + rng.normal(0, 0.2, old.shape).astype(np.float32)
    return dict(log_probs=new, other=old)


def _named(draw, name):
    def outputs(rng, rows):
        drawn = draw(rng, rows)
        return dict(log_probs=drawn["log_probs"], **{name: drawn["other"]})

    return outputs


def rewards(rng, rows):
    chosen, rejected = rng.normal([[1.0], [0.0]], 1, (2, rows)).round(1)
    return dict(chosen=chosen.astype(np.float32), rejected=rejected.astype(np.float32))


def _k3(log_probs, reference_log_probs):
    d = log_probs - reference_log_probs
    return (np.exp(-d) - 1 + d).mean()


def _win_rate(chosen, rejected, weights=None):
    wins = (chosen > rejected) + (chosen == rejected) / 2
    return np.average(wins, weights=weights)


REFERENCE = _named(log_probs, "reference_log_probs")

CASES = (
    Case("policy kl, k3", jm.PolicyKL(), REFERENCE, _k3),
    Case(
        "policy kl, k2",
        jm.PolicyKL("k2"),
        REFERENCE,
        lambda log_probs, reference_log_probs: (
            (log_probs - reference_log_probs) ** 2 / 2
        ).mean(),
    ),
    Case(
        "policy kl, k1",
        jm.PolicyKL("k1"),
        REFERENCE,
        lambda log_probs, reference_log_probs: (log_probs - reference_log_probs).mean(),
    ),
    Case(
        "clip fraction",
        jm.ClipFraction(),
        _named(log_probs, "old_log_probs"),
        lambda log_probs, old_log_probs: (
            np.abs(np.exp(log_probs - old_log_probs) - 1) > 0.2
        ).mean(),
        exact=True,
    ),
    Case(
        "reward margin",
        jm.RewardMargin(),
        rewards,
        lambda chosen, rejected: (chosen - rejected).mean(),
    ),
    Case(
        "reward margin weighted",
        jm.RewardMargin(weighted=True),
        weighted(rewards),
        lambda chosen, rejected, weights: np.average(
            chosen - rejected, weights=weights
        ),
    ),
    Case("win rate", jm.WinRate(), rewards, _win_rate, exact=True),
    Case("win rate weighted", jm.WinRate(weighted=True), weighted(rewards), _win_rate),
)
