"""The training logger: what a loop calls, and what lies on the disk after it."""

import json
import logging
import math
import socket
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.processes import run_python, start_python

import jaxmetrics as jm
from jaxmetrics import LogConfig, TrainingLogger
from jaxmetrics.logger._open_run import process_writers as writers_of
from jaxmetrics.pipeline import _row
from jaxmetrics.pipeline._fetched import FetchedValues
from jaxmetrics.record import scalar
from jaxmetrics.record import AppendFile, WriterLockedError, dumps, loads, read_lines
from jaxmetrics.writers import JSONL, Console, Memory


class Clock:
    """Seconds that pass when told."""

    def __init__(self, now=0.0):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(tmp_path, clock):
    """Make loggers of one run, closed at the end."""
    made = []

    def make(run_name="run", **options):
        options = {"writers": [JSONL()], "root": tmp_path, "clock": clock} | options
        made.append(TrainingLogger("project", run_name, **options))
        return made[-1]

    yield make
    for logger in made:
        logger.close()


def rows(logger, file="metrics.jsonl"):
    """The rows of a run, without the header."""
    found, _ = read_lines(logger.run_dir / file)
    return [row for row in found if row.get("kind") != "header"]


def steps(logger, split="train"):
    return [row["step"] for row in rows(logger) if row["split"] == split]


def description(logger):
    return json.loads((logger.run_dir / "run.json").read_text())


def events(logger):
    return read_lines(logger.run_dir / "events.jsonl")[0]


# The first minutes


def test_three_lines_are_enough(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with TrainingLogger(print_every=1) as logger:
        logger.log_step(step=1, loss=1.5, lr=3e-4, mfu=0.56)
    assert logger.run_dir.parent == Path("runs/jaxmetrics")
    assert capsys.readouterr().out == (
        "[   0.0m] step=1 │ loss=1.500 │ lr=3.000e-04 │ mfu=56.0%\n"
    )
    (row,) = rows(logger)
    assert {name: row[name] for name in ("step", "split", "train/loss")} == {
        "step": 1,
        "split": "train",
        "train/loss": 1.5,
    }
    assert row["lr/lr"] == 3e-4
    assert row["perf/mfu"] == 0.56


def test_the_record_begins_with_a_header_that_names_the_run(make):
    logger = make()
    header = read_lines(logger.run_dir / "metrics.jsonl")[0][0]
    run_id = description(logger)["run_id"]
    assert header == {"kind": "header", "schema": 1, "run_id": run_id}


def test_the_description_of_a_run(make):
    logger = make(hparams={"lr": 1e-3}, tags=["tpu"])
    run = description(logger)
    assert run["schema"] == 1
    assert (run["project"], run["run_name"]) == ("project", "run")
    assert run["created"] == "1970-01-01T00:00:00.000+00:00"
    assert run["hparams"] == {"lr": 1e-3}
    assert run["tags"] == ["tpu"]
    assert run["versions"]["jax"] == jax.__version__
    assert run["attempts"] == [
        {"attempt": 1, "time": "1970-01-01T00:00:00.000+00:00", "restored_step": None}
    ]


def test_the_devices_are_described_once_jax_has_started(make):
    jnp.zeros(()).block_until_ready()
    logger = make()
    logger.log_step(step=1, loss=1.0)
    assert description(logger)["devices"] == {
        "kind": "cpu",
        "count": jax.device_count(),
        "processes": 1,
    }


def test_what_is_known_of_the_machine_is_added_to_the_description(make):
    mesh = jax.make_mesh((4, 2), ("data", "model"))
    logger = make(hparams={"lr": 1})
    logger.describe(mesh=mesh, flops={"per_step": 1e12, "source": "traced"})
    found = description(logger)
    assert found["mesh"] == {"data": 4, "model": 2}
    assert found["flops"] == {"per_step": 1e12, "source": "traced"}
    assert found["hparams"] == {"lr": 1}
    with pytest.raises(ValueError, match="'run_id'.*log_hparams"):
        logger.describe(run_id="mine")
    assert description(logger) == found


def test_a_run_without_a_name_is_named_by_its_time(make):
    first, second = make(run_name=None), make(run_name=None)
    assert first.run_dir.name == "19700101_000000"
    assert second.run_dir.name == "19700101_000000-2"


def test_the_settings_have_these_defaults():
    assert LogConfig() == LogConfig(
        project="jaxmetrics",
        run_name=None,
        tags=(),
        log_every=50,
        print_every=25,
        max_wandb_mb=100.0,
        enable_histograms=False,
        use_colors=True,
        compact_format=False,
        master_only=True,
    )


def test_settings_given_directly_go_over_the_configuration(tmp_path):
    config = LogConfig(project="theirs", run_name="run", print_every=7)
    with TrainingLogger(config=config, root=tmp_path, print_every=3) as logger:
        assert logger.config.print_every == 3
        assert logger.run_dir == tmp_path / "theirs" / "run"


def test_an_unknown_setting_is_refused_with_the_nearest_one(make):
    with pytest.raises(TypeError, match="'print_evry'.*'print_every'"):
        make(print_evry=3)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "..", "", "a\nb", "x" * 65])
