"""Reduction over devices: what is counted once, and in how many collectives."""

import re

import jax
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxmetrics as jm
from jaxmetrics.core._deferred import _reduced

ROWS = np.random.default_rng(0).normal(5, 1, 64).astype(np.float32)


def mesh_of(shape=(8,), names=("data",), explicit=False):
    kind = AxisType.Explicit if explicit else AxisType.Auto
    devices = np.array(jax.devices()).reshape(shape)
    return Mesh(devices, names, axis_types=(kind,) * len(names))


def collectives(text):
    return re.findall(r"\b(all-\w+|reduce-scatter|collective-\w+)(?:-start)?\(", text)


def in_shard_map(function, *args, mesh=None, specs=None, check=True):
    mapped = jax.shard_map(
        function,
        mesh=mesh or mesh_of(),
        in_specs=specs or P("data"),
        out_specs=P(),
        check_vma=check,
    )
    return jax.jit(mapped)(*args)


class Size(jm.Metric):
    """A contribution that is a constant of the shape."""

    count: jm.Array = jm.count_leaf()

    def observe(self, *, values, mask=None):
        return dict(count=values.size)

    def compute(self):
        return self.count


def test_a_constant_contribution_is_not_lost_in_shard_map():
    total = in_shard_map(
        lambda x: Size.from_model_output(values=x).reduce("data"), ROWS
    )
    assert total.compute() == 64


def test_a_value_that_was_averaged_already_is_counted_once():
    def body(x):
        return (
            jm.Mean()
            .from_model_output(values=lax.pmean(x.mean(), "data"))
            .reduce("data")
        )

    assert in_shard_map(body, ROWS).plain()["count"] == 1


def test_reducing_twice_changes_nothing_where_jax_tracks_what_varies():
    def body(x):
        return Size.from_model_output(values=x).reduce("data").reduce("data")

    assert in_shard_map(body, ROWS).compute() == 64


def test_reducing_twice_multiplies_where_it_does_not():
    def body(x):
        return Size.from_model_output(values=x).reduce("data").reduce("data")

    assert in_shard_map(body, ROWS, check=False).compute() == 512


def test_a_replicated_total_stays_as_it_is():
    def body(total, x):
        batch = Size.from_model_output(values=x).reduce("data")
        return total.merge(batch).reduce("data")

    total = in_shard_map(body, Size().replace(count=100), ROWS, specs=(P(), P("data")))
    assert total.compute() == 164


@pytest.mark.parametrize("form", ["update", "merge", "other.merge", "scan"])
def test_a_replicated_total_that_takes_a_local_batch_is_counted_once(form):
    def body(total, x):
        batch = Size.from_model_output(values=x)
        match form:
            case "update":
                return total.update(values=x).reduce("data")
            case "merge":
                return total.merge(batch).reduce("data")
            case "other.merge":
                return batch.merge(total).reduce("data")
            case _:
                first = total.update(values=x)
                step = lambda m, _: (m.update(values=x[:0]), None)  # noqa: E731
                return lax.scan(step, first, np.arange(3))[0].reduce("data")

    total = in_shard_map(body, Size().replace(count=100), ROWS, specs=(P(), P("data")))
    assert total.compute() == 164


@pytest.mark.parametrize("form", ["update", "merge"])
def test_a_metric_of_replicated_outputs_stays_replicated_beside_others(form):
    metrics = jm.Collection(rows=jm.Count("rows"), rate=jm.Mean("rate"))

    def body(total, rows):
        outputs = dict(rows=rows, rate=0.5)
        if form == "update":
            return total.update(**outputs)["rate"]
        return total.merge(total.from_model_output(**outputs))["rate"]

    rate = in_shard_map(body, metrics, ROWS, specs=(P(), P("data")))  # without reduce
    assert rate.plain()["count"] == 1


def test_a_total_over_one_axis_takes_a_batch_over_another():
    mesh = mesh_of((4, 2), ("data", "model"))
    specs = (P("data"), P(None, "model"))

    def body(rows, columns):
        total = Size.from_model_output(values=rows)
        return total.update(values=columns).reduce(("data", "model"))

    total = in_shard_map(body, ROWS, ROWS[None].repeat(3, 0), mesh=mesh, specs=specs)
    assert total.compute() == 64 + 3 * 64


def test_metrics_that_vary_over_other_axes_are_each_summed_over_their_own():
    mesh = mesh_of((4, 2), ("data", "model"))
    metrics = jm.Collection(rows=jm.Count("rows"), cells=jm.Count("cells"))

    def body(rows, cells):
        batch = metrics.from_model_output(rows=rows, cells=cells)
        return batch.reduce(("data", "model"))

    specs = (P("data"), P("data", "model"))
    total = in_shard_map(body, ROWS, ROWS.reshape(8, 8), mesh=mesh, specs=specs)
    assert total.compute() == {"rows": 64, "cells": 64}


