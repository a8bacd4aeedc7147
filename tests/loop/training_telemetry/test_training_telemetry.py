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


def test_the_exact_text_of_a_line(tmp_path):
    labels = np.array([1, 0, 1])
    inputs = np.array([[1.0, 2.0], [3.0, 1.0], [0.5, 0.1]], np.float32)
    with TrainingTelemetry(config(tmp_path), clock=lambda: 0.0) as collected:
        collected.set_holdout_data(inputs, labels, lambda p, x: x * p["body"][0])
        for step, value in [(200, 1.0), (400, 1.5)]:
            collected.on_batch_end(
                stats(**{"update/ratio": jnp.float32(1e-3), "my_metric": 42}),
                step=step,
                batch_idx=step - 150,
                epoch=1,
                params=params(value),
                batch={"winner": np.array([0, 1, 1])},
                extra={"note": "warm", "top": {"k": jnp.array([1, 5]), "none": None}},
            )
    first, second = (tmp_path / "telemetry" / "telemetry.jsonl").read_text().split()
    assert second == (
        '{"step":400,"batch_idx":250,"epoch":1,'
        '"timestamp":"1970-01-01T00:00:00.000+00:00",'
        '"gradient_norm":{"overall":5.0,"body":3.0,"head":4.0},'
        '"weight_delta":{"overall":1.8027756,"body":1.0,"head":1.5},'
        '"learning_rates":{"group_0":0.25,"group_1":0.5,"body":0.25,"head":0.5},'
        '"holdout_logits":{"logits":[[1.5,3.0],[4.5,1.5],[0.75,0.15]],'
        '"labels":[1,0,1],"predictions":[1,0,0],"accuracy":0.6666667},'
        '"batch_stats":{"winner_0_pct":33.333336,"winner_1_pct":66.66667,'
        '"batch_size":3},'
        '"update/ratio":0.001,"my_metric":42,"note":"warm","top":{"k":[1,5],"none":null}}'
    )
    unknown = {"overall": None, "body": None, "head": None}
    assert json.loads(first)["weight_delta"] == unknown


def test_a_value_that_has_the_name_of_a_field_or_no_plain_form_is_refused(tmp_path):
    position = dict(step=200, batch_idx=0, epoch=0)
    with TrainingTelemetry(config(tmp_path)) as collected:
        for stats_, extra in [({"epoch": 1}, None), ({}, {"epoch": 1})]:
            with pytest.raises(ValueError, match=r"\['epoch'\], which are fields"):
                collected.on_batch_end(stats_, extra=extra, **position)
        for extra in ({"x": object()}, {"x": [{1: 2}]}, {"x": np.ones(2, complex)}):
            with pytest.raises(TypeError, match="got x.* expected numbers"):
                collected.on_batch_end({}, extra=extra, **position)
        with pytest.raises(TypeError, match="a step of type float"):
            collected.on_batch_end({}, **position | {"step": 200.0})
        collected.on_batch_end({}, **position)
    (line,) = lines(tmp_path)
    assert list(line) == ["step", "batch_idx", "epoch", "timestamp"]


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


@pytest.mark.parametrize(
    ("logits", "labels", "predictions"),
    [
        ([[2.0], [-1.0]], [1, 0], [1, 0]),
        ([[2.0], [-1.0]], [[1], [0]], [[1], [0]]),
        ([[0.0, 1.0, 2.0], [3.0, 1.0, 2.0]], [[2], [0]], [2, 0]),
        ([[2.0, -1.0], [-1.0, 2.0]], [[1, 0], [0, 1]], [[1, 0], [0, 1]]),
    ],
)
def test_a_last_axis_of_one_entry_is_no_axis_of_classes(
    tmp_path, logits, labels, predictions
):
    position = dict(step=200, batch_idx=0, epoch=0)
    with TrainingTelemetry(config(tmp_path)) as collected:
        collected.set_holdout_data(np.float32(logits), labels, lambda p, x: x * p)
        collected.on_batch_end({}, params=jnp.float32(1.0), **position)
    values = lines(tmp_path)[0]["holdout_logits"]
    assert (values["predictions"], values["accuracy"]) == (predictions, 1.0)


