"""Ensemble forecasts: by hand, ties, members, a large mean."""

import math

import numpy as np
import pytest

import jaxmetrics as jm

NAN, INF = math.nan, math.inf
SCORES = (jm.CRPS, jm.SpreadSkill, lambda: jm.RankHistogram(2))
OUTPUTS = dict(preds=[[1.0, 3.0], [0.0, 4.0]], targets=[2.0, 5.0])


def test_crps_by_hand():
    # Means of errors 1 and 3, of half the differences within 0.5 and 1.
    assert jm.evaluate(jm.CRPS(), **OUTPUTS) == ((1 - 0.5) + (3 - 1)) / 2
    assert jm.evaluate(jm.CRPS(fair=True), **OUTPUTS) == ((1 - 1) + (3 - 2)) / 2
    single = dict(preds=[[1.0]], targets=[4.0])
    assert jm.evaluate(jm.CRPS(), **single) == 3


@pytest.mark.parametrize("offset", [0, 1e4, 1e6])
@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("members", [2, 7, 100])
def test_crps_does_not_cancel_at_an_offset(offset, fair, members):
    """The formula of properscoring's `crps_ensemble`, in float64."""
    rng = np.random.default_rng(0)
    preds = rng.normal(offset, 1, (50, members)).astype(np.float32)
    targets = rng.normal(offset, 1, 50).astype(np.float32)
    x, y = preds.astype(float), targets.astype(float)
    pairs = np.abs(x[:, :, None] - x[:, None, :]).sum((1, 2))
    pairs = pairs / (members * (members - fair))
    right = (np.abs(x - y[:, None]).mean(1) - pairs / 2).mean()
    value = jm.evaluate(jm.CRPS(fair=fair), preds=preds, targets=targets)
    assert value == pytest.approx(right, rel=1e-5, abs=1e-6)


def test_ranks_by_hand_and_ties_are_shared():
    metric = jm.RankHistogram(3)
    preds = [[1.0, 2.0, 3.0]] * 4
    state = metric.update(preds=preds, targets=[0.0, 2.5, 9.0, 2.0])
    assert state.compute().tolist() == [1, 0.5, 1.5, 1]
    dry = metric.update(preds=np.zeros((5, 3)), targets=np.zeros(5))
    assert dry.compute().tolist() == [1.25] * 4  # all members and targets zero: flat


def test_ranks_are_counted_beyond_two_to_the_24():
    state = jm.RankHistogram(1).replace(counts=np.array([2.0**24, 0]))
    assert state.update(preds=[[1.0]], targets=[0.0]).compute()[0] == 2**24 + 1


def test_a_calibrated_ensemble_is_flat_and_has_ratio_one():
    rng = np.random.default_rng(0)
    centre = rng.normal(1e3, 3, (40_000, 1))
    drawn = (centre + rng.normal(0, 1, (40_000, 6))).astype(np.float32)
    outputs = dict(preds=drawn[:, :5], targets=drawn[:, 5])
    assert jm.evaluate(jm.SpreadSkill(), **outputs) == pytest.approx(1, abs=0.01)
    plain = jm.evaluate(jm.SpreadSkill(corrected=False), **outputs)
    assert plain == pytest.approx(math.sqrt(5 / 6), abs=0.01)
    ranks = jm.evaluate(jm.RankHistogram(5), **outputs)
    assert ranks / 40_000 == pytest.approx(np.full(6, 1 / 6), abs=0.01)


def test_the_ratio_of_no_error_is_inf_and_of_nothing_nan():
    metric = jm.SpreadSkill()
    assert jm.evaluate(metric, preds=[[1.0, 3.0]], targets=[2.0]) == INF
    assert math.isnan(jm.evaluate(metric, preds=[[2.0, 2.0]], targets=[2.0]))


@pytest.mark.parametrize("metric", SCORES)
def test_nothing_all_masked_and_nan_under_the_mask(metric):
    padded = dict(preds=[*OUTPUTS["preds"], [NAN, 1.0]], targets=[2.0, 5.0, NAN])
    value = metric().update(**padded, mask=[True, True, False]).compute()
    np.testing.assert_allclose(value, jm.evaluate(metric(), **OUTPUTS), rtol=1e-6)
    masked = metric().update(**OUTPUTS, mask=[False, False])
    np.testing.assert_array_equal(masked.compute(), metric().compute())


@pytest.mark.parametrize("metric", [jm.CRPS, jm.SpreadSkill])
def test_a_nan_is_visible_and_no_data_is_nan(metric):
    assert math.isnan(jm.evaluate(metric(), preds=[[1.0, NAN]], targets=[1.0]))
    assert math.isnan(metric().compute())


def test_a_nan_has_no_rank():
    state = jm.RankHistogram(2).update(preds=[[1.0, NAN], [1.0, 2.0]], targets=[1.0, 0])
    assert state.compute().tolist() == [1, 0, 0] and state.diagnostics() == {
        "invalid": 1
    }


@pytest.mark.parametrize("metric", SCORES)
def test_a_wrong_rank_or_too_few_members_are_refused(metric):
    with pytest.raises(ValueError, match="preds need one more axis"):
        metric().update(preds=np.ones(3), targets=np.ones(3))
    with pytest.raises(ValueError, match="preds need one more axis"):
        metric().update(preds=np.ones((3, 2)), targets=np.ones(2))
    with pytest.raises(ValueError, match="0 members, but at least"):
        metric().update(preds=np.ones((3, 0)), targets=np.ones(3))


def test_members_are_checked():
    with pytest.raises(ValueError, match="1 members, but at least 2"):
        jm.CRPS(fair=True).update(preds=np.ones((3, 1)), targets=np.ones(3))
    with pytest.raises(ValueError, match="Configure members=4"):
        jm.RankHistogram(3).update(preds=np.ones((3, 4)), targets=np.ones(3))
    with pytest.raises(ValueError, match="members is 0"):
        jm.RankHistogram(0)


def test_coverage_includes_the_ends():
    outputs = dict(lower=[0.0] * 4, upper=[1.0] * 4, targets=[0.0, 1.0, 1.5, -0.5])
    assert jm.evaluate(jm.IntervalCoverage(), **outputs) == 0.5


def test_intervals_that_are_none_are_invalid():
    outputs = dict(lower=[0.0, 2.0, NAN, 0.0], upper=[1.0, 1.0, 1.0, 1.0])
    state = jm.IntervalCoverage().update(**outputs, targets=[0.5, 1.5, 0.5, NAN])
    assert state.compute() == 1 and state.diagnostics() == {"invalid": 3}
    with pytest.raises(ValueError, match="the shapes must be equal"):
        jm.IntervalCoverage().update(lower=[0.0], upper=[1.0], targets=[[0.0]])
    assert math.isnan(jm.IntervalCoverage().compute())