@pytest.mark.parametrize("form", ["pmap", "vmap"])
def test_reduce_works_under_pmap_and_vmap(form):
    def body(x):
        return jm.Std().from_model_output(values=x).reduce("i")

    mapped = jax.pmap(body, "i") if form == "pmap" else jax.vmap(body, axis_name="i")
    total = jax.tree.map(lambda x: x[0], mapped(ROWS.reshape(8, 8)))
    assert total.compute() == pytest.approx(np.std(ROWS.astype(float)), rel=1e-6)


def test_a_single_state_has_no_leading_axis_to_reduce():
    state = jm.Mean("x").update(x=[1.0, 2.0])
    for metrics in (state, jm.Collection(a=state)):
        with pytest.raises(ValueError, match="Mean is a single state"):
            metrics.reduce()
    assert jax.tree.map(lambda x: x[None], state).reduce().compute() == 1.5


def test_empty_varies_over_an_axis_so_that_it_can_be_a_scan_carry():
    metric = jm.Mean()

    def body(x):
        def step(total, row):
            return total.update(values=row), None

        return lax.scan(step, metric.empty("data"), x)[0].reduce("data")

    total = in_shard_map(body, ROWS)
    assert total.compute() == pytest.approx(ROWS.astype(float).mean(), rel=1e-7)


def every_kind():
    return jm.Collection(
        mean=jm.Mean(),
        largest=jm.Max(),
        smallest=jm.Min(),
        spread=jm.Std(),
        count=jm.Count(),
        total=jm.Sum(),
    )


def test_a_collection_of_every_kind_reduces_in_three_all_reduces():
    text = _reduced.lower(every_kind().deferred(mesh_of())).compile().as_text()
    assert collectives(text) == ["all-reduce"] * 3


def test_the_deferred_update_has_no_collective_and_the_plain_one_has():
    mesh = mesh_of()
    rows = jax.device_put(ROWS, NamedSharding(mesh, P("data")))
    step = jax.jit(lambda m, x: m.update(values=x), donate_argnums=0)
    deferred = step.lower(every_kind().deferred(mesh), rows).compile().as_text()
    assert collectives(deferred) == [] and "callback" not in deferred
    plain = step.lower(every_kind().place(mesh), rows).compile().as_text()
    assert "all-reduce" in collectives(plain)


def test_the_total_has_the_same_bits_in_any_order_of_devices():
    rng = np.random.default_rng(1)
    parts = (rng.lognormal(0, 8, (8, 64)) * rng.choice([-1, 1], (8, 64))).astype("f4")
    metric = jm.Sum().deferred(mesh_of())
    bits = set()
    for order in (range(8), reversed(range(8)), rng.permutation(8)):
        shards = parts[list(order)].reshape(-1)
        total = jax.jit(lambda m, x: m.update(values=x))(metric, shards).reduce()
        bits.add(np.asarray(total.total).tobytes())
    assert len(bits) == 1


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_the_reduction_of_sums_is_right_to_1e_13_of_the_magnitudes(scale):
    rng = np.random.default_rng(2)
    parts = (rng.normal(0, 100, (8, 1)) * scale).astype(np.float32)
    metric = jm.Sum().deferred(mesh_of())
    for _ in range(50):
        metric = metric.update(values=parts[:, 0])
    exact = 50 * parts.astype(float).sum()
    bound = 1e-13 * 50 * np.abs(parts.astype(float)).sum()
    assert abs(metric.compute() - exact) <= bound


def test_counts_are_exact_over_devices():
    state = jm.Count().deferred(mesh_of())
    values = [int(x) for x in np.random.default_rng(3).integers(0, 2**58, 8)]
    limbs = np.array([[v & 0xFFFFFFFF, v >> 32] for v in values], np.uint32)
    import dataclasses

    state = dataclasses.replace(state, state=state.state.with_fields(count=limbs))
    assert state.compute() == sum(values)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_sums_that_are_not_finite_stay_so(special):
    values = ROWS.copy()
    values[11] = special
    total = jm.Sum().deferred(mesh_of()).update(values=values).compute()
    assert np.array_equal(total, special, equal_nan=True)


@pytest.mark.parametrize("position", range(8))
@pytest.mark.parametrize("metric", [jm.Max(), jm.Min()])
@pytest.mark.parametrize("form", ["jit", "deferred", "shard_map"])
def test_nan_survives_any_sharding_of_extremes(position, metric, form):
    values = np.arange(8, dtype=np.float32)
    values[position] = np.nan
    mesh = mesh_of()
    rows = jax.device_put(values, NamedSharding(mesh, P("data")))
    if form == "shard_map":
        result = in_shard_map(
            lambda x: metric.from_model_output(values=x).reduce("data"), rows
        )
    else:
        state = metric.place(mesh) if form == "jit" else metric.deferred(mesh)
        result = jax.jit(lambda m, x: m.update(values=x))(state, rows)
    assert np.isnan(result.compute())
