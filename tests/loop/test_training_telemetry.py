"""Telemetry of a training: what is collected when, and the lines that it writes."""

import json
import logging

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmetrics as jm
from jaxmetrics import TelemetryConfig, TrainingTelemetry, telemetry
from jaxmetrics.record import CorruptLineError, read_lines
from jaxmetrics.writers import JSONL


def config(tmp_path, **more):
    return TelemetryConfig(output_dir=tmp_path / "telemetry", **more)


def lines(tmp_path):
    return read_lines(tmp_path / "telemetry" / "telemetry.jsonl")[0]


def stats(step=200, **values):
    found = {"grad/norm": 5.0, "grad/norm/body": 3.0, "grad/norm/head": 4.0}
    found |= {"lr/body": 0.25, "lr/head": 0.5}
    return {"health/collected": True} | found | values


def params(value=1.0):
    return {"body": jnp.full(4, value), "head": jnp.full(9, value)}


def test_a_line_as_it_is_written(tmp_path):
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


def test_the_whole_of_it_in_a_training(tmp_path):
    tx = optax.inject_hyperparams(optax.sgd)(learning_rate=0.5)

    @jax.jit
    def update(params, opt_state, step):
        grads = jax.grad(lambda p: sum(jnp.sum(x**2) for x in p.values()))(params)
        updates, opt_state = tx.update(grads, opt_state)
        found = telemetry.collect(step, grads=grads, opt_state=opt_state, every=3)
        return optax.apply_updates(params, updates), opt_state, found

    weights, taken = params(), []
    state = tx.init(weights)
    with TrainingTelemetry(config(tmp_path, collect_every_n=3)) as collected:
        for step in range(1, 8):
            weights, state, found = update(weights, state, step)
            about = dict(step=step, batch_idx=step % 4, epoch=step // 4)
            taken.append(collected.on_batch_end(found, params=weights, **about))
    assert taken == [False, False, True, False, False, True, False]
    first, second = lines(tmp_path)
    assert (second["batch_idx"], second["epoch"]) == (2, 1)
    assert first["gradient_norm"]["overall"] == pytest.approx(0.0, abs=1e-6)
    assert first["learning_rates"] == {"group_0": 0.5}


@pytest.mark.parametrize("where", ["disk", "host", "device"])
def test_the_change_of_the_weights_is_the_same_wherever_the_last_ones_are(
    tmp_path, where
):
    with TrainingTelemetry(config(tmp_path, weights_on=where)) as collected:
        for step, value in [(200, 1.0), (400, 3.0), (600, 3.5)]:
            weights = params(value)
            about = dict(step=step, batch_idx=0, epoch=0)
            collected.on_batch_end({}, params=weights, **about)
            jax.tree.map(lambda x: x.delete(), weights)  # as a step that donates them
    deltas = [line["weight_delta"] for line in lines(tmp_path)]
    assert deltas[0] == {}
    for delta, by in zip(deltas[1:], (2.0, 0.5)):
        assert delta["overall"] == pytest.approx(by * 13**0.5)
        assert delta["head"] == pytest.approx(by * 3)


def test_weights_on_disk_are_those_of_an_earlier_attempt(tmp_path):
    about = dict(batch_idx=0, epoch=0)
    for step, value in [(200, 1.0), (400, 3.0)]:
        with TrainingTelemetry(config(tmp_path)) as collected:
            collected.on_batch_end({}, step=step, params=params(value), **about)
    assert lines(tmp_path)[1]["weight_delta"]["body"] == pytest.approx(4.0)
    folder = tmp_path / "telemetry"
    assert sorted(p.name for p in folder.iterdir()) == [
        "last_checkpoint",
        "telemetry.jsonl",
    ]


def test_weights_of_another_shape_are_no_last_weights(tmp_path):
    about = dict(batch_idx=0, epoch=0)
    with TrainingTelemetry(config(tmp_path)) as collected:
        collected.on_batch_end({}, step=200, params=params(), **about)
        collected.on_batch_end({}, step=400, params={"other": jnp.ones(2)}, **about)
    assert [line["weight_delta"] for line in lines(tmp_path)] == [{}, {}]


def test_only_so_many_examples_are_kept(tmp_path):
    examples = np.ones((80, 2), np.float32)
    with TrainingTelemetry(config(tmp_path)) as collected:
        collected.set_holdout_data(examples, np.ones(80, int), lambda p, x: x @ p)
        collected.on_batch_end(
            {}, step=200, batch_idx=0, epoch=0, params=jnp.array([1.0, 2.0])
        )
    found = lines(tmp_path)[0]["holdout_logits"]
    assert len(found["logits"]) == len(found["labels"]) == 50
    assert found["accuracy"] == 1.0 and set(found["predictions"]) == {1}


def test_a_logger_gets_the_numbers_and_gives_the_folder(tmp_path):
    with jm.TrainingLogger(root=tmp_path, run_name="run", writers=[JSONL()]) as logger:
        with TrainingTelemetry(logger=logger) as collected:
            for step in (200, 400):
                about = dict(step=step, batch_idx=0, epoch=0)
                collected.on_batch_end(stats(), params=params(1.0 * step), **about)
    assert (logger.run_dir / "telemetry" / "telemetry.jsonl").exists()
    run = jm.Run.load(logger.run_dir)
    np.testing.assert_array_equal(run["delta/norm/head"][1], [600.0])
    np.testing.assert_array_equal(run["grad/norm"][1], [5.0, 5.0])


def test_what_is_not_wanted_is_not_there(tmp_path):
    off = {f"track_{name}": False for name in ("gradients", "weight_delta")}
    off |= dict(track_learning_rates=False, track_batch_stats=False)
    with TrainingTelemetry(config(tmp_path, **off)) as collected:
        assert collected.on_batch_end(
            stats(), step=200, batch_idx=7, epoch=1, params=params(), batch=np.ones(2)
        )
    (line,) = lines(tmp_path)
    assert list(line) == ["batch_idx", "epoch", "timestamp"]
    with TrainingTelemetry(TelemetryConfig(enabled=False)) as nothing:
        assert not nothing.on_batch_end(stats(), step=200, batch_idx=0, epoch=0)


def test_a_restore_cuts_the_file(tmp_path):
    about = dict(batch_idx=0, epoch=0)
    with TrainingTelemetry(config(tmp_path)) as collected:
        collected.on_batch_end(stats(), step=200, **about)
        state = collected.state()
        collected.on_batch_end(stats(), step=400, **about)
    with TrainingTelemetry(config(tmp_path)) as collected:
        collected.load_state(state)
        assert len(lines(tmp_path)) == 1
    assert (tmp_path / "telemetry" / "telemetry.jsonl.after-restore").exists()


def test_statistics_of_another_cadence_are_an_error(tmp_path):
    collected = TrainingTelemetry(config(tmp_path))
    found = stats() | {"health/collected": jnp.array(False)}
    collected.on_batch_end(found, step=200, batch_idx=0, epoch=0)
    with pytest.raises(ValueError, match="every=200"):
        collected.flush()
    collected.close()


def test_a_batch_without_its_labels_is_an_error_with_a_way_out(tmp_path):
    with TrainingTelemetry(config(tmp_path)) as collected:
        with pytest.raises(KeyError, match="label_field"):
            collected.on_batch_end({}, step=200, batch_idx=0, epoch=0, batch={"x": 1})


def test_without_a_folder_there_is_an_error():
    with pytest.raises(ValueError, match="logger="):
        TrainingTelemetry()


def test_the_settings_have_these_defaults():
    assert TelemetryConfig() == TelemetryConfig(
        enabled=True,
        collect_every_n=200,
        output_dir=None,
        track_gradients=True,
        track_weight_delta=True,
        track_learning_rates=True,
        track_holdout_logits=True,
        track_batch_stats=True,
        holdout_size=50,
    )


def test_unknown_settings_are_left_out_with_one_warning(caplog):
    with caplog.at_level(logging.WARNING):
        found = TelemetryConfig.from_dict({"holdout_size": 3, "colour": 1, "b": 2})
    assert found == TelemetryConfig(holdout_size=3)
    (record,) = caplog.records
    assert "['b', 'colour']" in record.message


def test_settings_come_from_a_block_of_yaml(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(
        "model: big\ntelemetry:\n  collect_every_n: 10\n  output_dir: null\n"
    )
    assert TelemetryConfig.from_yaml(path) == TelemetryConfig(collect_every_n=10)


@pytest.mark.parametrize(
    "text, words",
    [
        ("telemetry: !!python/object/apply:os.system ['true']", "plain values"),
        ("model: big", "no block"),
        ("telemetry: [1]", "no block"),
        ("a: [", "plain values"),
    ],
)
def test_yaml_that_holds_no_settings_is_refused(tmp_path, text, words):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=words):
        TelemetryConfig.from_yaml(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    "wrong", [{"collect_every_n": 0}, {"holdout_size": 1.5}, {"weights_on": "moon"}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TelemetryConfig(**wrong)


def test_a_damaged_line_is_found(tmp_path):
    with TrainingTelemetry(config(tmp_path)) as collected:
        collected.on_batch_end(stats(), step=200, batch_idx=0, epoch=0)
    file = tmp_path / "telemetry" / "telemetry.jsonl"
    file.write_text("{\n" + file.read_text())
    with pytest.raises(CorruptLineError):
        lines(tmp_path)
