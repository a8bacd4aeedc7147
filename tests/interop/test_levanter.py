"""A logger is used as a tracker of levanter, which is not installed here."""

import dataclasses
import inspect
import logging
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmetrics import Run, TrainingLogger
from jaxmetrics.interop.levanter import Tracker

METHODS = {
    "log": ["metrics", "*step", "*commit"],
    "log_summary": ["metrics"],
    "log_hyperparameters": ["hparams"],
    "log_artifact": ["artifact_path", "*name", "*type"],
    "log_html": ["key", "html_path", "*step", "*commit"],
    "finish": [],
}
"""Arguments of `levanter.tracker.Tracker` (marin-levanter 0.2.20); `*`: by keyword."""

STATISTICS = ["min", "max", "num", "nonzero_count", "sum", "sum_squares"]
STATISTICS += ["mean", "variance", "rms"]


class Histogram:
    def to_numpy_histogram(self):
        return np.array([1.0, 3.0]), np.array([0.0, 0.5, 1.0])


SummaryStats = dataclasses.make_dataclass("SummaryStats", [*STATISTICS, "histogram"])


def statistics(histogram=None):
    """Return statistics as levanter's: scalars on a device, and a histogram."""
    numbers = (jnp.float32(n) for n in range(len(STATISTICS)))
    return SummaryStats(*numbers, histogram)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_the_arguments_of_levanter(method):
    parameters = inspect.signature(getattr(Tracker, method)).parameters.values()
    assert [
        ("*" if p.kind == p.KEYWORD_ONLY else "") + p.name for p in list(parameters)[1:]
    ] == METHODS[method]


def test_names_stay_as_they_are(logger, logged):
    tracker = Tracker(logger)
    assert tracker.name == "jaxmetrics"
    values = {"train/loss": jnp.float32(2.0), "global_step": 7, "optim": {"lr": 0.5}}
    tracker.log({**values, "throughput/mfu": np.float32(0.5)}, step=7)
    tracker.log({"eval/loss": 3.0, "eval/code/loss": jnp.ones(1)}, step=7, commit=True)
    assert logged() == [
        (
            7,
            "train",
            {"train/loss": 2, "global_step": 7, "optim/lr": 0.5, "throughput/mfu": 0.5},
        ),
        (7, "eval", {"eval/loss": 3.0, "eval/code/loss": 1.0}),
    ]


def test_a_step_is_logged_again_and_late(logger, logged):
    tracker = Tracker(logger)
    for step in (3, 4, 3):
        tracker.log({"train/loss": float(step)}, step=step)
        tracker.finish()
    tracker.log({"train/late": 1.0}, step=None)
    steps = [step for step, _, _ in logged()]
    assert steps == [3, 4, 3, 3]


@pytest.mark.parametrize("step", [-1, 2.5])
def test_a_step_that_is_refused_is_not_that_of_later_values(logger, logged, step):
    tracker = Tracker(logger)
    tracker.log({"train/loss": 1.0}, step=3)
    with pytest.raises((TypeError, ValueError), match="step"):
        tracker.log({"train/loss": 2.0}, step=step)
    tracker.log({"train/late": 3.0}, step=None)
    assert [step for step, _, _ in logged()] == [3, 3]


def test_the_step_of_a_callback_is_an_array(logger, logged):
    tracker = Tracker(logger)

    @jax.jit
    def step(x):
        jax.experimental.io_callback(
            lambda x, n: tracker.log({"inside/x": x}, step=n), None, x, 5
        )
        return x

    step(jnp.float32(2.0)).block_until_ready()
    jax.effects_barrier()
    assert logged() == [(5, "train", {"inside/x": 2.0})]


def test_statistics_are_scalars_and_a_histogram(logger, logged, media):
    tracker = Tracker(logger)
    values = {"grad": {"all": statistics(Histogram())}, "none": statistics()}
    tracker.log(values, step=1)
    ((_, _, scalars),) = logged()
    numbers = dict(zip(STATISTICS, range(9)))
    assert scalars == {
        f"{name}/{part}": number
        for name in ("grad/all", "none")
        for part, number in numbers.items()
    }
    shown = media()
    assert list(shown) == [("histogram", "train", "grad/all/histogram")]
    counts, edges = shown.popitem()[1][:2]
    assert list(counts) == [1, 3] and list(edges) == [0, 0.5, 1]


