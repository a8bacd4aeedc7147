"""A demo killed midway has the record of an uninterrupted one."""

import importlib.util
import re
import shutil

import numpy as np
import pytest
from support import wandb_file
from support.processes import run_python
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jaxmetrics.demo import main, stripped_rows
from jaxmetrics.demo._command import SHORT_STEPS
from jaxmetrics.demo._settings import Settings
from jaxmetrics.demo._summary import missing, restored_steps
from jaxmetrics.demo._text import DATASETS
from jaxmetrics.demo._writers import installed_writers, viewing_commands
from jaxmetrics.record import dumps
from jaxmetrics.runs import Run

DEMO = """
import sys
from jaxmetrics.demo import main
status = main(sys.argv[1:])
assert "jax" not in sys.modules, "reading the record back imported jax"
sys.exit(status)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two short demos of one seed: one `killed` in the middle, one `uninterrupted`."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        # All runs share compiled programs, which changes nothing but the time.
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(root / "compiled"))
        patch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
        patch.setenv("PYTHONUTF8", "1")
        patch.setenv("PYTHONWARNINGS", "error")
        for name, kill in {"killed": (), "uninterrupted": ("--no-kill",)}.items():
            process = run_python(
                DEMO, "--short", "--root", root, "--run-name", name, *kill
            )
            assert process.returncode == 0, process.stdout + process.stderr
            (root / f"{name}.txt").write_text(process.stdout, encoding="utf-8")
    return root


def settings_of(root, name):
    settings = Settings(str(root), name, SHORT_STEPS)
    return settings.killed(settings.middle) if name == "killed" else settings


def test_a_killed_run_has_the_record_of_an_uninterrupted_one_byte_for_byte(root):
    killed, uninterrupted = (
        stripped_rows(settings_of(root, name).run_dir / "metrics.jsonl")
        for name in ("killed", "uninterrupted")
    )
    assert killed == uninterrupted
    assert len(uninterrupted) == 1 + len(
        Run.load(settings_of(root, "uninterrupted").run_dir)
    )


def test_the_run_is_killed_between_two_checkpoints(root):
    run_dir = settings_of(root, "killed").run_dir
    run = Run.load(run_dir)
    closed = [event["attempt"] for event in run.events if event["event"] == "close"]
    assert closed == [2]
    assert len(restored_steps(run)) == 1
    [removed] = run_dir.glob("metrics.jsonl.after-*")
    assert (
        b'"step":14,"split":"val"' in removed.read_bytes()
    )  # after the save of step 14
    assert 14 in run["val/loss"][0]


def test_both_datasets_are_evaluated_separately_and_learned(root):
    run = Run.load(settings_of(root, "uninterrupted").run_dir)
    for dataset in DATASETS:
        steps, losses = run[f"val_{dataset}/loss"]
        assert steps.tolist() == [0, 7, 14, 21, 28, 35, 36]
        assert losses[0] > np.log(256) and losses[-1] < 0.6 * losses[0]
    means = [run[f"val_{dataset}/loss"][1] for dataset in DATASETS]
    np.testing.assert_allclose(np.mean(means, axis=0), run["val/loss"][1], rtol=1e-6)


@pytest.mark.parametrize(("name", "attempts"), [("killed", 2), ("uninterrupted", 1)])
def test_the_demo_prints_the_record_and_its_files(root, name, attempts):
    output = (root / f"{name}.txt").read_text(encoding="utf-8")
    run_dir = settings_of(root, name).run_dir
    assert f"files in {run_dir}" in output
    assert all(path.name in output for path in run_dir.iterdir())
    assert f"{Run.load(run_dir)['val_prose/loss'][1][-1]:.3f}" in output
    assert re.search(rf"^attempts +{attempts}\b", output, re.MULTILINE)
    assert "step=18" in output and "missing" not in output


@pytest.mark.parametrize("name", ["killed", "uninterrupted"])
def test_tensorboard_has_the_recorded_values(root, name):
    run_dir = settings_of(root, name).run_dir
    run, shown = Run.load(run_dir), EventAccumulator(f"{run_dir}/tensorboard").Reload()
    for key in ("train/loss", "val/loss", "lr/lr"):
        steps, values = run[key]
        events = shown.Scalars(key)
        assert [event.step for event in events] == steps.tolist()
        assert [event.value for event in events] == np.float32(values).tolist()


def test_offline_wandb_has_every_row_of_each_attempt(root):
    for name, attempts in {"killed": 2, "uninterrupted": 1}.items():
        run_dir = settings_of(root, name).run_dir
        files = sorted(run_dir.glob("wandb/offline-run-*/*.wandb"))
        assert len(files) == attempts
        sent = [
            (row["trainer/step"], row["train/loss"])
            for row in wandb_file.rows(files[-1])
            if "train/loss" in row
        ]
        run = Run.load(run_dir)
        since = max(restored_steps(run), default=0)
        steps, losses = (column.tolist() for column in run["train/loss"])
        assert sent == [(s, x) for s, x in zip(steps, losses) if s > since]


def test_the_demo_prints_the_commands_of_viewers(root):
    output = (root / "killed.txt").read_text(encoding="utf-8")
    run_dir = settings_of(root, "killed").run_dir
    assert f"TensorBoard: tensorboard --logdir {run_dir}/tensorboard\n" in output
    assert f"W&B: wandb sync {run_dir}/wandb/offline-run-*\n" in output
    assert re.search(r"step=18/36 .*│ 50\.0%", output)


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    absent = {"google_crc32c", "wandb"}
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: name not in absent and find_spec(name),
    )
    assert installed_writers() == []
    assert dict(viewing_commands(Settings(str(tmp_path), "run", SHORT_STEPS))) == {
        "TensorBoard": "not written; pip install jaxmetrics[tensorboard] adds it",
        "W&B": "not written; pip install jaxmetrics[wandb] adds it",
    }


def test_a_complete_run_has_no_problems(root):
    assert missing(settings_of(root, "killed")) == []
    assert missing(settings_of(root, "uninterrupted")) == []


@pytest.mark.parametrize(
    ("lost", "problem"),
    [
        ('"step":21,"split":"train"', "train/loss at steps [21]"),
        ('"step":14,"split":"val"', "val/loss at steps [14]"),
        ('"step":36,"split":"train"', "a total of 73728 tokens"),
    ],
)
def test_a_lost_record_is_reported(root, tmp_path, lost, problem):
    complete = settings_of(root, "uninterrupted")
    part = Settings(str(tmp_path), "part", SHORT_STEPS)
    shutil.copytree(complete.run_dir, part.run_dir)
    file = part.run_dir / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    kept = [line for line in lines if lost not in line]
    assert len(kept) == len(lines) - 1
    file.write_text("".join(kept))
    assert problem in missing(part)


def test_a_run_that_was_not_killed_lacks_an_attempt(root):
    claimed = settings_of(root, "uninterrupted").killed(20)
    assert "2 attempts in run.json" in missing(claimed)


def test_a_lost_checkpoint_is_reported(root, tmp_path):
    part = Settings(str(tmp_path), "part", SHORT_STEPS)
    shutil.copytree(settings_of(root, "uninterrupted").run_dir, part.run_dir)
    shutil.rmtree(part.run_dir / "checkpoints" / "36")
    assert missing(part) == ["the checkpoint of step 36"]


def test_an_empty_folder_has_no_readable_record(tmp_path):
    [problem] = missing(Settings(str(tmp_path), "none", SHORT_STEPS))
    assert problem.startswith("a readable record")


def test_a_failed_training_is_a_failed_demo(tmp_path):
    (tmp_path / "file").write_text("no folder")
    process = run_python(DEMO, "--short", "--root", tmp_path / "file")
    assert process.returncode == 1
    assert "expected the training to be killed; it ended with 1" in process.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "9"], "--steps must be at least 10, got 9"),
        (["--steps", "20", "--kill-at", "20"], "must be between 0 and 20, got 20"),
        (["--kill-at", "0"], "got 0"),
        (["--run-name", "../up"], "--run-name"),
    ],
)
def test_invalid_arguments_are_refused(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as exit:
        main(["--root", str(tmp_path), *arguments])
    assert exit.value.code == 2
    assert message in capsys.readouterr().err


def test_an_existing_run_is_not_replaced(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "runs" / "demo" / "old").mkdir(parents=True)
    assert main(["--root", "~/runs", "--run-name", "old"]) == 1
    place = tmp_path / "runs" / "demo" / "old"
    assert capsys.readouterr().err == (
        f"jaxmetrics demo: {place} exists. Choose another --run-name.\n"
    )


def test_stripped_rows_leave_out_ids_times_and_speed(tmp_path):
    header = {"kind": "header", "schema": 1, "run_id": "a"}
    row = {"step": 1, "split": "train", "time": 0.5, "tokens": 8, "train/loss": 2.0}
    clocks = {"perf/mfu": 0.4, "mem/peak": 1, "tpu/duty": 1.0, "goodput/now": 1.0}
    file = tmp_path / "metrics.jsonl"
    file.write_text(f"{dumps(header)}\n{dumps(row | clocks)}\n")
    assert stripped_rows(file) == [
        '{"kind":"header","schema":1}',
        '{"step":1,"split":"train","tokens":8,"train/loss":2.0}',
    ]