def test_a_name_that_is_no_folder_is_refused(make, name):
    with pytest.raises(ValueError, match="run_name"):
        make(run_name=name)


@pytest.mark.parametrize("root", ["gs://bucket/runs", "gs:/bucket", "s3://bucket"])
def test_a_bucket_is_refused_with_advice(make, root):
    with pytest.raises(ValueError, match="mount the bucket"):
        make(root=root)


def test_a_directory_that_cannot_be_written_fails_at_once(tmp_path, make):
    (tmp_path / "project").write_text("a file in its place")
    with pytest.raises(OSError):
        make()


def test_secrets_are_hidden(make):
    logger = make(hparams={"lr": 1, "wandb": {"api_key": "hush"}})
    logger.ledger.event("note", url="https://me:hush@host")
    logger.close()
    assert description(logger)["hparams"] == {
        "lr": 1,
        "wandb": {"api_key": "<redacted>"},
    }
    for file in logger.run_dir.iterdir():
        assert "hush" not in file.read_text()


# Rows


def test_values_of_one_step_and_split_join_one_row(make):
    logger = make()
    logger.log_step(5, loss=1.0)
    logger.log_step(5, split="val", loss=3.0)
    logger.log_step(5, {"a b": 2.0}, accuracy=0.5)
    assert rows(logger) == []
    logger.log_step(6, loss=1.0)
    assert logger.flush()
    assert rows(logger) == [
        {
            "step": 5,
            "split": "train",
            "time": 0.0,
            "train/loss": 1.0,
            "train/a b": 2.0,
            "train/accuracy": 0.5,
        },
        {"step": 5, "split": "val", "time": 0.0, "val/loss": 3.0},
        {"step": 6, "split": "train", "time": 0.0, "train/loss": 1.0},
    ]


def test_a_later_step_of_another_split_completes_a_row(make):
    logger = make(writers=[memory := Memory()])
    logger.log_step(5, loss=1.0)
    logger.log_step(6, split="val", loss=1.0)
    with pytest.raises(ValueError, match="step 5"):
        logger.log_step(5, loss=2.0)
    logger.flush()
    assert [(r.step, r.split) for r in memory.records] == [(5, "train"), (6, "val")]


def test_a_step_that_was_written_is_an_error_with_a_way_out(make):
    logger = make()
    logger.log_step(5, loss=1.0)
    logger.flush()
    for step in (5, 4):
        with pytest.raises(ValueError, match="resume_step=.*overwrite=True"):
            logger.log_step(step, loss=2.0)
    logger.log_step(4, split="val", loss=2.0)
    logger.close()
    assert steps(logger) == [5]
    assert steps(logger, "val") == [4]


def test_without_a_step_a_row_takes_the_next_one(make):
    logger = make(writers=[JSONL(), memory := Memory()])
    logger.log_step(loss=1.0)
    logger.log_step(loss=2.0)
    logger.log_step(split="val", loss=3.0)
    logger.log_step(10, loss=4.0)
    logger.log_step(loss=5.0)
    logger.log_step(split="val", loss=6.0)
    logger.close()
    assert steps(logger) == [1, 2, 10, 11]
    assert steps(logger, "val") == [2, 11]
    assert [type(r).__name__ for r in memory.records if r.step in (1, 10)] == [
        "UnnumberedRecord",
        "Record",
    ]