def test_predictions_that_do_not_fit_the_labels_are_refused(tmp_path):
    position = dict(step=200, batch_idx=0, epoch=0, params=jnp.float32(1.0))
    with TrainingTelemetry(config(tmp_path)) as collected:
        for logits, labels in [((3, 2), 2), ((2, 3, 4), 2), ((2,), (2, 3)), ((), 2)]:
            inputs, labels = np.ones((2, *logits)), np.zeros(labels, int)
            collected.set_holdout_data(inputs, labels, lambda p, x: p * x[0])
            with pytest.raises(ValueError, match="apply_fn.* for labels of shape"):
                collected.on_batch_end({}, **position)
        collected.set_holdout_data(np.ones(2), np.zeros(2, int), lambda p, x: (x, p))
        with pytest.raises(TypeError, match="returned a tuple; expected an array"):
            collected.on_batch_end({}, **position)


def test_functions_and_flags_among_the_weights_are_no_arrays(tmp_path):
    model = {"w": jnp.float32(2.0), "act": jnp.tanh, "is_linear": True, "p": 0.5}

    def apply(model, x):
        return x * model["w"] * model["p"] if model["is_linear"] else model["act"](x)

    for where in ("device", "host"):
        options = config(tmp_path / where, weights_on=where)
        with TrainingTelemetry(options) as collected:
            collected.set_holdout_data(np.float32([3.0]), [1], apply)
            for step in (200, 400):
                weights = model | {"w": jnp.float32(step), "key": jax.random.key(step)}
                position = dict(step=step, batch_idx=0, epoch=0)
                collected.on_batch_end({}, params=weights, **position)
        last = lines(tmp_path / where)[1]
        assert last["holdout_logits"]["logits"] == [3.0 * 400 * 0.5]
        assert last["weight_delta"]["overall"] == 200.0


def test_a_scale_is_no_rate_and_rates_are_numbered_in_order(tmp_path):
    position = dict(step=200, batch_idx=0, epoch=0)
    rates = {"lr/lr": 0.0} | {f"lr/lr_{n}": float(n) for n in (1, 10, 11, 2)}
    with TrainingTelemetry(config(tmp_path)) as collected:
        collected.on_batch_end({"lr/scale": 0.5}, **position)
        collected.on_batch_end(rates | {"lr/head/scale": 0.5}, **position)
    first, second = lines(tmp_path)
    assert "learning_rates" not in first and first["lr/scale"] == 0.5
    numbered = {k: x for k, x in second["learning_rates"].items() if "group" in k}
    assert list(numbered.values()) == [0.0, 1.0, 2.0, 10.0, 11.0]
    assert second["lr/head/scale"] == 0.5


def test_a_logger_receives_the_scalars_and_has_the_directory(tmp_path):
    with jm.TrainingLogger(root=tmp_path, run_name="run") as logger:
        with TrainingTelemetry(logger=logger) as collected:
            for step in (200, 400):
                position = dict(step=step, batch_idx=0, epoch=0)
                collected.on_batch_end(stats(), params=params(1.0 * step), **position)
    assert (logger.run_dir / "telemetry" / "telemetry.jsonl").exists()
    run = jm.Run.load(logger.run_dir)
    assert [part.tolist() for part in run["delta/norm/head"]] == [[400], [600.0]]
    assert [part.tolist() for part in run["grad/norm"]] == [[200, 400], [5.0, 5.0]]


