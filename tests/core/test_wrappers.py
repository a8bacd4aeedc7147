"""Metrics around metrics."""

import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm

RNG = np.random.default_rng(0)
LOSS = RNG.normal(2, 1, (32, 3)).astype(np.float32)
DOMAIN = RNG.integers(0, 3, 32).astype(np.int32)
VALID = RNG.random(32) < 0.5


def mesh_of(explicit=False):
    kind = AxisType.Explicit if explicit else AxisType.Auto
    return Mesh(np.array(jax.devices()), ("data",), axis_types=(kind,))


def everywhere(metric, outputs):
    """The metric's values from each form in which a batch may be counted."""
    values = {"alone": metric.update(**outputs).compute()}
    update = jax.jit(lambda m, o: m.update(**o))
    values["jit"] = update(metric, outputs).compute()
    values["in jit"] = jax.jit(lambda o: metric.update(**o).compute())(outputs)
    for explicit in (False, True):
        mesh = mesh_of(explicit)
        placed = jax.device_put(outputs, NamedSharding(mesh, P("data")))
        values[f"placed {explicit}"] = update(metric.place(mesh), placed).compute()
        if not isinstance(metric, jm.BestOf):
            deferred = update(metric.deferred(mesh), placed)
            values[f"deferred {explicit}"] = deferred.compute()
    body = jax.shard_map(
        lambda o: metric.from_model_output(**o).reduce("data"),
        mesh=mesh_of(),
        in_specs=P("data"),
        out_specs=P(),
    )
    values["shard_map"] = metric.merge(jax.jit(body)(outputs)).compute()
    return values


def close(values, expected):
    for form, value in values.items():
        for got, want in zip(jax.tree.leaves(value), jax.tree.leaves(expected)):
            np.testing.assert_allclose(got, want, rtol=1e-6, err_msg=form)


def test_masked_counts_what_both_masks_let_through():
    metric = jm.Masked(jm.Mean("loss"), mask="valid")
    close(everywhere(metric, dict(loss=LOSS, valid=VALID)), LOSS[VALID].mean())
    mask = DOMAIN == 1
    given = dict(loss=LOSS, valid=VALID, mask=mask)
    close(everywhere(metric, given), LOSS[VALID & mask].mean())


def test_the_outputs_of_a_wrapper_can_be_renamed():
    masked = jm.Masked(jm.Mean("loss"), mask="valid").on(valid="v", values="x")
    assert masked.update(x=[1.0, 5.0], v=[True, False]).compute() == 1.0
    groups = jm.ByGroup(jm.Mean("loss"), groups=2).on(domain="d")
    assert groups.update(loss=[1.0, 5.0], d=[1, 1]).compute()["1"] == 3.0


def test_masked_needs_its_mask():
    with pytest.raises(TypeError, match=r"Masked needs output 'valid'; got \['loss'\]"):
        jm.Masked(jm.Mean("loss")).update(loss=1.0)


def test_by_group_is_the_metric_of_each_group():
    metric = jm.ByGroup(jm.Mean("loss"), by="domain", groups=("a", "b", "c", "none"))
    expected = {g: LOSS[DOMAIN == i].mean() for i, g in enumerate("abc")}
    expected["none"] = math.nan
    values = everywhere(metric, dict(loss=LOSS, domain=DOMAIN))
    assert list(values["alone"]) == ["a", "b", "c", "none"]
    close(values, expected)


def test_by_group_respects_the_mask_and_counts_strange_numbers():
    metric = jm.ByGroup(jm.Count("loss"), groups=2)
    given = dict(loss=LOSS[:, 0], domain=DOMAIN, mask=VALID)
    expected = {str(g): ((DOMAIN == g) & VALID).sum() for g in range(2)}
    close(everywhere(metric, given), expected)
    outside = metric.update(**given).plain()["out_of_range"]
    assert outside == ((DOMAIN == 2) & VALID).sum()


def test_by_group_refuses_groups_that_are_no_integers():
    with pytest.raises(TypeError, match="groups are integers below 2"):
        jm.ByGroup(jm.Mean("x"), groups=2).update(x=[1.0], domain=[0.5])
    with pytest.raises(TypeError, match="ByGroup needs output 'domain'"):
        jm.ByGroup(jm.Mean("x"), groups=2).update(x=[1.0])


def test_by_group_of_a_window_keeps_a_window_a_group():
    metric = jm.ByGroup(jm.Windowed(jm.Count("x"), window=2), groups=2)
    for domain in ([0, 0, 1], [1, 1, 1], [0, 1, 1]):
        metric = metric.update(x=np.ones(3), domain=np.array(domain))
    assert metric.compute() == {"0": 1, "1": 5}


