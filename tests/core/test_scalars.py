"""Outputs of rank 0, such as a loss for each microbatch, in every form of an update."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm

LOSSES = np.array([2.0, 8.0, 5.0, np.nan, 1.0, 4.0, 3.0, 7.0], np.float32)
WEIGHTS = np.array([10.0, 1.0, 0.0, 0.0, 3.0, 0.5, 2.0, 1.0], np.float32)
KEEP = np.array([1, 1, 1, 0, 1, 0, 1, 1], bool)
GROUPS = np.array([0, 1, 0, 1, 0, 1, 0, 0], np.uint8)
LABELS = np.array([1, 0, 1, 1, 0, 1, 0, 1], np.int8)
GOOD = ~np.isnan(LOSSES)


def mean(values, weights):
    kept = weights != 0
    return (values[kept].astype(float) * weights[kept]).sum() / weights[kept].sum()


def by_group(values, keep):
    return {str(g): values[keep & (GROUPS == g)].mean() for g in (0, 1)}


ROWS = {
    "weighted mean": (
        jm.Mean("loss", weighted=True),
        dict(loss=LOSSES, weights=WEIGHTS),
        mean(LOSSES, WEIGHTS),
    ),
    "weighted and masked": (
        jm.Mean("loss", weighted=True),
        dict(loss=LOSSES, weights=WEIGHTS, mask=KEEP),
        mean(LOSSES, WEIGHTS * KEEP),
    ),
    "masked mean": (jm.Mean("loss"), dict(loss=LOSSES, mask=KEEP), LOSSES[KEEP].mean()),
    "sum": (
        jm.Sum("loss", weighted=True),
        dict(loss=LOSSES, weights=WEIGHTS),
        (LOSSES * WEIGHTS)[WEIGHTS != 0].sum(),
    ),
    "squared error": (
        jm.MeanSquaredError(weighted=True),
        dict(preds=LOSSES, targets=np.ones(8, np.float32), weights=WEIGHTS),
        mean((LOSSES - 1) ** 2, WEIGHTS),
    ),
    "variance": (
        jm.Variance("loss"),
        dict(loss=LOSSES, mask=KEEP),
        LOSSES[KEEP].astype(float).var(),
    ),
    "extremes": (jm.Max("loss"), dict(loss=LOSSES, mask=KEEP), 8.0),
    "count": (jm.Count("loss"), dict(loss=LOSSES, mask=KEEP), KEEP.sum()),
    "quantile": (
        jm.Quantiles("loss", q=()),
        dict(loss=LOSSES, mask=KEEP),
        {"min": 1.0, "max": 8.0},
    ),
    "accuracy": (
        jm.Accuracy(task="binary"),
        dict(logits=LOSSES - 4, labels=LABELS, mask=GOOD),
        ((LOSSES >= 4) == LABELS)[GOOD].mean(),
    ),
    "masked by a second mask": (
        jm.Masked(jm.Mean("loss"), mask="valid"),
        dict(loss=LOSSES, valid=KEEP),
        LOSSES[KEEP].mean(),
    ),
    "by group": (
        jm.ByGroup(jm.Mean("loss"), by="domain", groups=2),
        dict(loss=LOSSES, domain=GROUPS, mask=GOOD),
        by_group(LOSSES, GOOD),
    ),
}
every_row = pytest.mark.parametrize(
    ("metric", "outputs", "expected"), ROWS.values(), ids=ROWS
)


def mesh_of():
    return Mesh(np.array(jax.devices()), ("data",))


def at(outputs, i):
    return {name: x[i] for name, x in outputs.items()}


def check(value, expected):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), value, expected
    )


@every_row
def test_updates_one_by_one(metric, outputs, expected):
    eager = metric
    for i in range(8):
        eager = eager.update(**at(outputs, i))
    check(eager.compute(), expected)


@every_row
def test_a_scan(metric, outputs, expected):
    step = jax.jit(
        lambda m, o: lax.scan(lambda s, row: (s.update(**row), None), m, o)[0]
    )
    check(step(metric, outputs).compute(), expected)


@every_row
def test_deferred_scalars_are_counted_once(metric, outputs, expected):
    deferred = metric.deferred(mesh_of())
    step = jax.jit(lambda m, row: m.update(**row))
    for i in range(8):
        deferred = step(deferred, at(outputs, i))
    check(deferred.compute(), expected)


@every_row
def test_a_scalar_on_each_device(metric, outputs, expected):
    def body(rows):
        own = {name: x[0] for name, x in rows.items()}
        return metric.from_model_output(**own).reduce("data")

    total = jax.shard_map(body, mesh=mesh_of(), in_specs=P("data"), out_specs=P())
    check(metric.merge(jax.jit(total)(outputs)).compute(), expected)


@every_row
def test_scalars_are_arrays_of_one_entry(metric, outputs, expected):
    state = metric
    for i in range(8):
        state = state.update(**at(outputs, slice(i, i + 1)))
    check(state.compute(), expected)


def test_a_mask_of_rows_does_not_apply_to_a_scalar():
    metrics = jm.Collection(loss=jm.Mean("loss"), error=jm.Mean("error"))
    mask = np.array([True, False])
    values = jm.evaluate(metrics, loss=2.0, error=np.array([1.0, 5.0]), mask=mask)
    assert values == {"loss": 2.0, "error": 1.0}


@pytest.mark.parametrize("weights", [np.ones(3), np.ones((1,))])
def test_weights_of_rows_are_refused_for_a_scalar(weights):
    with pytest.raises(ValueError, match="weights"):
        jm.Mean("loss", weighted=True).update(loss=2.0, weights=weights)


@pytest.mark.parametrize(
    "wrapped",
    [
        jm.Masked(jm.Mean("loss"), mask="valid"),
        jm.ByGroup(jm.Mean("loss"), by="valid", groups=2),
    ],
)
def test_rows_cannot_group_a_scalar(wrapped):
    kind = bool if isinstance(wrapped, jm.Masked) else np.int32
    with pytest.raises(ValueError, match="one value for each"):
        wrapped.update(loss=jnp.float32(2.0), valid=np.ones(3, kind))