@pytest.mark.parametrize("collect_first", [True, False])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("every", [1, 3])
def test_what_the_loop_logs_itself_wins(tmp_path, collect_first, given, every):
    options = config(tmp_path, collect_every_n=2)
    with jm.TrainingLogger(root=tmp_path, run_name="run", console=False) as logger:
        collected = TrainingTelemetry(options, logger=logger if given else None)
        if not given:
            logger.attach(telemetry=collected)

        def collect(step):
            values = stats(**{"lr/lr": 9.0})
            collected.on_batch_end(values, step=step, batch_idx=0, epoch=0)

        def log(step):
            if step % every == 0:
                logger.log_step(step, loss=1.0, lr=0.5, grad_norm=7.0)

        with collected:
            for step in range(1, 8):
                for act in (collect, log) if collect_first else (log, collect):
                    act(step)
    run = jm.Run.load(logger.run_dir)  # it would warn of values that differ
    logged = list(range(every, 8, every))
    own = dict(zip(*run["grad/norm"]))
    assert {step: own.pop(step) for step in logged} == dict.fromkeys(logged, 7.0)
    assert set(own.values()) <= {5.0}
    # Without logger= they wait for a record of the loop, or the next collection.
    waiting = {(3, True): [2, 6], (3, False): [2, 4], (1, False): [2, 4, 6]}
    steps = [2, 4, 6] if given else waiting.get((every, collect_first), [2, 4, 6])
    assert run["grad/norm/body"][0].tolist() == steps
    assert len(lines(tmp_path)) == 3


def test_no_scalar_is_lost_between_a_state_and_a_restore(tmp_path):
    position = dict(step=200, batch_idx=0, epoch=0)
    with jm.TrainingLogger(root=tmp_path, run_name="run", console=False) as logger:
        with TrainingTelemetry(logger=logger) as collected:
            collected.on_batch_end(stats(), **position)
            assert list(collected.state()) == ["position", "weights"]
            assert logger.latest()["grad/norm/body"] == 3.0
    with TrainingTelemetry(config(tmp_path)) as collected:  # as for logger.attach()
        collected.on_batch_end(stats(), **position)
        state = collected.state()
        scalars = collected.metrics()
        assert scalars["grad/norm/body"] == 3.0 and collected.metrics() == {}
        collected.load_state(state)
        assert collected.metrics() == scalars


def test_several_telemetries_of_a_logger_have_names_of_their_own(tmp_path):
    with jm.TrainingLogger(root=tmp_path, run_name="run", console=False) as logger:
        with TrainingTelemetry(logger=logger) as first:
            with TrainingTelemetry(config(tmp_path), logger=logger) as second:
                assert dict(logger.attached) == dict(
                    telemetry=first, telemetry_2=second
                )
        assert first.state() == {"position": 0, "weights": -1}, "a closed file"
        with TrainingTelemetry(logger=logger) as third:
            assert logger.attached["telemetry"] is third


def test_values_of_the_last_collection_are_logged_at_the_end(tmp_path):
    with jm.TrainingLogger(root=tmp_path, run_name="run", console=False) as logger:
        with TrainingTelemetry(logger=logger) as collected:
            logger.log_step(200, loss=1.0, grad_norm=7.0)
            collected.on_batch_end(
                stats(**{"lr/lr": 9.0}), step=200, batch_idx=0, epoch=0
            )
    run = jm.Run.load(logger.run_dir)
    names = ("grad/norm/body", "grad/norm", "lr/lr")
    assert [[x.tolist() for x in run[name]] for name in names] == [
        [[200], [3.0]],
        [[200], [7.0]],
        [[200], [9.0]],
    ]


def test_a_restored_logger_knows_what_the_loop_logged_at_the_step(tmp_path):
    position = dict(step=2, batch_idx=0, epoch=0)
    options = config(tmp_path, collect_every_n=2)
    with jm.TrainingLogger(root=tmp_path, run_name="run", console=False) as logger:
        with TrainingTelemetry(options) as collected:
            logger.attach(telemetry=collected)
            logger.log_step(2, grad_norm=7.0)
            collected.on_batch_end(stats(**{"lr/lr": 9.0}), **position)
            states = collected.state(), logger.state()
            records = []
            for _ in range(2):
                logger.log_step(3, grad_norm=8.0)
                logger.flush()
                lines = (logger.run_dir / "metrics.jsonl").read_text().splitlines()
                records.append([json.loads(line) for line in lines[1:]])
                collected.load_state(states[0])
                logger.load_state(states[1])
    values = [[(r.get("grad/norm"), r.get("lr/lr")) for r in rows] for rows in records]
    assert values == [[(7.0, None), (None, 9.0), (8.0, None)]] * 2