def gap(a, b):
    return b - a


def test_compose_is_a_function_of_values_and_shares_states():
    metric = jm.Compose(gap, a=jm.Mean("loss"), b=jm.Max("loss"))
    close(everywhere(metric, dict(loss=LOSS)), LOSS.max() - LOSS.mean())
    both = jm.Collection(gap=metric, mean=jm.Mean("loss"))
    assert len(jax.tree.leaves(both)) == len(jax.tree.leaves(metric))
    values = both.update(loss=LOSS).compute()
    assert values["gap"] == pytest.approx(LOSS.max() - values["mean"], rel=1e-6)
    assert pickle.loads(pickle.dumps(metric)).function is gap


def test_compose_can_be_renamed():
    metric = jm.Compose(gap, a=jm.Mean(), b=jm.Max()).on(values="x")
    assert metric.update(x=[1.0, 3.0]).compute() == 1.0


def test_a_window_forgets_older_updates():
    metric = jm.Windowed(jm.Mean("loss"), window=3)
    assert math.isnan(metric.compute())
    for i in range(5):
        metric = metric.update(loss=float(i))
        recent = range(max(0, i - 2), i + 1)
        assert metric.compute() == np.mean(list(recent))


@pytest.mark.parametrize("explicit", [False, True])
def test_a_window_is_right_in_every_form(explicit):
    mesh = mesh_of(explicit)
    rows = jax.device_put(LOSS, NamedSharding(mesh, P("data")))
    metric = jm.Windowed(jm.Std("loss"), window=2)
    expected = np.concatenate([LOSS * 2, LOSS * 3]).astype(float).std()
    update = jax.jit(lambda m, x: m.update(loss=x), donate_argnums=0)
    for state in (metric.place(mesh), metric.deferred(mesh)):
        for factor in (1, 2, 3):
            state = update(state, rows * factor)
        assert state.compute() == pytest.approx(expected, rel=1e-6)
    body = jax.shard_map(
        lambda x: metric.from_model_output(loss=x).reduce("data"),
        mesh=mesh_of(),
        in_specs=P("data"),
        out_specs=P(),
    )
    for factor in (1, 2, 3):
        metric = metric.merge(jax.jit(body)(LOSS * factor))
    assert metric.compute() == pytest.approx(expected, rel=1e-6)


def test_merging_windows_appends_the_other():
    def over(*values):
        metric = jm.Windowed(jm.Sum("x"), window=4)
        for value in values:
            metric = metric.update(x=value)
        return metric

    assert over(1, 2).merge(over(4)).compute() == 7
    assert over(1, 2, 4).merge(over(8, 16, 32)).compute() == 4 + 8 + 16 + 32
    assert over(1, 2, 4, 8, 16).merge(over()).compute() == 2 + 4 + 8 + 16
    assert over().merge(over(1, 2)).compute() == 3


def test_a_window_is_a_scan_carry():
    def step(metric, x):
        return metric.update(x=x), metric.compute()

    metric = jm.Windowed(jm.Sum("x"), window=2)
    metric, before = lax.scan(step, metric, jnp.arange(4.0))
    np.testing.assert_array_equal(before, [0, 0, 1, 3])
    assert metric.compute() == 5


def test_best_of_is_the_best_single_update():
    metric = jm.BestOf(jm.Mean("loss"), mode="min")
    assert math.isnan(metric.compute())
    for loss in ([3.0, 5.0], [1.0, 3.0], [9.0, 1.0]):
        metric = metric.update(loss=loss)
    assert metric.compute() == 2.0
    masked = metric.update(loss=[0.0], mask=[False])
    assert masked.compute() == 2.0


def test_best_of_takes_the_whole_batch_under_sharding():
    metric = jm.BestOf(jm.Mean("loss"))
    close(everywhere(metric, dict(loss=LOSS)), LOSS.mean())


def test_best_of_has_no_deferred_form():
    with pytest.raises(TypeError, match="BestOf has no deferred form.*place"):
        jm.BestOf(jm.Mean("loss")).deferred(mesh_of())
    with pytest.raises(TypeError, match="BestOf has no deferred form"):
        jm.Collection(best=jm.BestOf(jm.Mean("loss"))).deferred(mesh_of())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: jm.Windowed(jm.Mean(), window=0), "window is at least 1"),
        (lambda: jm.ByGroup(jm.Mean(), groups=0), "groups is at least 1"),
        (lambda: jm.BestOf(jm.Mean(), mode="best"), "'max' or 'min'"),
        (lambda: jm.Masked("loss"), "metric is 'loss', not a metric"),
    ],
)
def test_bad_configuration_is_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()
