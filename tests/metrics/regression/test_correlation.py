"""Correlations: by hand, at a large mean, of constants, of drifting batches."""

import math

import jax
import numpy as np
import pytest
import scipy.stats
from support.samples import observed

import jaxmetrics as jm

pytestmark = pytest.mark.sampled(2)

NAN = math.nan
BOTH = (jm.PearsonCorrelation, jm.ConcordanceCorrelation)


def test_by_hand():
    outputs = dict(preds=[1.0, 2.0, 3.0], targets=[2.0, 4.0, 6.0])
    assert jm.evaluate(jm.PearsonCorrelation(), **outputs) == 1
    # 2 * (4 / 3) / (2 / 3 + 8 / 3 + 4)
    value = jm.evaluate(jm.ConcordanceCorrelation(), **outputs)
    assert value == pytest.approx(4 / 11)
    reversed_targets = dict(outputs, targets=[6.0, 4.0, 2.0])
    assert jm.evaluate(jm.PearsonCorrelation(), **reversed_targets) == -1


@pytest.mark.parametrize("offset", [0, 1e4, 1e6])
@pytest.mark.parametrize("batches", [1, 50])
def test_nothing_cancels_at_an_offset(offset, batches):
    """Trap 6.5 for products: E[xy] - E[x] E[y] has no digit left at 1e4 in float32."""
    rng = np.random.default_rng(3)
    targets = rng.normal(offset, 1, 20_000).astype(np.float32)
    preds = (0.01 * targets + rng.normal(0, 0.01, 20_000)).astype(np.float32)
    outputs = dict(preds=preds, targets=targets)
    state = observed(jm.PearsonCorrelation(), batches, **outputs)
    right = scipy.stats.pearsonr(preds.astype(float), targets.astype(float)).statistic
    assert state.compute() == pytest.approx(right, abs=2e-6)
    under_jit = jax.jit(lambda state: state.compute())(state)
    assert under_jit == pytest.approx(right, abs=2e-6)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_batches_of_different_means_and_scales_merge(scale):
    rng = np.random.default_rng(1)
    metric = jm.ConcordanceCorrelation()
    pearson = jm.PearsonCorrelation()
    kept = []
    for i in range(20):
        targets = rng.normal(1e4 + 3 * i, 1 + i, 64).astype(np.float32)
        preds = (targets * scale + rng.normal(0, scale, 64)).astype(np.float32)
        mask = rng.random(64) < 0.6
        metric = metric.update(preds=preds, targets=targets, mask=mask)
        pearson = pearson.update(preds=preds, targets=targets, mask=mask)
        kept.append((preds[mask], targets[mask]))
    x, y = (np.concatenate(part).astype(float) for part in zip(*kept))
    assert pearson.compute() == pytest.approx(scipy.stats.pearsonr(x, y)[0], rel=1e-6)
    spread = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    right = 2 * np.cov(x, y, ddof=0)[0, 1] / spread
    assert metric.compute() == pytest.approx(right, rel=1e-6)


def test_states_of_shards_reduce_about_a_common_centre():
    rng = np.random.default_rng(2)
    targets = (rng.normal(1e6, 1, (8, 500)) + np.arange(8)[:, None]).astype(np.float32)
    preds = (targets + rng.normal(0, 1, targets.shape)).astype(np.float32)
    metric = jm.PearsonCorrelation()

    def shard(preds, targets):
        return metric.from_model_output(preds=preds, targets=targets).reduce("shard")

    reduced = jax.vmap(shard, axis_name="shard")(preds, targets)
    value = jax.tree.map(lambda x: np.asarray(x)[0], reduced).compute()
    right = scipy.stats.pearsonr(preds.ravel().astype(float), targets.ravel()).statistic
    assert value == pytest.approx(right, abs=1e-6)


@pytest.mark.parametrize("value", [0.1, -5.1608, 1e20])
@pytest.mark.parametrize("rows", [2, 7, 1000])
def test_a_constant_has_no_correlation(value, rows):
    constant = np.full(rows, value, np.float32)
    varied = np.arange(rows, dtype=np.float32)
    state = jm.PearsonCorrelation()
    for part, other in zip(np.array_split(constant, 3), np.array_split(varied, 3)):
        state = state.update(preds=other, targets=part)
    assert math.isnan(state.compute())
    outputs = dict(preds=varied, targets=constant)
    assert jm.evaluate(jm.ConcordanceCorrelation(), **outputs) == 0
    outputs = dict(preds=constant, targets=constant)
    assert math.isnan(jm.evaluate(jm.PearsonCorrelation(), **outputs))


@pytest.mark.parametrize("metric", BOTH)
def test_without_data_all_masked_or_of_one_entry_it_is_nan(metric):
    outputs = dict(preds=[1.0], targets=[1.0])
    assert math.isnan(metric().compute())
    assert math.isnan(metric().update(**outputs, mask=[False]).compute())
    assert math.isnan(jm.evaluate(metric(), **outputs))


@pytest.mark.parametrize("metric", BOTH)
def test_nan_is_visible_unless_masked_or_of_weight_zero(metric):
    outputs = dict(preds=[1.0, 2.0, 3.0, NAN], targets=[1.0, 3.0, 2.0, 1.0])
    assert math.isnan(jm.evaluate(metric(), **outputs))
    right = jm.evaluate(metric(), **{name: x[:3] for name, x in outputs.items()})
    masked = metric().update(**outputs, mask=[True, True, True, False]).compute()
    assert masked == pytest.approx(right)
    weights = [1.0, 1.0, 1.0, 0.0]
    weighted = metric(weighted=True).update(**outputs, weights=weights).compute()
    assert weighted == pytest.approx(right)


@pytest.mark.parametrize("metric", BOTH)
def test_bad_configurations_and_shapes_are_refused(metric):
    with pytest.raises(ValueError, match="needs the number of outputs"):
        metric(average="none")
    with pytest.raises(ValueError, match="the shapes must be equal"):
        metric().update(preds=np.ones(3), targets=np.ones((3, 1)))


def test_counts_stay_exact_beyond_two_to_the_24():
    state = jm.PearsonCorrelation().replace(pairs=(2**24, 0.0, 0.0, 1.0, 1.0, 0.5))
    state = state.update(preds=[0.0], targets=[0.0])
    assert state.plain()["pairs"].n == 2**24 + 1


def test_a_collection_stores_the_pairs_once_and_shows_them():
    metrics = jm.Collection(p=jm.PearsonCorrelation(), c=jm.ConcordanceCorrelation())
    assert list(metrics.plain()) == ["p/pairs", "p/smallest", "p/largest"]
    state = jm.PearsonCorrelation().update(preds=[1.0, 2.0], targets=[1.0, 2.0])
    assert "covariance=" in repr(state)


def test_there_is_no_reproducible_form():
    with pytest.raises(TypeError, match="merges means and covariances in float"):
        jm.PearsonCorrelation().reproducible()