def test_tokens_and_samples_are_fields_of_the_row(make):
    logger = make()
    logger.log_step(1, tokens=np.int64(2**40), samples=jnp.int32(8), loss=1.0)
    logger.close()
    (row,) = rows(logger)
    assert list(row) == ["step", "split", "time", "tokens", "samples", "train/loss"]
    assert (row["tokens"], row["samples"]) == (2**40, 8)


def test_every_kind_of_scalar_is_a_number(make):
    logger = make()
    values = {
        "python": 1.5,
        "count": 2**62,
        "numpy": np.float32(0.1),
        "rank_0": np.array(3),
        "device": jnp.float32(0.1),
        "narrow": jnp.bfloat16(1.5),
        "flag": jnp.array(True),
    }
    logger.log_step(1, values)
    logger.close()
    (row,) = rows(logger)
    assert [row[f"train/{name}"] for name in values] == [
        1.5,
        2**62,
        0.10000000149011612,
        3,
        0.10000000149011612,
        1.5,
        1,
    ]


def test_an_array_is_read_as_it_was_when_it_was_logged(make):
    logger = make()
    value = np.array(1.0)
    logger.log_step(1, value=value)
    value[...] = 2.0
    logger.close()
    assert rows(logger)[0]["train/value"] == 1.0


def test_values_that_are_not_finite_are_strict_json(make):
    logger = make()
    logger.log_step(1, a=math.nan, b=jnp.inf, c=-math.inf)
    logger.close()
    text = (logger.run_dir / "metrics.jsonl").read_text()
    row = json.loads(text.splitlines()[1], parse_constant=pytest.fail)
    assert [row["train/a"], row["train/b"], row["train/c"]] == [
        "NaN",
        "Infinity",
        "-Infinity",
    ]


@pytest.mark.parametrize(
    "value", ["text", None, 1j, np.zeros(2), jnp.zeros(1), [1.0], [[1], [1, 2]]]
)
def test_a_value_that_is_no_number_costs_nothing_else(make, value):
    logger = make()
    with pytest.raises(TypeError, match="'bad'.*metrics="):
        logger.log_step(1, {"first": 1.0}, bad=value, last=2.0)
    logger.close()
    (row,) = rows(logger)
    assert row["train/first"] == 1.0
    assert row["train/last"] == 2.0
    assert "train/bad" not in row


def test_a_value_within_jit_is_an_error_that_says_so(make):
    logger = make()

    @jax.jit
    def step(x):
        logger.log_step(1, loss=x)
        return x

    with pytest.raises(TypeError, match="'loss'.*within jit"):
        step(1.0)


def test_a_name_given_twice_is_an_error_and_the_first_value_stays(make):
    logger = make()
    logger.log_step(1, loss=1.0)
    with pytest.raises(ValueError, match="'train/loss'"):
        logger.log_step(1, loss=2.0, accuracy=0.5)
    with pytest.raises(ValueError, match="'perf/mfu'"):
        logger.log_step(1, {"perf/mfu": 0.5}, mfu=0.5)
    logger.close()
    (row,) = rows(logger)
    assert (row["train/loss"], row["train/accuracy"]) == (1.0, 0.5)


@pytest.mark.parametrize("step", [1.5, "1", True, -1])
def test_a_step_is_a_count(make, step):
    with pytest.raises((TypeError, ValueError), match="step"):
        make().log_step(step, loss=1.0)


def test_a_step_on_a_device_would_have_to_be_waited_for(make):
    with pytest.raises(TypeError, match="int\\(step\\)"):
        make().log_step(jnp.int32(1), loss=1.0)


