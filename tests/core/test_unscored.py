"""Entries that could not be scored are named where a value is computed."""

import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(100, 10)).astype(np.float32)
LABELS = np.arange(100) % 10
ACCURACY = jm.Accuracy()
GROUPED = jm.ByGroup(ACCURACY, by="group", groups=("a", "b"))
BOTH = jm.Collection(accuracy=ACCURACY, top=jm.TopKAccuracy(k=3), loss=jm.Mean("x"))


def update(_, metrics, batch):
    return metrics.update(**batch)


def batch_of(labels):
    ones = np.ones(100, np.float32)
    return dict(logits=LOGITS, labels=labels, x=ones, group=np.arange(100) % 2)


def in_loop(metrics, **outputs):
    return jm.evaluate_loop(update, None, [outputs], metrics)


def by_hand(metrics, **outputs):
    return metrics.update(**outputs).compute()


def in_a_step(metrics, **outputs):
    return jax.jit(lambda m, b: m.update(**b))(metrics, outputs).compute()


WAYS = [jm.evaluate, in_loop, by_hand, in_a_step]


def of_here(caught):
    return [w for w in caught if "could not be scored" in str(w.message)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("metrics", [ACCURACY, BOTH], ids=["metric", "collection"])
def test_each_way_to_a_value_names_the_entries_left_out(way, metrics):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = way(metrics, **batch_of(LABELS + 1))
    (warning,) = of_here(caught)
    names = "10 of Accuracy" if metrics is ACCURACY else "10 of accuracy, 10 of top"
    assert f": {names}. " in str(warning.message)
    assert warning.filename == __file__
    kept = LABELS + 1 < 10
    expected = (LOGITS.argmax(-1) == LABELS + 1)[kept].mean()
    accuracy = value["accuracy"] if isinstance(value, dict) else value
    assert accuracy == pytest.approx(expected)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_said_of_valid_entries(way):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        way(BOTH, **batch_of(LABELS))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("labels", "groups"), [(1, 0), (0, 7), (1, 7)])
def test_a_wrapper_of_several_states_names_its_entries_once(way, labels, groups):
    group = np.where(np.arange(100) < groups, 5, np.arange(100) % 2)
    batch = batch_of(LABELS + labels) | {"group": group}
    with pytest.warns(UserWarning, match="of ByGroup") as caught:
        way(GROUPED, **batch)
    (warning,) = of_here(caught)
    count = (LABELS[groups:] + labels >= 10).sum() + groups
    assert f"{count} of ByGroup" in str(warning.message)
    assert warning.filename == __file__


@pytest.mark.parametrize(
    "metric",
    [
        jm.Bootstrap(jm.Accuracy(weighted=True), samples=20),
        jm.BestOf(ACCURACY),
        jm.MinMax(jm.Masked(ACCURACY)),
        jm.BestOf(jm.Masked(ACCURACY)),
    ],
    ids=repr,
)
def test_a_wrapper_counts_each_entry_once_and_for_good(metric):
    more = dict(ids=np.arange(100), valid=np.arange(100) >= 0)
    state = metric
    for number in (10, 20):
        state = state.update(**batch_of(LABELS + 1), **more)
        assert state.diagnostics() == {"invalid": number}


def test_a_line_that_repeats_an_evaluation_warns_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            jm.evaluate(ACCURACY, **batch_of(LABELS + 1))
    assert len(of_here(caught)) == 1


@pytest.mark.parametrize(
    ("metric", "labels", "cause"),
    [
        (
            ACCURACY,
            LABELS + 1,
            "Labels are 1 to 10, and the 10 classes are 0 to 9. Are",
        ),
        (jm.F1(classes=10), LABELS + 1, "Are your labels 1-based? Pass labels - 1."),
        (BOTH, LABELS + 1, "Are your labels 1-based?"),
        (ACCURACY, np.where(LABELS == 3, -100, LABELS), "ignore_index=-100"),
        (ACCURACY, LABELS * 2, "Labels are 0 to 18, and the 10 classes are 0 to 9."),
        (ACCURACY.on(labels="y"), LABELS + 1, "Are your labels 1-based?"),
        (ACCURACY, jnp.asarray(LABELS + 1), "Are your labels 1-based?"),
    ],
)
def test_the_labels_of_a_batch_tell_the_cause(metric, labels, cause):
    with pytest.warns(UserWarning, match=re.escape(cause)):
        jm.evaluate(metric, **batch_of(labels), y=labels)


def test_scores_that_are_nan_have_the_usual_cause():
    logits = np.where(np.arange(100)[:, None] < 3, np.nan, LOGITS)
    with pytest.warns(UserWarning, match="3 of Accuracy. A label .* a score is NaN"):
        jm.evaluate(ACCURACY, logits=logits, labels=LABELS)


@pytest.mark.parametrize("how", ["mask", "ignore_index"])
def test_labels_that_are_left_out_are_not_the_cause(how):
    labels = np.where(LABELS == 3, -100, LABELS)
    logits = np.where(np.arange(100)[:, None] < 3, np.nan, LOGITS)
    metric = jm.Accuracy(ignore_index=-100) if how == "ignore_index" else ACCURACY
    more = {"mask": labels >= 0} if how == "mask" else {}
    with pytest.warns(UserWarning, match="3 of Accuracy. A label"):
        jm.evaluate(metric, logits=logits, labels=labels, **more)


def test_values_within_jit_are_not_looked_at():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.jit(lambda b: jm.evaluate(ACCURACY, **b))(batch_of(LABELS + 1))


def test_entries_of_weight_0_are_left_out_and_not_counted():
    accuracy = jm.Accuracy(weighted=True)
    weights = (LABELS != 0).astype(np.float32)
    padded = np.where(LABELS == 0, -100, LABELS)
    state = accuracy.update(logits=LOGITS, labels=padded, weights=weights)
    assert state.diagnostics() == {}
    rows = dict(logits=LOGITS, labels=padded, weights=weights)
    assert accuracy.update(**rows, mask=True).diagnostics() == {}


class Above(jm.Metric):
    """Weight of the values above each of two limits, with invalid values of each."""

    weighted: bool = True
    above: jm.Array = jm.sum_leaf("2")
    invalid: jm.Array = jm.count_leaf("2")

    def observe(self, *, x, mask=None, weights=None):
        above = x[:, None] > np.float32([0, 1])
        return dict(
            above=jm.count_where(above, mask, weights, keep=1),
            invalid=jm.count_where(
                jnp.isnan(x)[:, None] & (above | True), mask, keep=1
            ),
        )

    def compute(self):
        return self.above


def test_bad_weights_are_not_counted_in_a_leaf_of_several_numbers():
    state = Above().update(x=np.float32([2, np.nan, 3]), weights=np.float32([1, 1, -1]))
    assert state.diagnostics() == {"invalid": 2}
    assert np.isnan(jax.device_get(state).compute()).all()


def test_values_without_labels_have_a_cause_without_labels():
    with pytest.warns(UserWarning, match="1 of GeometricMean. A value is NaN or"):
        jm.evaluate(jm.GeometricMean("x"), x=[-1.0, 2.0])
