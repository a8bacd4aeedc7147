"""Groups of benchmarks import and run; nothing here depends on a time."""

import importlib
import json
import os
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxmetrics as jm
from benchmarks import __main__ as command
from benchmarks import catalogue, classifier, contenders, jitted, twenty
from benchmarks.measure import AGAIN, Bench, Row, prepared, save


@pytest.mark.parametrize("group", command.GROUPS)
def test_a_group_imports_without_its_contenders(group):
    assert callable(importlib.import_module(f"benchmarks.{group}").measure)


def test_every_module_is_a_group_or_used_by_one():
    modules = {path.stem for path in command.Path(command.__file__).parent.glob("*.py")}
    shared = {"classifier", "contenders", "handwritten", "jitted", "measure", "tables"}
    shared |= {"twenty"}
    assert modules - shared - {"__init__", "__main__"} == set(command.GROUPS)


def test_the_command_runs_a_case(monkeypatch, capsys):
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, cores: None)
    arguments = ["benchmarks", "sketches", "--rounds", "1", "--only", "sum of 1,024"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert command.main() == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    contenders = [line.split(" | ")[1] for line in lines]
    assert contenders == ["jnp.sum", AGAIN, "jm.total"]


def test_every_contender_and_the_floor_again_run_in_each_round():
    calls = {"floor": 0, "other": 0}

    def reading(name):
        calls[name] += 1
        return 1.0 if name == "floor" else 2.0

    readings = {name: lambda name=name: reading(name) for name in calls}
    rows = Bench(5).collect("case", readings, {"other": {"bytes": 3}})
    assert calls == {"floor": 10, "other": 5}
    assert [(row.contender, row.ratio) for row in rows] == [
        ("floor", 1),
        (AGAIN, 1),
        ("other", 2),
    ]
    assert rows[-1].figures == {"bytes": 3}


def test_a_slow_contender_takes_part_in_three_rounds():
    calls = []
    readings = {"floor": lambda: 6.0, "slow": lambda: calls.append(0) or 12.0}
    rows = Bench(5).collect("case", readings)
    assert len(calls) == 3
    assert rows[-1].ratio == 2


def test_a_reading_prepares_each_call():
    seen = []
    counter = iter(range(10))
    once = prepared(lambda: next(counter), seen.append, calls=3)
    assert once() >= 0
    assert seen == [0, 1, 2]


def test_rows_are_saved_with_their_environment(tmp_path):
    row = Row("case", "who", "floor", 1.23456, 2.0, 1.0, 3.0, {"bytes": 8})
    save([row, Row("case", "counted", figures={"bytes": 4})], tmp_path / "x.json")
    found = json.loads((tmp_path / "x.json").read_text())
    assert found["rows"][0]["us"] == 1.235
    assert found["rows"][1] == {
        "case": "case",
        "contender": "counted",
        "figures": {"bytes": 4},
    }
    assert found["environment"]["packages"]["jax"] == jax.__version__


def test_launches_and_compilations_are_counted():
    double, x = jax.jit(lambda x: 2 * x), jnp.ones(3)

    def run():
        jax.block_until_ready(double(double(x)))

    with jitted.Compilations() as compilations:
        run(), run()
    assert compilations.count == 1
    assert jitted.launches(run) == 2


@pytest.mark.parametrize("name", ["clu", "metrax", "nnx"])
def test_peers_compute_the_metrics_that_they_are_timed_with(name):
    rng = np.random.default_rng(0)
    outputs = {
        "logits": rng.normal(size=(16, 10)).astype(np.float32),
        "labels": rng.integers(0, 10, 16).astype(np.int32),
        "loss": rng.random(16, np.float32),
    }
    library = twenty.peers()[name]
    values = library.compute(jax.jit(library.update)(library.start, outputs))
    hits = outputs["logits"].argmax(-1) == outputs["labels"]
    np.testing.assert_allclose(values["loss"], outputs["loss"].mean(), rtol=1e-6)
    np.testing.assert_allclose(values["accuracy"], hits.mean(), rtol=1e-6)


def test_peers_that_are_installed_update_the_same_outputs():
    logits = jnp.asarray(np.eye(5, dtype=np.float32))
    outputs = {"labels": jnp.arange(5, dtype=jnp.int32) % 4, "logits": logits}
    runs = contenders.updates("accuracy 5 x 5", outputs)
    assert set(runs) >= {"clu", "metrax", "nnx"}
    for name in ("clu", "metrax"):
        state: Any = runs[name]()
        assert float(state.compute()) == pytest.approx(0.8)
    assert contenders.updates("no such metric 5 x 5", outputs) == {}


def test_ours_are_twenty():
    assert len(twenty.collection(classifier.CLASSES)) == 20


@pytest.mark.slow
def test_metrics_of_the_catalogue_update_their_batches():
    for name, case in catalogue.cases(scale=0.001).items():
        state = case.metric.empty()
        updated = jax.eval_shape(jitted.update_of, state, case.outputs())
        assert jax.tree.structure(updated) == jax.tree.structure(state), name
        for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(updated)):
            assert (before.shape, before.dtype) == (after.shape, after.dtype), name


def test_metrics_of_the_catalogue_run_beside_peers():
    bench = Bench(1, "mean absolute error")
    catalogue.measure(bench, scale=0.001)
    contenders = [row.contender for row in bench.rows]
    assert contenders[:4] == ["sum of bytes", AGAIN, "jaxmetrics", "metrax"]
    figures = bench.rows[2].figures
    assert figures["state MB"] == catalogue.megabytes(jm.MeanAbsoluteError()) > 0