def test_a_donated_value_is_an_error_with_its_name_once(make):
    hold = threading.Event()

    class Slow(Memory):
        def write(self, record):
            hold.wait()
            super().write(record)

    logger = make(writers=[slow := Slow()])
    logger.log_step(1, loss=0.0)
    logger.log_step(2, loss=(donated := jnp.float32(1.0) + 1), accuracy=0.5)
    logger.log_step(3, loss=2.0)
    donated.delete()
    hold.set()
    with pytest.raises(RuntimeError, match="'train/loss'.*step 2"):
        logger.flush()
    assert logger.flush()
    assert [r.values for r in slow.records] == [
        {"train/loss": 0.0},
        {"train/accuracy": 0.5},
        {"train/loss": 2.0},
    ]


def test_a_value_deleted_already_is_an_error_with_its_name(make):
    logger = make()
    gone = jnp.float32(1.0) + 1
    gone.delete()
    with pytest.raises(RuntimeError, match="'loss'.*deleted"):
        logger.log_step(1, loss=gone, accuracy=0.5)
    logger.close()
    assert rows(logger)[0]["train/accuracy"] == 0.5


def test_the_training_thread_fetches_nothing(make, monkeypatch):
    threads = []

    def watched(value):
        threads.append(threading.current_thread())
        return scalar(value)

    monkeypatch.setattr(_row, "scalar", watched)
    logger = make(writers=[JSONL(), Memory()])
    for step in range(1, 4):
        logger.log_step(step, loss=jnp.float32(1.0), accuracy=jnp.float32(1.0))
    assert logger.flush()
    assert len(threads) == 6  # once a value, whatever the number of writers
    assert threading.main_thread() not in threads


# Whole metrics


def test_a_collection_is_reduced_by_one_call_and_named(make):
    metrics = jm.Collection(loss=jm.Mean("loss"), worst=jm.Max("loss"))
    metrics = metrics.update(loss=jnp.array([1.0, 3.0]))
    logger = make()
    logger.log_step(1, metrics, lr=0.1)
    logger.log_step(1, metrics, split="val")
    logger.close()
    train, val = rows(logger)
    assert (train["train/loss"], train["train/worst"], train["lr/lr"]) == (2, 3, 0.1)
    assert (val["val/loss"], val["val/worst"]) == (2, 3)


def test_a_lone_metric_and_a_deferred_one_are_logged(make):
    logger = make()
    mesh = jax.make_mesh((jax.device_count(),), ("data",))
    shards = jm.Collection(loss=jm.Mean("loss")).deferred(mesh)
    batch = jax.device_put(
        np.arange(16.0, dtype=np.float32),
        jax.NamedSharding(mesh, jax.sharding.PartitionSpec("data")),
    )
    shards = jax.jit(lambda m, x: m.update(loss=x))(shards, batch)
    logger.log_step(1, shards)
    logger.log_step(2, jm.Mean("loss").update(loss=jnp.array([1.0, 2.0])))
    logger.close()
    assert [row["train/loss"] for row in rows(logger)] == [7.5, 1.5]


class Parts(jm.Metric):
    """A value of two numbers."""

    sums: jm.Array = jm.sum_leaf()

    def observe(self, *, loss, mask=None):
        return {"sums": jm.total(loss, mask)}

    def compute(self):
        return jm.namespace(self).stack([self.sums, -self.sums])


def test_an_array_among_metrics_is_left_out_with_one_warning(make, caplog):
    metrics = jm.Collection(loss=jm.Mean("loss"), spread=Parts())
    metrics = metrics.update(loss=jnp.array([1.0]))
    logger = make()
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        logger.log_step(1, metrics)
        logger.log_step(2, metrics)
        logger.close()
    assert [row["train/loss"] for row in rows(logger)] == [1.0, 1.0]
    (warning,) = [r for r in caplog.records if "train/spread" in r.getMessage()]
    assert warning.levelname == "WARNING"


def test_a_name_that_a_metric_gives_again_is_an_error_after_the_fetch(make):
    metrics = jm.Collection(loss=jm.Mean("loss")).update(loss=jnp.array([1.0]))
    logger = make()
    logger.log_step(1, metrics, loss=7.0)
    with pytest.raises(RuntimeError, match="'train/loss'"):
        logger.close()
    assert rows(logger)[0]["train/loss"] == 7.0


