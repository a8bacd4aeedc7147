"""What a logger writes, read back: late and repeated values, arrays, media."""

import numpy as np
import pytest

import jaxmetrics as jm
from jaxmetrics import Run
from jaxmetrics.runs import Tail, generate_report
from jaxmetrics.runs.plots._telemetry_plots import metric_arrays
from jaxmetrics.runs.reading import load_history


@pytest.fixture
def written(tmp_path):
    """Write a run whose evaluation of step 2 finishes at step 5."""
    matrix = jm.ConfusionMatrix(3).replace(counts=np.arange(9).reshape(3, 3))
    images = np.zeros((3, 4, 4, 3), np.uint8)
    images[2] += 1
    with jm.TrainingLogger("p", "r", tmp_path, console=False) as logger:
        for step in range(1, 6):
            logger.log_step(step, loss=1 / step, learning_rate=0.5)
            logger.log_step(step, accuracy=step / 5)
        logger.log_step(
            2, split="val", metrics=jm.Collection(confusion=matrix), loss=3.0
        )
        logger.log_text(5, sample="hello")
        logger.log_images(5, {"samples": images}, split="val")
        logger.log_table(5, predictions=(["word", "p"], [["a", 0.5]]))
    return logger.run_dir


def test_several_calls_for_a_step_are_one_record(written):
    run = Run.load(written)
    assert len(run) == 6 and not run.conflicts and not run.left_out
    assert run["train/accuracy"][1].tolist() == [n / 5 for n in range(1, 6)]
    assert run["lr/lr"][1].tolist() == [0.5] * 5
    assert run["val/loss"][0].tolist() == [2]
    metrics = Tail(written).read().metrics
    assert metrics.records == 6 and metrics.step == 5
    assert metrics.series["train/loss"].statistics.count == 5


def test_arrays_are_read_back_as_they_were_computed(written):
    run = Run.load(written)
    steps, values = run["val/confusion"]
    assert steps.tolist() == [2] and list(run.arrays) == ["val/confusion"]
    np.testing.assert_array_equal(values, [np.arange(9).reshape(3, 3)])
    assert metric_arrays(load_history(run)) is not None
    assert "Arrays: val/confusion." in generate_report(written).read_text()


def test_media_are_read_back_with_the_paths_of_their_files(written):
    media = {entry.key: entry for entry in Run.load(written).media}
    assert media["train/sample"].value == "hello"
    assert media["train/predictions"].value.rows == [["a", 0.5]]
    images = media["val/samples"]
    assert (images.kind, images.step, images.split, images.missing) == (
        *("image", 5, "val", ()),
    )
    first, second, third = images.value
    assert first == second != third and first.is_file() and third.is_file()
    first.unlink()
    (entry,) = [e for e in Run.load(written).media if e.key == "val/samples"]
    assert entry.value == (third,) and len(entry.missing) == 2
