"""The directory of a run: its name, `run.json`, and the attempts in it."""

import re
import socket

import jax
import jax.numpy as jnp
import pytest
from support.loggers import events, rows, run_json, steps
from support.processes import run_python

from jaxmetrics.record import lock_scope, read_lines
from jaxmetrics.writers import Memory


def test_the_record_begins_with_a_header_that_names_the_run(make_logger):
    logger = make_logger()
    header = read_lines(logger.run_dir / "metrics.jsonl")[0][0]
    run_id = run_json(logger)["run_id"]
    assert header == {"kind": "header", "schema": 2, "run_id": run_id}


def test_run_json_describes_the_run_and_its_attempts(make_logger):
    logger = make_logger(hparams={"lr": 1e-3}, tags=["tpu"])
    run = run_json(logger)
    assert run["schema"] == 2
    assert (run["project"], run["run_name"]) == ("project", "run")
    assert run["created"] == "1970-01-01T00:00:00.000+00:00"
    assert run["tags"] == ["tpu"]
    assert run["versions"]["jax"] == jax.__version__
    token = run["attempts"][0].pop("token")
    assert re.fullmatch("[0-9a-f]{8}", token)
    assert run["attempts"] == [
        {
            "attempt": 1,
            "time": "1970-01-01T00:00:00.000+00:00",
            "order": 1,
            "started": 0.0,
            "host": socket.gethostname(),
            "lock_scope": lock_scope(),
            "restored_step": None,
            "hparams": {"lr": 1e-3},
            "writers": ["metrics.jsonl"],
        }
    ]


def test_devices_are_described_once_jax_has_started(make_logger):
    jnp.zeros(()).block_until_ready()
    logger = make_logger()
    logger.log_step(step=1, loss=1.0)
    assert run_json(logger)["devices"] == {
        "kind": "cpu",
        "count": jax.device_count(),
        "processes": 1,
    }


def test_described_fields_are_added_to_run_json(make_logger):
    mesh = jax.make_mesh((4, 2), ("data", "model"))
    logger = make_logger(hparams={"lr": 1})
    logger.describe(mesh=mesh, flops={"per_step": 1e12, "source": "traced"})
    described = run_json(logger)
    assert described["mesh"] == {"data": 4, "model": 2}
    assert described["flops"] == {"per_step": 1e12, "source": "traced"}
    assert described["attempts"][0]["hparams"] == {"lr": 1}
    with pytest.raises(ValueError, match="'run_id'.*log_hparams"):
        logger.describe(run_id="mine")
    assert run_json(logger) == described


def test_a_full_disk_under_run_json_is_a_warning_and_stops_nothing(
    make_logger, monkeypatch, caplog
):
    def full(*_):
        raise OSError("disk full")

    logger = make_logger()
    logger.log_step(1, loss=1.0)
    state = logger.state()
    with monkeypatch.context() as patch:
        patch.setattr("jaxmetrics.logger._run_directory.edit_run_json", full)
        logger._process_known = False  # as before JAX has started
        logger.log_step(2, loss=1.0)
        logger.describe(flops={"per_step": 1.0})
        logger.load_state(state)
        assert not logger.flush()
        logger.log_hparams({"lr": 0.1})
    assert caplog.text.count("cannot be written (disk full)") == 1
    logger.log_step(2, loss=2.0)
    assert logger.flush()
    written = run_json(logger)
    assert written["devices"]["count"] == 8 and written["flops"] == {"per_step": 1.0}
    (attempt,) = written["attempts"]
    assert attempt["restored_step"] == 1 and attempt["hparams"] == {"lr": 0.1}
    assert logger.close()
    assert [row["train/loss"] for row in rows(logger)] == [1.0, 2.0]
    assert [event["event"] for event in events(logger)].count("restore") == 1


def test_a_run_without_a_name_is_named_by_its_start(make_logger):
    first, second = make_logger(run_name=None), make_logger(run_name=None)
    assert first.run_dir.name == "19700101_000000"
    assert second.run_dir.name == "19700101_000000-2"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "..", "", "a\nb", "x" * 65])