def test_metrics_of_another_kind_are_refused(make):
    with pytest.raises(TypeError, match="list.*Collection"):
        make().log_step(1, [1.0])


# Flush, close, latest


def test_flush_is_false_when_a_record_was_lost(make, monkeypatch):
    logger = make()
    monkeypatch.setattr(
        JSONL, "write", lambda self, record: (_ for _ in ()).throw(OSError("full"))
    )
    logger.log_step(1, loss=1.0)
    assert not logger.flush()
    monkeypatch.undo()
    logger.log_step(2, loss=1.0)
    assert logger.flush()
    assert steps(logger) == [2]


def test_flush_is_false_when_the_record_dropped_rows(make, monkeypatch):
    gate, entered = threading.Event(), threading.Event()
    write = JSONL.write

    def slow(self, record):
        entered.set()
        gate.wait()
        write(self, record)

    monkeypatch.setattr(JSONL, "write", slow)
    logger = make()
    queue = logger._sinks._sinks["metrics.jsonl"]._queue
    queue._capacity, queue._put_timeout = 1, 0.0
    for step in range(1, 5):
        logger.log_step(step, loss=1.0)
        if step == 2:
            entered.wait()
    gate.set()
    assert not logger.flush()
    logger.log_step(6, loss=1.0)
    assert logger.flush()
    assert steps(logger)[:2] == [1, 2]
    assert len(steps(logger)) < 5


def test_closing_twice_is_the_same_as_once(make):
    logger = make()
    logger.log_step(1, loss=1.0)
    assert logger.close()
    assert logger.close()
    assert logger.flush()
    assert [event["event"] for event in events(logger)] == ["start", "step", "close"]
    assert events(logger)[-1]["writers"]["metrics.jsonl"]["written"] == 1
    with pytest.raises(ValueError, match="closed"):
        logger.log_step(2, loss=1.0)


def test_an_error_of_the_loop_is_not_hidden_by_one_of_the_log(make):
    donated = jnp.float32(1.0) + 1
    with pytest.raises(ZeroDivisionError), make() as logger:
        logger.log_step(1, loss=donated)
        donated.delete()
        raise ZeroDivisionError
    assert logger.close()


def test_a_loop_that_never_closes_loses_nothing(tmp_path):
    script = """
        import sys
        from jaxmetrics import TrainingLogger
        logger = TrainingLogger("p", "run", root=sys.argv[1])
        logger.log_step(25, loss=1.0)
        logger.log_step(26, loss=1.0)
        raise SystemExit(3)
    """
    done = run_python(script, tmp_path)
    assert done.returncode == 3
    assert done.stdout == "[   0.0m] step=25 │ loss=1.000\n"
    kept, _ = read_lines(tmp_path / "p" / "run" / "metrics.jsonl")
    assert [row.get("step") for row in kept] == [None, 25, 26]


