"""Rows of the language family."""

from __future__ import annotations

import numpy as np
import scipy.special
import scipy.stats
import sklearn.metrics as sk
from support.case import (
    Case,
    in_top_k,
    tokens,
    weighted,
    weights_like,
    with_losses,
    with_preds,
)

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


POSITIONS, EXPERTS, SEGMENTS = 6, 5, 3


def _nats(logits, labels):
    scores = scipy.special.log_softmax(logits, -1)
    return -np.take_along_axis(scores, labels[..., None], -1)[..., 0]


def _by_position(logits, labels, weights=None):
    kept = (labels != 0).astype(float)
    if weights is not None:
        kept = kept * weights_like(weights, kept)
    return (_nats(logits, labels) * kept).sum(0) / kept.sum(0)


def logits_alone(rng, rows):
    return dict(logits=tokens(rng, rows)["logits"])


def with_reference(rng, rows):
    drawn = logits_alone(rng, rows)["logits"]
    shift = rng.normal(0, 0.5, drawn.shape).round(1).astype(np.float32)
    return dict(logits=drawn, reference_logits=drawn + shift)


def _divergence(logits, reference_logits):
    p, q = (scipy.special.softmax(x, -1) for x in (logits, reference_logits))
    return scipy.special.rel_entr(p, q).sum(-1).mean()


def routed(rng, rows):
    return dict(experts=rng.binomial(EXPERTS - 1, 0.3, (rows, 4, 2)).astype(np.int32))


def _load(experts):
    return np.bincount(experts.ravel(), minlength=EXPERTS) / experts.size


def _gated_load(experts, weights):
    weights = weights_like(weights, experts).ravel()
    return np.bincount(experts.ravel(), weights, EXPERTS) / weights.sum()


def _overflow(experts, capacity):
    loads = np.array(
        [np.bincount(group.ravel(), minlength=EXPERTS) for group in experts]
    )
    return np.maximum(loads - capacity, 0).sum() / experts.size


def dropped(rng, rows):
    return dict(dropped=rng.random((rows, 4, 2)) < 0.5)


def router(rng, rows):
    logits = rng.normal(0, 2, (rows, 4, EXPERTS)).round(1)
    return dict(router_logits=logits.astype(np.float32))


def _router_entropy(router_logits, weights=None):
    p = scipy.special.softmax(router_logits, -1)
    entropy = scipy.stats.entropy(p, axis=-1) / np.log(EXPERTS)
    if weights is not None:
        weights = weights_like(weights, entropy)
    return np.average(entropy, weights=weights)


def _with_segments(draw):
    def outputs(rng, rows):
        ids = rng.integers(0, SEGMENTS + 1, (rows, 6)).astype(np.int32)
        return dict(draw(rng, rows), segment_ids=np.sort(ids, axis=-1)[:, ::-1].copy())

    return outputs


def values_by_token(rng, rows):
    return dict(values=rng.normal(2, 3, (rows, 6)).astype(np.float32))


def _by_sequence(reduce, values, segment_ids):
    """Return what `reduce` makes of each sequence, row by row."""
    pairs = [
        reduce(row[ids == i])
        for row, ids in zip(values, segment_ids)
        for i in set(ids) - {0}
    ]
    return np.mean(pairs)


def predicted_well(rng, rows):
    labels = rng.integers(0, 5, (rows, 6)).astype(np.int32)
    wrong = rng.random((rows, 6)) < 0.2
    return dict(preds=np.where(wrong, 4, labels), labels=labels)


def solved(rng, rows):
    rate = rng.random((rows, 1))
    return dict(correct=rng.random((rows, 7)) < rate)


def _pass_at(k):
    def reference(correct, weights=None):
        n, wrong = correct.shape[-1], (~correct).sum(-1)
        failed = [scipy.special.comb(w, k) / scipy.special.comb(n, k) for w in wrong]
        return np.average(1 - np.array(failed), weights=weights)

    return reference


CASES = (
    Case(
        "loss by position",
        jm.LossByPosition(POSITIONS, ignore_index=0),
        tokens,
        _by_position,
        tolerance=2e-6,
        reason="float32 losses of few rows at a position",
    ),
    Case(
        "loss by position weighted",
        jm.LossByPosition(POSITIONS, ignore_index=0, weighted=True),
        weighted(tokens),
        _by_position,
        tolerance=2e-6,
        reason="float32 losses of few rows at a position",
    ),
    Case(
        "loss by position from losses",
        jm.LossByPosition(POSITIONS, scores="losses"),
        with_losses(tokens),
        lambda losses, labels: losses.mean(0),
        reads={"logits": "losses"},
    ),
    Case(
        "bits per token",
        jm.BitsPerToken(),
        tokens,
        lambda logits, labels: _nats(logits, labels).mean() / np.log(2),
    ),
    Case(
        "predictive entropy",
        jm.PredictiveEntropy(),
        logits_alone,
        lambda logits: scipy.stats.entropy(
            scipy.special.softmax(logits, -1), axis=-1
        ).mean(),
    ),
    Case(
        "z-loss",
        jm.ZLoss(),
        logits_alone,
        lambda logits: (scipy.special.logsumexp(logits, -1) ** 2).mean(),
    ),
    Case("kl to a reference", jm.KLToReference(), with_reference, _divergence),
    Case("expert load", jm.ExpertLoad(EXPERTS), routed, _load, exact=True),
    Case(
        "expert load weighted",
        jm.ExpertLoad(EXPERTS, weighted=True),
        weighted(routed),
        _gated_load,
    ),
    Case(
        "expert balance",
        jm.ExpertBalance(EXPERTS),
        routed,
        lambda experts: scipy.stats.entropy(_load(experts)) / np.log(EXPERTS),
        exact=True,
    ),
    Case(
        "expert peak load",
        jm.ExpertPeakLoad(EXPERTS),
        routed,
        lambda experts: _load(experts).max() * EXPERTS,
        exact=True,
    ),
    Case(
        "capacity overflow",
        jm.CapacityOverflow(EXPERTS, capacity_factor=1.25),
        routed,
        lambda experts: _overflow(experts, 2),
        exact=True,
    ),
    Case(
        "dropped tokens",
        jm.DroppedTokens(),
        dropped,
        lambda dropped: dropped.all(-1).mean(),
        exact=True,
    ),
    Case("router entropy", jm.RouterEntropy(), router, _router_entropy),
    Case(
        "router entropy weighted",
        jm.RouterEntropy(weighted=True),
        weighted(router),
        _router_entropy,
    ),
    Case(
        "sequence mean",
        jm.SequenceMean(segments=SEGMENTS),
        _with_segments(values_by_token),
        lambda values, segment_ids: _by_sequence(np.mean, values, segment_ids),
    ),
    Case(
        "sequence exact match",
        jm.SequenceExactMatch(segments=SEGMENTS, scores="preds"),
        _with_segments(predicted_well),
        lambda preds, labels, segment_ids: _by_sequence(
            np.all, preds == labels, segment_ids
        ),
        exact=True,
        reads={"logits": "preds"},
    ),
    Case("pass at 3", jm.PassAtK(3), solved, _pass_at(3)),
    Case(
        "pass at 1 weighted", jm.PassAtK(weighted=True), weighted(solved), _pass_at(1)
    ),
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
