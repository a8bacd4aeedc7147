"""The demo: killed in the middle, it records what an undisturbed run records."""

import importlib.util
import re
import shutil

import numpy as np
import pytest
from support import wandb_file
from support.processes import run_python
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from jaxmetrics.demo import _places as places
from jaxmetrics.demo import main, stripped_rows
from jaxmetrics.demo._command import SHORT_STEPS
from jaxmetrics.demo._settings import Settings
from jaxmetrics.demo._summary import missing, restored_steps
from jaxmetrics.demo._text import DATASETS, Text
from jaxmetrics.record import dumps
from jaxmetrics.runs import Run

DEMO = """
import sys
from jaxmetrics.demo import main
status = main(sys.argv[1:])
assert "jax" not in sys.modules, "the process that reads back loaded jax"
sys.exit(status)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two short demos of one seed: `killed` in the middle, and left `alone`."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        # One compilation serves all; beside its time, what is tested is not changed.
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(root / "compiled"))
        patch.setenv("PYTHONUTF8", "1")
        patch.setenv("PYTHONWARNINGS", "error")
        for name, kill in {"killed": (), "alone": ("--no-kill",)}.items():
            done = run_python(
                DEMO, "--short", "--root", root, "--run-name", name, *kill
            )
            assert done.returncode == 0, done.stdout + done.stderr
            (root / f"{name}.txt").write_text(done.stdout, encoding="utf-8")
    return root


def settings(root, name):
    plain = Settings(str(root), name, SHORT_STEPS)
    return plain.killed(plain.middle) if name == "killed" else plain


def test_a_killed_run_records_what_an_undisturbed_one_does_byte_for_byte(root):
    killed, alone = (
        stripped_rows(settings(root, name).run_dir / "metrics.jsonl")
        for name in ("killed", "alone")
    )
    assert killed == alone
    assert len(alone) == 1 + len(Run.load(settings(root, "alone").run_dir))


def test_the_kill_was_sudden_and_came_between_checkpoints(root):
    run_dir = settings(root, "killed").run_dir
    run = Run.load(run_dir)
    closed = [event["attempt"] for event in run.events if event["event"] == "close"]
    assert closed == [2]
    assert len(restored_steps(run)) == 1
    [cut] = run_dir.glob("metrics.jsonl.after-*")
    assert b'"step":14,"split":"val"' in cut.read_bytes()  # after the save of step 14
    assert 14 in run["val/loss"][0]


def test_both_datasets_are_measured_apart_and_learnt(root):
    run = Run.load(settings(root, "alone").run_dir)
    for dataset in DATASETS:
        steps, losses = run[f"val_{dataset}/loss"]
        assert steps.tolist() == [0, 7, 14, 21, 28, 35, 36]
        assert losses[0] > np.log(256) and losses[-1] < 0.6 * losses[0]
    means = [run[f"val_{dataset}/loss"][1] for dataset in DATASETS]
    np.testing.assert_allclose(np.mean(means, axis=0), run["val/loss"][1], rtol=1e-6)


@pytest.mark.parametrize(("name", "attempts"), [("killed", 2), ("alone", 1)])
def test_the_demo_prints_what_was_recorded_and_where_it_is(root, name, attempts):
    said = (root / f"{name}.txt").read_text(encoding="utf-8")
    run_dir = settings(root, name).run_dir
    assert f"files in {run_dir}" in said
    assert all(path.name in said for path in run_dir.iterdir())
    assert f"{Run.load(run_dir)['val_prose/loss'][1][-1]:.3f}" in said
    assert re.search(rf"^attempts +{attempts}\b", said, re.MULTILINE)
    assert "step=18" in said and "missing" not in said


@pytest.mark.parametrize("name", ["killed", "alone"])
def test_tensorboard_shows_what_was_recorded(root, name):
    run_dir = settings(root, name).run_dir
    run, shown = Run.load(run_dir), EventAccumulator(f"{run_dir}/tensorboard").Reload()
    for key in ("train/loss", "val/loss", "lr/lr"):
        steps, values = run[key]
        events = shown.Scalars(key)
        assert [event.step for event in events] == steps.tolist()
        assert [event.value for event in events] == np.float32(values).tolist()


def test_offline_wandb_has_every_row_of_each_attempt(root):
    for name, attempts in {"killed": 2, "alone": 1}.items():
        run_dir = settings(root, name).run_dir
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


def test_the_demo_says_how_to_look_at_it(root):
    said = (root / "killed.txt").read_text(encoding="utf-8")
    run_dir = settings(root, "killed").run_dir
    assert f"TensorBoard: tensorboard --logdir {run_dir}/tensorboard\n" in said
    assert f"W&B: wandb sync {run_dir}/wandb/offline-run-*\n" in said
    assert re.search(r"step=18/36 .*│ 50\.0%", said)


def test_without_a_package_it_says_what_would_add_it(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    gone = {"google_crc32c", "wandb"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: name not in gone and found(name)
    )
    assert places.writers() == []
    assert dict(places.ways(Settings(str(tmp_path), "run", SHORT_STEPS))) == {
        "TensorBoard": "not written; pip install jaxmetrics[tensorboard] adds it",
        "W&B": "not written; pip install jaxmetrics[wandb] adds it",
    }


def test_nothing_is_missing_in_a_whole_run(root):
    assert missing(settings(root, "killed")) == []
    assert missing(settings(root, "alone")) == []


@pytest.mark.parametrize(
    ("lost", "found"),
    [
        ('"step":21,"split":"train"', "train/loss at steps [21]"),
        ('"step":14,"split":"val"', "val/loss at steps [14]"),
        ('"step":36,"split":"train"', "a count of 73728 tokens"),
    ],
)
def test_a_lost_record_is_found_missing(root, tmp_path, lost, found):
    whole = settings(root, "alone")
    part = Settings(str(tmp_path), "part", SHORT_STEPS)
    shutil.copytree(whole.run_dir, part.run_dir)
    file = part.run_dir / "metrics.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    kept = [line for line in lines if lost not in line]
    assert len(kept) == len(lines) - 1
    file.write_text("".join(kept))
    assert found in missing(part)


def test_a_run_that_was_not_killed_is_not_taken_for_one_that_was(root):
    claimed = settings(root, "alone").killed(20)
    assert "2 attempts in run.json" in missing(claimed)


def test_a_lost_checkpoint_is_found_missing(root, tmp_path):
    part = Settings(str(tmp_path), "part", SHORT_STEPS)
    shutil.copytree(settings(root, "alone").run_dir, part.run_dir)
    shutil.rmtree(part.run_dir / "checkpoints" / "36")
    assert missing(part) == ["the checkpoint of step 36"]


def test_an_empty_folder_is_missing_everything(tmp_path):
    [what] = missing(Settings(str(tmp_path), "none", SHORT_STEPS))
    assert what.startswith("a record that can be read")


def test_a_failed_training_is_a_failed_demo(tmp_path):
    (tmp_path / "file").write_text("no folder")
    done = run_python(DEMO, "--short", "--root", tmp_path / "file")
    assert done.returncode == 1
    assert "expected the training to be killed; it ended with 1" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "9"], "--steps is at least 10, got 9"),
        (["--steps", "20", "--kill-at", "20"], "a step before the last, 20; got 20"),
        (["--kill-at", "0"], "got 0"),
        (["--run-name", "../up"], "--run-name"),
        (["--run-name", "old"], "choose another --run-name"),
    ],
)
def test_a_run_that_cannot_be_is_refused(tmp_path, capsys, arguments, message):
    (tmp_path / "demo" / "old").mkdir(parents=True)
    with pytest.raises(SystemExit) as exit:
        main(["--root", str(tmp_path), *arguments])
    assert exit.value.code == 2
    assert message in capsys.readouterr().err


def test_stripped_rows_keep_all_but_names_and_clocks(tmp_path):
    header = {"kind": "header", "schema": 1, "run_id": "a"}
    row = {"step": 1, "split": "train", "time": 0.5, "tokens": 8, "train/loss": 2.0}
    clocks = {"perf/mfu": 0.4, "mem/peak": 1, "tpu/duty": 1.0, "goodput/now": 1.0}
    file = tmp_path / "metrics.jsonl"
    file.write_text(f"{dumps(header)}\n{dumps(row | clocks)}\n")
    assert stripped_rows(file) == [
        '{"kind":"header","schema":1}',
        '{"step":1,"split":"train","tokens":8,"train/loss":2.0}',
    ]


@pytest.fixture(scope="module")
def text():
    return Text(length=64)


def test_a_batch_depends_on_the_seed_and_the_step_alone(text):
    first = text.batch(seed=0, step=5, size=8)["tokens"]
    text.batch(seed=0, step=6, size=8)
    np.testing.assert_array_equal(first, text.batch(0, 5, 8)["tokens"])
    assert not np.array_equal(first, text.batch(0, 6, 8)["tokens"])
    assert not np.array_equal(first, text.batch(1, 5, 8)["tokens"])


def test_a_batch_is_half_of_each_dataset(text):
    batch = text.batch(seed=0, step=0, size=8)
    assert batch["tokens"].shape == (8, 65) and batch["tokens"].dtype == np.int32
    assert batch["code"].tolist() == [True, False] * 4
    assert (batch["code"] ^ batch["prose"]).all()


def test_what_is_held_out_is_not_trained_on(text):
    held_out = text.held_out(count=32, size=16)
    assert [len(batch["tokens"]) for batch in held_out] == [16] * 4
    for dataset in DATASETS:
        places = {row.tobytes() for row in text._train[dataset]}
        rows = np.concatenate([b["tokens"][b[dataset]] for b in held_out])
        seen = [row.astype(np.uint8).tobytes() in places for row in rows]
        assert np.mean(seen) < 0.1  # a line of dashes may occur twice


def test_prose_is_prose_and_code_is_code(text):
    prose = text._train["prose"].tobytes()
    assert b"Beautiful is better than ugly" in Text(4096)._train["prose"].tobytes()
    assert prose.count(b"import ") < text._train["code"].tobytes().count(b"import ")


def test_a_python_without_sources_is_an_error(tmp_path):
    (tmp_path / "one.py").write_text("x = 1\n")
    with pytest.raises(RuntimeError, match="found 0 sequences of code in .* sources"):
        Text(length=64, folder=tmp_path)