def test_a_forked_child_leaves_the_run_alone(tmp_path):
    script = """
        import os, sys
        from jaxmetrics import TrainingLogger
        logger = TrainingLogger("p", "run", root=sys.argv[1], print_every=1)
        logger.log_step(1, loss=1.0)
        child = os.fork()
        if child == 0:
            logger.log_step(2, loss=2.0)
            assert not logger.flush()
            logger.ledger.event("child")
            sys.exit(0)  # which runs what is registered for the exit
        assert os.waitpid(child, 0)[1] == 0
        logger.log_step(2, loss=3.0)
        assert logger.close()
    """
    done = run_python(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("step=") == 2
    run = tmp_path / "p" / "run"
    kept, _ = read_lines(run / "metrics.jsonl")
    assert [row.get("train/loss") for row in kept] == [None, 1.0, 3.0]
    kept, _ = read_lines(run / "events.jsonl")
    assert [event["event"] for event in kept] == ["start", "step", "close"]


def test_latest_and_best(make):
    logger = make(writers=[JSONL(), Memory(every=10)])
    for step in range(1, 12):
        logger.log_step(step, loss=jnp.float32(step))
    logger.log_step(11, split="val", loss=0.25)
    logger.flush()
    assert logger.latest() == {"train/loss": 11.0, "val/loss": 0.25}
    best = logger.best_fn("val/loss")
    assert best(logger.latest()) == 0.25
    with pytest.raises(KeyError, match="val/accuracy"):
        logger.best_fn("val/accuracy")(logger.latest())


def test_latest_is_that_of_the_last_step_in_whatever_order_rows_are_fetched():
    fetched = FetchedValues()
    made = [_row.Row(step, "train", 0.0, on_record=fetched.add) for step in (1, 2)]
    for row in made:
        row.add("train/loss", float(row.step))
    for row in reversed(made):
        row.record()
    assert fetched.latest() == {"train/loss": 2.0}


def test_best_fn_is_what_a_checkpoint_manager_asks(make, tmp_path):
    ocp = pytest.importorskip("orbax.checkpoint")
    logger = make()
    options = ocp.CheckpointManagerOptions(
        best_fn=logger.best_fn("val/loss"), best_mode="min"
    )
    with ocp.CheckpointManager(tmp_path / "checkpoints", options=options) as manager:
        for step, loss in ((1, 2.0), (2, 1.0), (3, 3.0)):
            logger.log_step(step, split="val", loss=loss)
            logger.flush()
            manager.save(
                step,
                args=ocp.args.StandardSave({"x": np.zeros(1)}),
                metrics=logger.latest(),
            )
        manager.wait_until_finished()
        assert manager.best_step() == 2


# Continuing a run


def test_a_second_writer_in_this_process_is_refused(make):
    make()
    with pytest.raises(WriterLockedError):
        make()
    with pytest.raises(WriterLockedError):
        make(overwrite=True)


def test_a_second_writer_in_another_process_is_refused_and_changes_nothing(
    make, tmp_path
):
    logger = make()
    before = description(logger)
    script = """
        import sys
        from jaxmetrics import TrainingLogger
        TrainingLogger("project", "run", root=sys.argv[1])
    """
    done = run_python(script, tmp_path)
    assert "WriterLockedError" in done.stderr
    assert description(logger) == before


def test_a_failed_start_lets_the_run_go(make):
    class Refusing(Memory):
        def open(self, run_dir, resume_step):
            raise PermissionError("read-only")

    with pytest.raises(PermissionError):
        make(writers=[JSONL(), Refusing()])
    assert make()


def test_a_run_that_exists_is_continued_as_its_next_attempt(make, clock):
    with make(hparams={"lr": 1}) as logger:
        clock.now = 10.0
        logger.log_step(5, loss=1.0)
    run_id = description(logger)["run_id"]
    again = make()
    run = description(again)
    assert run["run_id"] == run_id
    assert run["hparams"] == {"lr": 1}
    assert [attempt["attempt"] for attempt in run["attempts"]] == [1, 2]
    with pytest.raises(ValueError, match="step 5"):
        again.log_step(5, loss=2.0)
    clock.now = 12.0
    again.log_step(6, loss=2.0)
    again.close()
    assert [(row["step"], row["time"]) for row in rows(again)] == [(5, 10), (6, 12)]
    assert [(e["attempt"], e["event"]) for e in events(again)] == [
        (1, "start"),
        (1, "step"),
        (1, "close"),
        (2, "start"),
        (2, "step"),
        (2, "close"),
    ]


def test_resume_step_keeps_the_rows_up_to_it_and_sets_the_others_aside(make, clock):
    with make() as logger:
        for step in range(1, 8):
            clock.now += 1.0
            logger.log_step(step, loss=float(step))
            logger.log_step(step, split="val", loss=float(step))
    clock.now = 100.0
    with make(resume_step=4) as again:
        clock.now = 101.0
        again.log_step(loss=-5.0)
    assert steps(again) == [1, 2, 3, 4, 5]
    assert steps(again, "val") == [1, 2, 3, 4]
    assert rows(again)[-1]["time"] == 5.0
    aside = read_lines(again.run_dir / "metrics.jsonl.after-4")[0]
    assert {row["step"] for row in aside} == {5, 6, 7}
    assert description(again)["attempts"][1]["restored_step"] == 4


def test_overwrite_sets_the_old_run_aside(make):
    for step in (1, 2, 3):
        with make(overwrite=True) as logger:
            logger.log_step(step, loss=1.0)
    assert steps(logger) == [3]
    assert len(description(logger)["attempts"]) == 1
    for number, step in ((1, 1), (2, 2)):
        old = logger.run_dir.with_name(f"run.old-{number}") / "metrics.jsonl"
        assert read_lines(old)[0][1]["step"] == step


def test_overwrite_and_resume_contradict_each_other(make):
    with pytest.raises(ValueError, match="overwrite=True and resume_step=3"):
        make(overwrite=True, resume_step=3)


def test_a_state_is_plain_and_restores_the_same_record_twice(make, clock):
    reference = make("reference")
    logger = make("resumed")

    def train(log, first, last):
        for step in range(first, last):
            clock.now += 1.0
            log.log_step(step, loss=step / 3)
            if step % 2:
                log.log_step(step, split="val", loss=-step)

    train(reference, 1, 9)
    reference.close()
    clock.now = 0.0
    logger._elapsed.reset(0.0)
    train(logger, 1, 5)
    state = loads(dumps(logger.state()))
    assert json.loads(json.dumps(state)) == state
    logger.log_step(4, split="test", loss=1.0)  # after the save, so not in it
    for attempt in range(2):
        train(logger, 5, 7 + attempt)
        if attempt:
            logger.close()
            logger = make("resumed")
        logger.load_state(state)
        assert logger.latest()["train/loss"] == 4 / 3
    clock.now += 1000.0
    logger.load_state(state)
    logger.log_step(4, split="test", loss=1.0)
    logger.load_state(state)
    train(logger, 5, 9)
    logger.close()

    def body(log):
        return (log.run_dir / "metrics.jsonl").read_text().split("\n", 1)[1]

    assert body(logger) == body(reference)
    assert description(logger)["attempts"][-1]["restored_step"] == 4
    assert (logger.run_dir / "metrics.jsonl.after-4").exists()
    assert [e["event"] for e in events(logger)].count("restore") == 4


def test_open_rows_are_dropped_by_a_restore(make):
    logger = make()
    logger.log_step(1, loss=1.0)
    state = logger.state()
    logger.log_step(2, loss=2.0)
    logger.load_state(state)
    logger.log_step(2, loss=-2.0)
    logger.close()
    assert [row["train/loss"] for row in rows(logger)] == [1.0, -2.0]


def test_a_state_of_another_run_gives_its_steps_and_seconds(make, clock, caplog):
    clock.now = 5.0
    with make("first") as first:
        clock.now = 8.0
        first.log_step(7, loss=math.nan)
        state = loads(dumps(first.state()))
    second = make("second")
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        second.load_state(state)
    assert "another" in caplog.text
    assert math.isnan(second.latest()["train/loss"])
    clock.now = 9.0
    second.log_step(loss=1.0)
    second.close()
    assert [(row["step"], row["time"]) for row in rows(second)] == [(8, 4.0)]


def test_a_state_of_another_version_is_refused(make):
    with pytest.raises(ValueError, match="schema 2"):
        make().load_state({"schema": 2})


def test_the_clock_may_jump_back_and_time_does_not(make, clock):
    logger = make()
    for now in (1.0, 3.0, 2.0):
        clock.now = now
        logger.log_step(loss=1.0)
    logger.close()
    assert [row["time"] for row in rows(logger)] == [1.0, 3.0, 3.0]


# The ledger


def test_the_ledger_keeps_what_happened(make, clock):
    logger = make()
    clock.now = 1.5
    logger.ledger.event("compile", seconds=12.5, step=0)
    assert events(logger)[-1] == {
        "time": "1970-01-01T00:00:01.500+00:00",
        "attempt": 1,
        "event": "compile",
        "seconds": 12.5,
        "step": 0,
    }
    with pytest.raises(ValueError, match="attempt"):
        logger.ledger.event("x", attempt=3)
    logger.close()
    logger.ledger.event("too late")
    assert events(logger)[-1]["event"] == "close"


def test_a_ledger_that_fails_stops_nothing_and_is_not_acknowledged(
    make, monkeypatch, caplog
):
    def fail(*_):
        raise OSError("disk gone")

    logger = make(writers=[Memory()])
    assert logger.flush()
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(AppendFile, "write_line", fail)
        patch.setattr(AppendFile, "flush", fail)
        logger.ledger.event("one")
        logger.ledger.event("two")
        assert not logger.flush()
    assert caplog.text.count("disk gone") == 1


# Processes


def test_the_first_process_has_all_writers():
    console, record = writers_of(0, LogConfig(print_every=7, compact_format=True))
    assert (console.every, console.compact) == (7, True)
    assert record.file == "metrics.jsonl"
    chosen = [Console(), Memory()]
    assert writers_of(0, LogConfig(master_only=False), chosen) == chosen


def test_other_processes_write_only_when_asked():
    assert writers_of(3, LogConfig(), [Memory()]) == []
    (own,) = writers_of(3, LogConfig(master_only=False), [Memory()])
    assert own.file == "metrics.p3.jsonl"


def test_what_a_logger_holds_is_small_and_does_not_grow(make):
    def held(*parts):
        seen, size, left = set(), 0, [getattr(logger, part) for part in parts]
        while left:
            x = left.pop()
            if id(x) in seen or isinstance(x, type) or callable(x):
                continue
            seen.add(id(x))
            size += sys.getsizeof(x)
            left += [*x, *x.values()] if isinstance(x, dict) else []
            left += x if isinstance(x, list | tuple | set) else []
            left += vars(x).values() if hasattr(x, "__dict__") else []
        return size

    def train(steps):
        for step in steps:
            logger.log_step(step, {f"value_{i}": step / 7 for i in range(10)})
        logger.flush()

    logger = make(writers=[Memory()])
    train(range(1, 5))
    before = held("_rows", "_fetched", "_filler")
    train(range(5, 1000))
    assert held("_rows", "_fetched", "_filler") <= before + 8 * 8  # longer numbers
    assert held("_rows", "_fetched") <= 5 * 1024


def test_making_a_logger_does_not_start_jax(tmp_path):
    script = """
        import sys
        from jaxmetrics import TrainingLogger
        logger = TrainingLogger("p", "run", root=sys.argv[1])
        logger.log_step(1, loss=1.0)
        logger.flush()
        assert "jax" not in sys.modules
        import jax
        logger.log_step(2, loss=1.0)
        logger.flush()
        from jax._src import xla_bridge
        assert not xla_bridge.backends_are_initialized()
        logger.log_step(3, loss=jax.numpy.float32(1.0))
        logger.close()
    """
    done = run_python(script, tmp_path)
    assert done.returncode == 0, done.stderr
    run = json.loads((tmp_path / "p" / "run" / "run.json").read_text())
    assert run["devices"] is None or run["devices"]["processes"] == 1


TWO = """
    import os, sys
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    rank, port, root = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    jax.distributed.initialize(f"localhost:{port}", 2, rank)
    from jaxmetrics import TrainingLogger

    with TrainingLogger("p", root=root, master_only=False) as logger:
        logger.log_step(25, loss=float(rank))
        try:
            logger.log_step(24, loss=1.0)
        except ValueError:
            print(logger.run_dir.name)
    try:
        TrainingLogger("p", "x", root="/dev/null/no")
    except (OSError, RuntimeError) as error:
        print(type(error).__name__)
"""


def test_two_processes_share_the_name_and_the_errors_of_the_first(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    both = [start_python(TWO, rank, port, tmp_path) for rank in range(2)]
    first, second = (process.communicate(timeout=120)[0].split() for process in both)
    (run,) = (tmp_path / "p").iterdir()
    for said, error in ((first, "NotADirectoryError"), (second, "RuntimeError")):
        assert run.name in said
        assert said[-1] == error
    for rank, file in enumerate(("metrics.jsonl", "metrics.p1.jsonl")):
        header, row = read_lines(run / file)[0]
        assert header["run_id"] == json.loads((run / "run.json").read_text())["run_id"]
        assert row["train/loss"] == rank
