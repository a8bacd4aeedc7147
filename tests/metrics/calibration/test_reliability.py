"""ReliabilityCurve: bins by hand, beside scikit-learn, and its chart."""

import jax
import numpy as np
import pytest
from sklearn.calibration import calibration_curve

import jaxmetrics as jm
from jaxmetrics.figures import Curves

NAN = float("nan")


def of(bins, **options):
    return jm.ReliabilityCurve(bins, task="binary", scores="probs", **options)


def updated(metric, probs, labels):
    return metric.update(probs=np.float32(probs), labels=np.int32(labels))


def test_bins_by_hand():
    curve = updated(of(4), [0.1, 0.2, 0.5, 1.0, 0.75], [0, 1, 0, 1, 1]).compute()
    expected = [[0.15, NAN, 0.5, 0.875], [0.5, NAN, 0, 1], [2, 0, 1, 2]]
    np.testing.assert_allclose(curve, expected, rtol=1e-6)


def test_it_is_scikit_learns_without_empty_bins():
    rng = np.random.default_rng(0)
    probs = rng.uniform(0, 0.8, 200).astype(np.float32)  # the last bin is empty
    labels = (rng.random(200) < probs).astype(np.int32)
    confidence, accuracy, count = updated(of(7), probs, labels).compute()
    right = calibration_curve(labels, probs, n_bins=7, strategy="uniform")
    np.testing.assert_allclose(accuracy[count > 0], right[0], rtol=1e-6)
    np.testing.assert_allclose(confidence[count > 0], right[1], rtol=1e-6)
    assert count[-1] == 0 and count.sum() == 200


def test_the_calibration_error_follows_from_it_and_shares_its_counts():
    error = jm.ExpectedCalibrationError(5, task="binary", scores="probs")
    both = jm.Collection(curve=of(5), error=error)
    assert len(jax.tree.leaves(both)) == len(jax.tree.leaves(error))
    values = updated(both, [0.1, 0.15, 0.5, 0.9], [0, 1, 0, 1]).compute()
    confidence, accuracy, count = values["curve"]
    gaps = np.nan_to_num(count * np.abs(confidence - accuracy))
    assert values["error"] == pytest.approx(gaps.sum() / count.sum(), rel=1e-12)


def test_counts_beyond_float32_are_exact():
    counts = of(1).counts.replace(count=[2**24 + 1], hits=[2**24 + 1])
    _, accuracy, count = of(1).with_fields(counts=counts).compute()
    assert accuracy == [1] and count == [2**24 + 1]


def test_the_chart_is_accuracy_over_confidence_of_bins_with_data():
    (chart,) = updated(of(4), [0.1, 0.9], [0, 1]).charts("calibration").values()
    assert isinstance(chart, Curves) and chart.diagonal
    x, y = chart.lines["calibration"]
    np.testing.assert_allclose(x, [0.1, 0.9], rtol=1e-6)
    assert y.tolist() == [0, 1]
    assert (chart.x_label, chart.y_label) == ("confidence", "accuracy")


def test_it_can_be_drawn_with_and_without_data():
    for state in (of(4), updated(of(4), [0.1, 0.9], [0, 1])):
        (axes,) = state.plot().axes
        assert axes.get_title(loc="left") or axes.get_title() or axes.texts


def test_without_data_only_the_counts_are_zero():
    confidence, accuracy, count = of(3).compute()
    assert np.isnan(confidence).all() and np.isnan(accuracy).all()
    assert count.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (dict(bins=0), "ReliabilityCurve: bins is 0, but must be at least 1"),
        (dict(task="multilabel"), "task is 'multilabel', but must be one of"),
    ],
)
def test_an_impossible_configuration_is_refused(options, match):
    with pytest.raises(ValueError, match=match):
        jm.ReliabilityCurve(**options)
