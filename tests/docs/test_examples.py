"""The programs in examples/ run, learn, and record their metrics."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.buckets import bucket, emulator  # noqa: F401 (fixtures)

from jaxmetrics import Run

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run_example(tmp_path):
    """Run an example in an empty folder; return what it printed."""

    def run(name, *arguments):
        process = subprocess.run(
            [sys.executable, "-W", "error", EXAMPLES / f"{name}.py", *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONUTF8": "1"},
            cwd=tmp_path,
            timeout=300,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        return process.stdout

    return run


@pytest.fixture
def run_of(tmp_path):
    """Return the only run of a project."""

    def load(project):
        [folder] = (tmp_path / "runs" / project).iterdir()
        return Run.load(folder)

    return load


@pytest.mark.parametrize("name", ["digits_jit", "digits_shard_map"])
def test_digits_are_learned_on_eight_devices(run_example, run_of, name):
    printed = run_example(name)
    run = run_of("digits")
    accuracy = run["val/accuracy"][1][-1]
    assert accuracy > 0.9
    assert re.search(rf"^final accuracy {accuracy:.3f}\b", printed, re.MULTILINE)
    steps, losses = run["train/loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert len(steps) == 15 and run["val/loss"][0].tolist() == [steps[-1]]


def test_an_image_classifier_counts_each_image_of_uneven_batches_once(
    run_example, run_of
):
    run_example("image_classifier", "--steps", "80")
    run = run_of("image_classifier")
    _, (confusion,) = run["val/confusion"]
    assert np.sum(confusion) == 360
    accuracy = run["val/accuracy"][1][-1]
    assert accuracy == pytest.approx(np.trace(confusion) / 360) and accuracy > 0.85
    recall = np.diag(confusion) / confusion.sum(1)
    assert run["val/recall/3"][1][-1] == pytest.approx(recall[3])


def test_a_language_model_continues_where_it_ended(run_example, run_of):
    run_example("language_model", "--steps", "14")  # its last checkpoint is at 10
    run_example("language_model", "--steps", "20")
    run = run_of("language_model")
    steps, losses = run["train/loss"]
    assert steps.tolist() == [5, 10, 15, 20]
    assert losses[-1] < 0.75 * losses[0]
    restored = [attempt["restored_step"] for attempt in run.header["attempts"]]
    assert restored == [None, 10]
    assert "perf/data_wait_seconds" in run.keys()


def test_a_diffusion_model_reports_its_epochs(run_example, run_of, tmp_path):
    run_example("diffusion", "--steps", "56")
    run = run_of("diffusion")
    low, high = (run[f"train/by_level/{part}"][1] for part in ("low", "high"))
    assert len(low) == 4
    assert high[-1] < low[-1]  # it is easy to see noise that hides the image
    report = (run.path / "training_report.md").read_text()
    assert "epoch" in report and "ema" in report.lower()
    assert [entry.kind for entry in run.media] == ["image"]


def test_preferences_are_learned_near_the_reference(run_example, run_of):
    run_example("preferences", "--steps", "30")
    run = run_of("preferences")
    margin, kl = run["train/reward/margin"][1], run["train/policy/kl"][1]
    assert len(margin) == 3 and margin[-1] > margin[0] > 0
    assert 0 < kl[0] < kl[-1] < 1
    assert run["train/reward/win_rate"][1][-1] > 0.9


def test_twenty_metrics_of_an_evaluation_agree_with_each_other(run_example, run_of):
    printed = run_example("evaluation")
    assert "20 metrics of 228 rows" in printed
    run = run_of("evaluation")
    (tn, fp), (fn, tp) = run["test/confusion"][1][0]
    value = {name: run[f"test/{name}"][1][0] for name in ("accuracy", "recall", "f1")}
    assert tn + fp + fn + tp == 228
    assert value["accuracy"] == pytest.approx((tn + tp) / 228)
    assert value["recall"] == pytest.approx(tp / (tp + fn))
    assert value["f1"] == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert run["test/auroc"][1][0] > 0.98
    keys = [key for key in run.keys() if key.startswith("test/")]
    assert len(keys) >= 20


def test_an_equinox_module_learns_and_its_norms_are_measured(run_example, run_of):
    run_example("equinox_loop", "--steps", "150")
    run = run_of("equinox")
    assert run["val/r2"][0].tolist() == [50, 100, 150]
    assert run["val/r2"][1][-1] > 0.3
    assert (run["update/ratio"][1] > 0).all()


def test_a_lost_disk_is_brought_back_from_the_bucket(
    run_example,
    bucket,  # noqa: F811
    tmp_path,
):
    run_example("mirrored", "--steps", "20", "--mirror", bucket)
    shutil.rmtree(tmp_path / "runs")
    printed = run_example("mirrored", "--steps", "30", "--mirror", bucket)
    assert "continues after step 20" in printed
    for source in (tmp_path / "runs" / "mirrored" / "wine", f"{bucket}/mirrored/wine"):
        assert Run.load(source)["train/loss"][0].tolist() == [5, 10, 15, 20, 25, 30]


def test_examples_are_listed_and_at_most_150_lines_long():
    page = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 150, path
        assert f"| `{path.name}` |" in page, path