def test_a_logger_may_be_closed_first(tmp_path):
    logger = jm.TrainingLogger(root=tmp_path, run_name="run", console=False)
    with TrainingTelemetry(logger=logger) as collected:
        collected.on_batch_end(stats(), step=200, batch_idx=0, epoch=0)
        logger.close()
    with TrainingTelemetry(config(tmp_path)):
        pass  # its file is not open any more


def test_disabled_statistics_are_left_out(tmp_path):
    off = {f"track_{name}": False for name in ("gradients", "weight_delta")}
    off |= dict(track_learning_rates=False, track_batch_stats=False)
    with TrainingTelemetry(config(tmp_path, **off)) as collected:
        assert collected.on_batch_end(
            stats(), step=200, batch_idx=7, epoch=1, params=params(), batch=np.ones(2)
        )
    (line,) = lines(tmp_path)
    assert list(line) == ["step", "batch_idx", "epoch", "timestamp"]
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


def test_statistics_of_another_period_are_an_error_at_once(tmp_path):
    position = dict(batch_idx=0, epoch=0)
    missing = stats() | {"health/collected": jnp.array(False)}
    with TrainingTelemetry(config(tmp_path)) as collected:
        with pytest.raises(ValueError, match="at step 200, .*every=200"):
            collected.on_batch_end(missing, step=200, **position)
        collected.on_batch_end(stats(), step=200, **position)
    collected = TrainingTelemetry(config(tmp_path))
    collected.on_batch_end(stats(), step=400, **position)
    collected.on_batch_end(missing, step=600, **position)  # found when it is fetched
    with pytest.raises(ValueError, match="at step 600"):
        collected.flush()
    collected.close()
    assert [line["step"] for line in lines(tmp_path)] == [200, 400]


def test_labels_of_a_batch_may_be_of_any_type_that_holds_integers(tmp_path):
    pd = pytest.importorskip("pandas")
    position = dict(step=200, batch_idx=0, epoch=0)
    labels = [0, 1, 1, 2]
    with TrainingTelemetry(config(tmp_path)) as collected:
        for batch in (labels, tuple(labels), np.uint8(labels), pd.Series(labels)):
            collected.on_batch_end({}, batch={"winner": batch}, **position)
    for line in lines(tmp_path):
        expected = {"winner_0_pct": 25.0, "winner_1_pct": 50.0, "batch_size": 4}
        assert line["batch_stats"] == expected


@pytest.mark.parametrize(
    ("batch", "error", "words"),
    [
        ({"x": 1}, KeyError, "label_field"),
        ((np.ones((4, 2)), np.ones(4, int)), TypeError, "a batch of tuple.*alone"),
        (["a", "b"], TypeError, "a batch of <U1; expected integer class"),
        (np.array([2**32, 1]), ValueError, "'labels' has integers beyond 32 bits"),
        (np.ma.array([0, 1], mask=[0, 1]), TypeError, "a masked array of NumPy"),
    ],
)
def test_a_batch_without_labels_is_refused(tmp_path, batch, error, words):
    with TrainingTelemetry(config(tmp_path)) as collected:
        with pytest.raises(error, match=words):
            collected.on_batch_end({}, step=200, batch_idx=0, epoch=0, batch=batch)


def test_a_collection_after_the_end_is_refused(tmp_path):
    with TrainingTelemetry(config(tmp_path)) as collected:
        pass
    with pytest.raises(ValueError, match=r"step 200 after close\(\)"):
        collected.on_batch_end({}, step=200, batch_idx=0, epoch=0)


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
