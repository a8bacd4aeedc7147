"""AUROC and AveragePrecision of any scale, and their options, beside scikit-learn."""

import functools
import math

import jax
import numpy as np
import pytest
import scipy.special
import sklearn.metrics as sk
from support.forms import mesh_of

import jaxmetrics as jm

ROWS, CLASSES = 240, 4
AREAS = {
    jm.AUROC: sk.roc_auc_score,
    jm.AveragePrecision: sk.average_precision_score,
}
pytestmark = pytest.mark.sampled(5)

every_area = pytest.mark.parametrize("metric", AREAS, ids=lambda m: m.__name__)
every_state = pytest.mark.parametrize("exact", [False, True], ids=["bins", "exact"])
with_and_without_weights = pytest.mark.parametrize("weighted", [False, True])


def configured(metric, exact, **more):
    """Return a metric that keeps rows or bins."""
    return metric(**(dict(exact=True, capacity=ROWS) if exact else {}), **more)


def drawn(seed=0, rounded=True):
    """Return logits with ties, labels of which class 3 is absent, weights and a mask.

    Weights are integers, whose sums are exact, and some are 0.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES - 1, ROWS).astype(np.int32)
    logits = rng.normal(size=(ROWS, CLASSES)) + np.eye(CLASSES)[labels]
    logits = logits.round(1) if rounded else logits
    weights = rng.integers(0, 5, ROWS).astype(np.float32)
    return logits.astype(np.float32), labels, weights, rng.random(ROWS) < 0.8


def updated(metric, outputs, weights, mask):
    """Return the state after three batches; invalid numbers are masked."""
    outputs = {name: x.copy() for name, x in outputs.items()}
    for x in outputs.values():
        x[~mask] = np.nan if x.dtype == np.float32 else -7
    more = dict(weights=weights) if metric.weighted else {}
    outputs = dict(outputs, mask=mask, **more)
    for rows in np.array_split(np.arange(ROWS), 3):
        metric = metric.update(**{name: x[rows] for name, x in outputs.items()})
    return metric


def agrees(state, expected, tolerance=1e-12):
    """Check the value, and that the bounds hold."""
    np.testing.assert_allclose(state.compute(), expected, rtol=0, atol=tolerance)
    low, high = state.bounds()
    expected = np.where(np.isnan(low), np.nan, expected)
    assert np.all((low - 1e-12 <= expected) | np.isnan(expected))
    assert np.all((expected <= high + 1e-12) | np.isnan(expected))


@every_area
@every_state
@with_and_without_weights
def test_binary_and_multilabel(metric, exact, weighted):
    logits, labels, weights, mask = drawn()
    weights = weights if weighted else np.ones_like(weights)
    sample = dict(sample_weight=weights[mask])
    area = functools.partial(AREAS[metric], **sample)
    is_one = (labels == 1).astype(np.int32)
    scores = logits[:, 1]
    state = configured(metric, exact, weighted=weighted)
    state = updated(state, dict(logits=scores, labels=is_one), weights, mask)
    agrees(state, area(is_one[mask], scores[mask]))
    several = np.stack([labels == 0, labels > 0, labels == 2], -1).astype(np.int32)
    for average in ("micro", "macro", "weighted", "none"):
        state = configured(
            metric,
            exact,
            task="multilabel",
            classes=3,
            average=average,
            weighted=weighted,
        )
        outputs = dict(logits=logits[:, :3].copy(), labels=several)
        name = None if average == "none" else average
        state = updated(state, outputs, weights, mask)
        agrees(state, area(several[mask], logits[mask, :3], average=name))


@every_area
@with_and_without_weights
def test_multiclass_with_an_absent_class(metric, weighted):
    logits, labels, weights, mask = drawn()
    weights = weights if weighted else np.ones_like(weights)
    others = [np.delete(logits.astype(float), c, -1) for c in range(CLASSES)]
    odds = [
        logits[:, c] - scipy.special.logsumexp(rest, -1)
        for c, rest in enumerate(others)
    ]
    odds = np.float32(np.stack(odds, -1)).round(4)  # those that are equal tie
    by_class = [
        AREAS[metric](labels[mask] == c, odds[mask, c], sample_weight=weights[mask])
        for c in range(CLASSES - 1)
    ]
    count = [weights[mask & (labels == c)].sum() for c in range(CLASSES - 1)]
    expected = {
        "none": [*by_class, np.nan],
        "macro": np.mean(by_class),
        "weighted": np.average(by_class, weights=count),
        "micro": AREAS[metric](
            np.eye(CLASSES)[labels[mask]].ravel(),
            odds[mask].ravel(),
            sample_weight=np.repeat(weights[mask], CLASSES),
        ),
    }
    for average, value in expected.items():
        state = configured(
            metric, True, classes=CLASSES, average=average, weighted=weighted
        )
        state = updated(state, dict(logits=logits, labels=labels), weights, mask)
        np.testing.assert_allclose(state.compute(), value, atol=2e-4)
        bins = metric(classes=CLASSES, average=average, weighted=weighted)
        bins = updated(bins, dict(logits=logits, labels=labels), weights, mask)
        np.testing.assert_allclose(bins.compute(), state.compute(), atol=3e-3)
        low, high = bins.bounds()
        exact = np.asarray(state.compute())
        assert np.all((low - 1e-12 <= exact) | np.isnan(exact))
        assert np.all((exact <= high + 1e-12) | np.isnan(exact))


@every_state
@pytest.mark.parametrize("limit", [0.05, 0.3, 0.77, 1.0])
def test_partial_area(exact, limit):
    logits, labels, weights, mask = drawn()
    is_one = (labels == 1).astype(np.int32)
    outputs = dict(logits=logits[:, 1], labels=is_one)
    state = configured(jm.AUROC, exact, max_fpr=limit, weighted=True)
    expected = sk.roc_auc_score(
        is_one[mask],
        outputs["logits"][mask],
        max_fpr=limit,
        sample_weight=weights[mask],
    )
    agrees(updated(state, outputs, weights, mask), expected)


@every_state
@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_each_pair_of_classes(exact, average):
    logits, labels, weights, mask = drawn(rounded=False)
    probs = scipy.special.softmax(logits[:, :3].astype(float), -1)
    outputs = dict(probs=probs.astype(np.float32), labels=labels)
    state = configured(
        jm.AUROC, exact, classes=3, scores="probs", multi_class="ovo", average=average
    )
    expected = sk.roc_auc_score(
        labels[mask], probs[mask], multi_class="ovo", average=average
    )
    state = updated(state, outputs, weights, mask)
    agrees(state, expected, 1e-12 if exact else 1e-3)


def test_a_pair_without_labels_of_one_class_is_left_out():
    logits, labels, weights, mask = drawn()
    state = configured(jm.AUROC, True, classes=CLASSES, multi_class="ovo")
    outputs = dict(logits=logits, labels=labels)
    of_three = configured(jm.AUROC, True, classes=3, multi_class="ovo")
    three = np.where(labels < 3, labels, 0)
    seen = updated(state, outputs, weights, mask)
    assert math.isfinite(seen.compute())
    ignored = configured(
        jm.AUROC, True, classes=CLASSES, multi_class="ovo", ignore_index=3
    )
    assert updated(ignored, outputs, weights, mask).compute() == seen.compute()
    assert math.isnan(
        of_three.update(logits=logits[:1, :3], labels=three[:1]).compute()
    )


DISTRIBUTIONS = {
    "normal": lambda rng, shift: rng.normal(size=shift.size) + shift,
    "gamma": lambda rng, shift: rng.gamma(2, 1, shift.size) * (1 + shift),
    "lognormal": lambda rng, shift: rng.lognormal(0, 1, shift.size) * (1 + shift),
    "t": lambda rng, shift: rng.standard_t(2, shift.size) + shift,
    "Cauchy": lambda rng, shift: rng.standard_cauchy(shift.size) + shift,
}


@every_area
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_scores_of_any_scale_and_offset(metric, name):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 20_000).astype(np.int32)
    scores = DISTRIBUTIONS[name](rng, 0.7 * labels)
    for scale, offset in ((1e-3, 0), (1, 0), (1, 100), (1e4, -5)):
        if name == "Cauchy" and offset:
            continue
        logits = (scale * (scores + offset)).astype(np.float32)
        state = metric().update(logits=logits, labels=labels)
        low, high = state.bounds()
        assert high - low < (0.05 if name in ("t", "Cauchy") else 0.01)
        agrees(state, AREAS[metric](labels, logits), 1e-3)
        assert state.diagnostics() == {}


def test_devices_and_batches_give_the_same_bits():
    logits, labels, _, _ = drawn(rounded=False)
    metric = jm.AUROC(classes=CLASSES, bins=64)
    outputs = dict(logits=logits * 1e5 + 3e6, labels=labels)
    whole = metric.update(**outputs)
    step = jax.jit(lambda state, outputs: state.update(**outputs))
    deferred = metric.deferred(mesh_of())
    one = metric
    for rows in np.split(np.argsort(logits[:, 0]), 6):
        batch = {name: x[rows] for name, x in outputs.items()}
        deferred, one = step(deferred, batch), step(one, batch)
        merged = one.merge(metric)
    expected = np.asarray(whole.histogram.cells).tobytes()
    for state in (one, merged, deferred.reduce()):
        assert np.asarray(state.histogram.cells).tobytes() == expected


@every_area
def test_scores_whose_order_is_unknown_have_no_estimate(metric):
    rng = np.random.default_rng(0)
    logits = np.float32(rng.uniform(1, 1.001, 100))
    logits[0] = 1e30
    state = metric().update(logits=logits, labels=rng.integers(0, 2, 100))
    low, high = state.bounds()
    assert low < 0.5 < high and math.isnan(state.compute())
    assert state.diagnostics()["bounds_width"] == pytest.approx(high - low)


@every_area
def test_equal_scores_are_ties_and_not_unknown(metric):
    labels = np.int32([0, 1, 1, 0, 1, 0])
    three = [1, 0, 0, -1, 0, 1]  # 0 is in a wide bin of one of the histograms
    two = [0.1, 0.9, 0.1, 0.9, 0.9, 0.1]
    for scores in ([0.3] * 6, two, three, [-math.inf, 0.7] * 3):
        state = metric().update(logits=np.float32(scores), labels=labels)
        expected = AREAS[metric](labels, np.nan_to_num(scores))
        agrees(state, expected)
        assert np.ptp(state.bounds()) < 1e-15


@every_area
def test_a_masked_class_ranks_last(metric):
    logits = np.float32([[2, 1, -np.inf], [0, 3, 1], [1, 0, 0.5], [0.5, 1, 2]])
    labels = np.int32([0, 1, 0, 2])
    state = metric(classes=3, average="none").update(logits=logits, labels=labels)
    assert state.plain()["histogram/invalid"] == 0
    assert state.compute().tolist() == [1, 1, 1]


@every_area
def test_infinite_scores_are_valid_and_nan_is_not(metric):
    scores = np.float32([-np.inf, 0, np.inf, np.nan, np.inf])
    state = metric().update(logits=scores, labels=np.int32([0, 1, 1, 1, 0]))
    assert state.plain()["histogram/invalid"] == 1
    agrees(state, AREAS[metric]([0, 1, 1, 0], [-9, 0, 9, 9]))


def test_more_rows_than_the_capacity_are_an_error():
    metric = jm.AUROC(exact=True, capacity=3)
    state = metric.update(logits=[1.0, 2.0, 3.0], labels=[0, 0, 1])
    assert state.compute() == 1
    with pytest.raises(ValueError, match="saw 4 rows"):
        state.update(logits=[1.0], labels=[0]).compute()


def test_the_task_follows_from_the_classes():
    assert jm.AUROC().histogram.task == "binary"
    assert jm.AUROC(classes=3).histogram.task == "multiclass"


def test_wide_bins_are_estimated_from_their_slopes():
    quantiles = scipy.special.ndtri((np.arange(5000) + 0.5) / 5000)
    logits = np.float32(np.concatenate([quantiles, quantiles + 1]))
    labels = np.repeat(np.int32([0, 1]), 5000)
    state = jm.AUROC(bins=64).update(logits=logits, labels=labels)
    exact = sk.roc_auc_score(labels, logits)
    agrees(state, exact, 1e-4)
    assert abs(np.mean(state.bounds()) - exact) > 5e-4  # half of each bin


@pytest.mark.parametrize("shape", [(4, 2), (3,)])
def test_weights_of_another_shape_are_refused(shape):
    outputs = dict(logits=np.ones(4), labels=np.array([0, 1, 0, 1]))
    with pytest.raises(ValueError, match=r"AUROC\(weighted=True\).*weights has shape"):
        jm.AUROC(weighted=True).update(**outputs, weights=np.ones(shape))
