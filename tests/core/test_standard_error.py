"""Laws of `stderr=True`, of each metric of the rows that has the option."""

import re

import cases
import jax
import numpy as np
import pytest
from support.laws import assert_value, draw, host, take

import jaxmetrics as jm

ROWS, DROPPED = 12, 4
REFUSED = "needs per_image=True|needs average=|of a mean, got reduction"
NOT_WEIGHTED = "stderr=True needs weighted=False"


def with_errors(case):
    """Return the row's metric without and with errors, and with weights as well.

    The last is None of a fraction of counts, whose sums of weights have no error.
    """
    metric = case.metric
    if "stderr" not in getattr(metric, "_configuration", ()):
        return None
    fields = {name: getattr(metric, name) for name in metric._configuration}

    def made(stderr, weighted):
        return type(metric)(**fields | dict(stderr=stderr, weighted=weighted))

    try:
        errors = made(True, False)
    except ValueError as error:
        assert re.search(REFUSED, str(error)), error
        return None
    try:
        weighted = made(True, True)
    except ValueError as error:
        assert re.search(NOT_WEIGHTED, str(error)), error
        weighted = None
    return made(False, False), errors, weighted


ROWS_WITH_ERRORS = {
    case.name: (case, *three)
    for case in cases.sample(9)
    if (three := with_errors(case))
}


@jax.jit
def states(outputs, weights):
    """Return the states of all rows, of rows with weights, and of the rows kept."""
    found = {}
    for name, (_, plain, errors, weighted) in ROWS_WITH_ERRORS.items():
        rows = {n: x for n, x in outputs[name].items() if n != "weights"}
        kept = take(rows, slice(DROPPED, None))
        found[name] = (
            plain.from_model_output(**kept),
            errors.from_model_output(**kept),
            weighted and weighted.from_model_output(**rows, weights=weights),
        )
    return found


def parts(value):
    """Return each number of a value; one with an error as a dict of both."""
    if not isinstance(value, dict) or "mean" in value:
        return [value]
    names = [name for name in value if not name.endswith("_stderr")]
    if len(names) == len(value):
        return list(value.values())
    return [dict(mean=value[n], stderr=value[f"{n}_stderr"]) for n in names]


def test_the_mean_is_the_value_and_only_the_ratio_of_weights_counts():
    outputs = {n: draw(case, ROWS) for n, (case, *_) in ROWS_WITH_ERRORS.items()}
    weights = np.where(np.arange(ROWS) < DROPPED, 0, np.float32(0.3))
    for name, made in host(states(outputs, weights)).items():
        case = ROWS_WITH_ERRORS[name][0]
        value, errors, weighted = (state and parts(state.compute()) for state in made)
        for x, mean, of_weights in zip(value, errors, weighted or errors, strict=True):
            assert_value(case, mean["mean"], x, 1e-5)
            assert_value(case, of_weights["mean"], x, 1e-5)
            assert_value(case, of_weights["stderr"], mean["stderr"], 1e-4)


@pytest.mark.parametrize(
    ("metric", "outputs"),
    [
        (jm.Mean, dict(values=np.float32([1, 2, 9]))),
        (jm.RewardMargin, dict(chosen=np.float32([1, 2, 9]), rejected=np.zeros(3))),
        (jm.MeanBiasError, dict(preds=np.float32([1, 2, 9]), targets=np.zeros(3))),
        (jm.SequenceMean, dict(values=np.float32([[1], [2], [9]]))),
    ],
)
def test_the_error_is_that_of_the_values(metric, outputs):
    value = jm.evaluate(metric(stderr=True), **outputs)
    assert value["mean"] == 4
    assert value["stderr"] == pytest.approx(np.std([1, 2, 9], ddof=1) / np.sqrt(3))


LOGITS = np.random.default_rng(0).normal(size=(9, 2, 3)).astype(np.float32)
LABELS = np.int32([[0, 1]] * 9)
REWARDS = dict(chosen=np.float32([3, 2, 1] * 3), rejected=np.full(9, 2, np.float32))
SOME = np.where(np.arange(9)[:, None] % 3 == 0, LABELS, LOGITS.argmax(-1))
TEXT = dict(preds=SOME.astype(np.int32), references=LABELS)
FRACTIONS = [  # whose rows are one value each
    (jm.Accuracy(), dict(logits=LOGITS[:, 0], labels=LABELS[:, 1])),
    (jm.TopKAccuracy(k=2), dict(logits=LOGITS[:, 0], labels=LABELS[:, 1])),
    (jm.ExactMatch(task="multiclass"), dict(logits=LOGITS, labels=TEXT["preds"])),
    (jm.TokenAccuracy(), dict(logits=LOGITS[:, :1], labels=LABELS[:, 1:])),
    (jm.SequenceExactMatch(), dict(logits=LOGITS, labels=TEXT["preds"])),
    (jm.DroppedTokens(), dict(dropped=LOGITS[..., 0] < 0)),
    (jm.WinRate(), REWARDS),
    (jm.ClickThroughRate(), dict(clicks=LABELS[:, 0] + (LOGITS[:, 0, 0] > 0))),
    (
        jm.ClipFraction(),
        dict(log_probs=LOGITS[:, 0, 0], old_log_probs=0 * LOGITS[:, 0, 0]),
    ),
    (
        jm.IntervalCoverage(),
        dict(
            lower=LOGITS.min(-1)[:, 0],
            upper=LOGITS.max(-1)[:, 0],
            targets=LOGITS[:, 1, 0],
        ),
    ),
    (jm.SQuAD(), TEXT),
]


def configured(metric, **changes):
    fields = {name: getattr(metric, name) for name in metric._configuration}
    return type(metric)(**fields | changes)


@pytest.mark.parametrize(("metric", "outputs"), FRACTIONS)
def test_the_error_of_a_fraction_is_that_of_its_zeros_and_ones(metric, outputs):
    rows = [take(outputs, slice(i, i + 1)) for i in range(9)]
    by_row = np.array([parts(jm.evaluate(metric, **row)) for row in rows])
    assert (by_row.std(0) > 0).any(), "all rows are alike"
    value = jm.evaluate(configured(metric, stderr=True), **outputs)
    for numbers, found in zip(by_row.T, parts(value), strict=True):
        assert found["mean"] == pytest.approx(numbers.mean(), rel=1e-6)
        error = numbers.std(ddof=1) / 3
        assert found["stderr"] == pytest.approx(error, rel=1e-6, abs=1e-9)
    alone = jm.evaluate(configured(metric, stderr=True), **rows[0])
    assert all(np.isnan(x["stderr"]) for x in parts(alone))


def test_fractions_by_class_have_an_error_each_and_their_mean_has_none():
    metric = jm.Accuracy(average="none", classes=2, scores="preds", stderr=True)
    labels = np.int32([0, 0, 0, 1, 1])
    value = jm.evaluate(metric, preds=np.int32([0, 0, 1, 1, 1]), labels=labels)
    np.testing.assert_allclose(value["mean"], [2 / 3, 1])
    np.testing.assert_allclose(value["stderr"], [1 / 3, 0])
    with pytest.raises(ValueError, match="average='micro' or 'none', got 'macro'"):
        jm.Accuracy(average="macro", classes=2, stderr=True)


@pytest.mark.parametrize("metric", [metric for metric, _ in FRACTIONS[:-1]])
def test_a_fraction_of_weights_has_no_error(metric):
    with pytest.raises(ValueError, match=NOT_WEIGHTED):
        configured(metric, stderr=True, weighted=True)