def test_values_that_are_no_numbers_are_histograms_or_texts(logger, logged, media):
    values = {
        "array": np.arange(4.0),
        "device": jnp.arange(6),
        "note": "hello",
        "object": {1, 2}.__class__,
        "names": np.array(["a"]),
        "unknown": None,
        "flag": True,
    }
    Tracker(logger).log(values, step=2)
    assert logged() == [(2, "train", {"flag": 1})]
    shown = media()
    kinds = {key: kind for kind, _, key in shown}
    assert kinds == {
        "array": "histogram",
        "device": "histogram",
        "note": "text",
        "object": "text",
        "names": "text",
    }
    assert shown["text", "train", "note"] == "hello"


def test_texts_and_histograms_have_the_step_of_the_numbers(logger, memory):
    tracker = Tracker(logger)
    tracker.log({"early": "a"}, step=None)
    tracker.log({"note": "b", "array": np.ones(3)}, step=5)
    tracker.log({"late": "c"}, step=None)
    assert logger.flush()
    steps = {name: r.step for r in memory.records for name in r.values}
    assert steps == {"early": 0, "note": 5, "array": 5, "late": 5}


def test_a_bad_name_is_an_error_and_loses_nothing_else(logger, logged, media):
    values = {"": 1.0, "train/loss": 2.0, "note": "hello", "array": np.ones(3)}
    with pytest.raises(ValueError, match="the name ''"):
        Tracker(logger).log(values, step=1)
    assert logged() == [(1, "train", {"train/loss": 2.0})]
    assert len(media()) == 2


def test_a_summary_has_a_split_of_its_own(logger, logged, media):
    tracker = Tracker(logger)
    tracker.log_summary({"parameter_count": 123, "throughput/device": "cpu"})
    tracker.log({"train/loss": 1.0}, step=9)
    tracker.log_summary({"best": 0.5})
    assert logged() == [
        (0, "summary", {"summary/parameter_count": 123}),
        (9, "train", {"train/loss": 1.0}),
        (9, "summary", {"summary/best": 0.5}),
    ]
    key = ("text", "summary", "summary/throughput/device")
    assert media() == {key: "cpu"}


def test_hyperparameters_are_the_configuration_of_the_run(logger):
    Tracker(logger).log_hyperparameters({"trainer": {"seed": 3}})
    assert logger.flush()
    assert Run.load(logger.run_dir).config == {"trainer": {"seed": 3}}


def test_artifacts_are_copied_into_the_run(logger, tmp_path):
    tracker, folder = Tracker(logger), tmp_path / "made"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a.txt").write_text("one")
    page = tmp_path / "page.html"
    page.write_text("<p>")
    tracker.log_artifact(folder, name="profile", type="trace")
    (folder / "inner" / "a.txt").rename(folder / "b.txt")
    tracker.log_artifact(str(folder), name="profile")
    tracker.log_artifact(page)
    tracker.log_artifact(page, name="../../.ssh/config")
    tracker.log_artifact(page, name="b" * 100 + "." + "c" * 199)
    tracker.log_html("eval/page", page, step=3)
    root = logger.run_dir / "artifacts"
    files = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
    assert sorted(files) == [
        "_.._.ssh_config",
        "c" * 199,
        "eval_page-3.html",
        "page.html",
        "profile/b.txt",
    ]
    assert (root / "page.html").read_text() == "<p>"


def test_an_artifact_replaces_a_folder_by_a_file_and_the_reverse(logger, tmp_path):
    page, folder = tmp_path / "page", tmp_path / "made"
    page.write_text("one")
    folder.mkdir()
    (folder / "a.txt").write_text("two")
    target = logger.run_dir / "artifacts" / "x"
    for source in (folder, page, folder):
        Tracker(logger).log_artifact(source, name="x")
        assert target.is_dir() == source.is_dir()
    assert (target / "a.txt").read_text() == "two"


def test_an_artifact_that_cannot_be_copied_is_named(logger, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "jaxmetrics"):
        Tracker(logger).log_artifact(os.fspath(tmp_path / "absent"))
    assert len(caplog.messages) == 1 and "absent" in caplog.messages[0]


def test_without_a_run_directory_artifacts_are_left_out(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<p>")
    with TrainingLogger("p", "run", None, console=False) as logger:
        Tracker(logger).log_artifact(page)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]


def test_a_background_tracker_gets_values_of_the_host(logger):
    tracker = Tracker(logger)
    for name in ("log", "summary", "hyperparameters"):
        prepared = getattr(tracker, f"_prepare_{name}")({"a": jnp.ones(2), "b": "x"})
        assert type(prepared["a"]) is np.ndarray and prepared["b"] == "x"