def test_a_name_that_cannot_be_a_folder_is_refused(make_logger, name):
    with pytest.raises(ValueError, match="run_name"):
        make_logger(run_name=name)


@pytest.mark.parametrize("root", ["gs://bucket/runs", "gs:/bucket", "s3://bucket"])
def test_a_bucket_is_refused_with_advice(make_logger, root):
    with pytest.raises(ValueError, match="address as mirror="):
        make_logger(root=root)


def test_a_tilde_is_the_home_directory(make_logger, tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    with make_logger(root="~/runs", mirror="~/copies") as logger:
        logger.log_step(1, loss=1.0)
    assert logger.run_dir == home / "runs" / "project" / "run"
    assert (home / "copies" / "project" / "run").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_directory_that_cannot_be_written_raises_at_once(tmp_path, make_logger):
    (tmp_path / "project").write_text("a file where a folder must be")
    with pytest.raises(OSError):
        make_logger()


def test_a_second_writer_in_another_process_is_refused_and_changes_nothing(
    make_logger, tmp_path
):
    logger = make_logger()
    before = run_json(logger)
    script = """
        import sys
        from jaxmetrics import TrainingLogger
        TrainingLogger("project", "run", root=sys.argv[1])
    """
    done = run_python(script, tmp_path)
    assert "WriterLockedError" in done.stderr
    assert run_json(logger) == before


def test_a_failed_start_unlocks_the_run(make_logger):
    class Refusing(Memory):
        def open(self, run_dir, resume_step):
            raise PermissionError("read-only")

    with pytest.raises(PermissionError):
        make_logger(writers=[Refusing()])
    assert make_logger()


def test_an_existing_run_is_continued_as_its_next_attempt(make_logger, clock):
    with make_logger(hparams={"lr": 1}) as logger:
        clock.now = 10.0
        logger.log_step(5, loss=1.0)
    run_id = run_json(logger)["run_id"]
    again = make_logger()
    run = run_json(again)
    assert run["run_id"] == run_id
    assert [attempt["attempt"] for attempt in run["attempts"]] == [1, 2]
    assert [attempt["hparams"] for attempt in run["attempts"]] == [{"lr": 1}, {}]
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


def test_resume_step_keeps_rows_up_to_it_and_sets_later_ones_aside(make_logger, clock):
    with make_logger() as logger:
        for step in range(1, 8):
            clock.now += 1.0
            logger.log_step(step, loss=float(step))
            logger.log_step(step, split="val", loss=float(step))
    clock.now = 100.0
    with make_logger(resume_step=4) as again:
        clock.now = 101.0
        again.log_step(loss=-5.0)
    assert steps(again) == [1, 2, 3, 4, 5]
    assert steps(again, "val") == [1, 2, 3, 4]
    assert rows(again)[-1]["time"] == 5.0
    set_aside = read_lines(again.run_dir / "metrics.jsonl.after-4")[0]
    assert {row["step"] for row in set_aside} == {5, 6, 7}
    assert run_json(again)["attempts"][1]["restored_step"] == 4


def test_overwrite_sets_the_old_run_aside(make_logger):
    for step in (1, 2, 3):
        with make_logger(overwrite=True) as logger:
            logger.log_step(step, loss=1.0)
    assert steps(logger) == [3]
    assert len(run_json(logger)["attempts"]) == 1
    for number, step in ((1, 1), (2, 2)):
        old = logger.run_dir.with_name(f"run.old-{number}") / "metrics.jsonl"
        assert read_lines(old)[0][1]["step"] == step


@pytest.mark.parametrize("step", [True, "5", 5.0, float("nan"), jnp.int32(5), -1])
def test_a_resume_step_that_is_no_step_is_refused_before_anything_is_changed(
    make_logger, tmp_path, step
):
    with pytest.raises((TypeError, ValueError), match="got a? ?resume_step"):
        make_logger(resume_step=step)
    assert not list(tmp_path.iterdir())


def test_overwrite_and_resume_step_exclude_each_other(make_logger):
    with pytest.raises(ValueError, match="overwrite=True and resume_step=3"):
        make_logger(overwrite=True, resume_step=3)
