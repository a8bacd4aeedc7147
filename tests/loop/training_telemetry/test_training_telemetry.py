"""Lines of telemetry: statistics, period, restore and errors."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.telemetry_lines import config, lines, params, stats

import jaxmetrics as jm
from jaxmetrics import TelemetryConfig, TrainingTelemetry, telemetry
from jaxmetrics.record import CorruptLineError
from jaxmetrics.writers import JSONL


def test_the_exact_text_of_a_line(tmp_path):
    labels = np.array([1, 0, 1])
    inputs = np.array([[1.0, 2.0], [3.0, 1.0], [0.5, 0.25]], np.float32)
    with TrainingTelemetry(config(tmp_path), clock=lambda: 0.0) as collected:
        collected.set_holdout_data(inputs, labels, lambda p, x: x * p["body"][0])
        for step, value in [(200, 1.0), (400, 1.5)]:
            collected.on_batch_end(
                stats(),
                step=step,
                batch_idx=step,
                epoch=0,
                params=params(value),
                batch={"winner": np.array([0, 1, 1, 1])},
            )
    text = (tmp_path / "telemetry" / "telemetry.jsonl").read_text()
    assert text.splitlines()[1] == (
        '{"batch_idx":400,"epoch":0,"timestamp":"1970-01-01T00:00:00.000+00:00",'
        '"gradient_norm":{"overall":5.0,"body":3.0,"head":4.0},'
        '"weight_delta":{"overall":1.8027756214141846,"body":1.0,"head":1.5},'
        '"learning_rates":{"group_0":0.25,"group_1":0.5,"body":0.25,"head":0.5},'
        '"holdout_logits":{"logits":[[1.5,3.0],[4.5,1.5],[0.75,0.375]],'
        '"labels":[1,0,1],"predictions":[1,0,0],"accuracy":0.6666666865348816},'
        '"batch_stats":{"winner_0_pct":25.0,"winner_1_pct":75.0,"batch_size":4}}'
    )
    assert json.loads(text.splitlines()[0])["weight_delta"] == {}


def test_a_training_is_collected_every_n_updates(tmp_path):
    tx = optax.inject_hyperparams(optax.sgd)(learning_rate=0.5)

    @jax.jit
    def update(params, opt_state, step):
        grads = jax.grad(lambda p: sum(jnp.sum(x**2) for x in p.values()))(params)
        updates, opt_state = tx.update(grads, opt_state)
        values = telemetry.collect(step, grads=grads, opt_state=opt_state, every=3)
        return optax.apply_updates(params, updates), opt_state, values

    weights, done = params(), []
    state = tx.init(weights)
    with TrainingTelemetry(config(tmp_path, collect_every_n=3)) as collected:
        for step in range(1, 8):
            weights, state, values = update(weights, state, step)
            position = dict(step=step, batch_idx=step % 4, epoch=step // 4)
            done.append(collected.on_batch_end(values, params=weights, **position))
    assert done == [False, False, True, False, False, True, False]
    first, second = lines(tmp_path)
    assert (second["batch_idx"], second["epoch"]) == (2, 1)
    assert first["gradient_norm"]["overall"] == pytest.approx(0.0, abs=1e-6)
    assert first["learning_rates"] == {"group_0": 0.5}


def test_at_most_holdout_size_examples_are_predicted(tmp_path):
    examples = np.ones((80, 2), np.float32)
    with TrainingTelemetry(config(tmp_path)) as collected:
        collected.set_holdout_data(examples, np.ones(80, int), lambda p, x: x @ p)
        collected.on_batch_end(
            {}, step=200, batch_idx=0, epoch=0, params=jnp.array([1.0, 2.0])
        )
    values = lines(tmp_path)[0]["holdout_logits"]
    assert len(values["logits"]) == len(values["labels"]) == 50
    assert values["accuracy"] == 1.0 and set(values["predictions"]) == {1}


def test_a_logger_receives_the_scalars_and_has_the_directory(tmp_path):
    with jm.TrainingLogger(root=tmp_path, run_name="run", writers=[JSONL()]) as logger:
        with TrainingTelemetry(logger=logger) as collected:
            for step in (200, 400):
                position = dict(step=step, batch_idx=0, epoch=0)
                collected.on_batch_end(stats(), params=params(1.0 * step), **position)
    assert (logger.run_dir / "telemetry" / "telemetry.jsonl").exists()
    run = jm.Run.load(logger.run_dir)
    np.testing.assert_array_equal(run["delta/norm/head"][1], [600.0])
    np.testing.assert_array_equal(run["grad/norm"][1], [5.0, 5.0])


def test_disabled_statistics_are_left_out(tmp_path):
    off = {f"track_{name}": False for name in ("gradients", "weight_delta")}
    off |= dict(track_learning_rates=False, track_batch_stats=False)
    with TrainingTelemetry(config(tmp_path, **off)) as collected:
        assert collected.on_batch_end(
            stats(), step=200, batch_idx=7, epoch=1, params=params(), batch=np.ones(2)
        )
    (line,) = lines(tmp_path)
    assert list(line) == ["batch_idx", "epoch", "timestamp"]
    with TrainingTelemetry(TelemetryConfig(enabled=False)) as disabled:
        assert not disabled.on_batch_end(stats(), step=200, batch_idx=0, epoch=0)


def test_a_restore_truncates_the_file(tmp_path):
    position = dict(batch_idx=0, epoch=0)
    with TrainingTelemetry(config(tmp_path)) as collected:
        collected.on_batch_end(stats(), step=200, **position)
        state = collected.state()
        collected.on_batch_end(stats(), step=400, **position)
    with TrainingTelemetry(config(tmp_path)) as collected:
        collected.load_state(state)
        assert len(lines(tmp_path)) == 1
    assert (tmp_path / "telemetry" / "telemetry.jsonl.after-restore").exists()


def test_statistics_of_another_period_are_an_error(tmp_path):
    collected = TrainingTelemetry(config(tmp_path))
    values = stats() | {"health/collected": jnp.array(False)}
    collected.on_batch_end(values, step=200, batch_idx=0, epoch=0)
    with pytest.raises(ValueError, match="every=200"):
        collected.flush()
    collected.close()


def test_a_batch_without_labels_is_refused(tmp_path):
    with TrainingTelemetry(config(tmp_path)) as collected:
        with pytest.raises(KeyError, match="label_field"):
            collected.on_batch_end({}, step=200, batch_idx=0, epoch=0, batch={"x": 1})


def test_a_missing_directory_is_refused():
    with pytest.raises(ValueError, match="logger="):
        TrainingTelemetry()


def test_a_damaged_line_is_an_error(tmp_path):
    with TrainingTelemetry(config(tmp_path)) as collected:
        collected.on_batch_end(stats(), step=200, batch_idx=0, epoch=0)
    file = tmp_path / "telemetry" / "telemetry.jsonl"
    file.write_text("{\n" + file.read_text())
    with pytest.raises(CorruptLineError):
        lines(tmp_path)
