"""The blocks of docs/migration.md run, and those of a pair give the same values."""

import json
import re

import numpy as np
import pytest
import wandb
from support.migration import FROZEN, PAGE, run, sections, values
from support.readme import NOT_RUN

import jaxmetrics as jm

SECTIONS = sections()
APPROXIMATE = {"auc": 1e-3, "auroc": 1e-3}  # histograms and thresholds


@pytest.fixture(scope="module")
def setup():
    (block,) = SECTIONS[""]
    return run(block, {})


@pytest.fixture
def run_blocks(setup, tmp_path, monkeypatch):
    """Run the blocks of a section, each in an empty folder; return their values.

    wandb keeps the folder of the first run of a process until it is torn down.
    """
    frozen = json.loads(FROZEN.read_text())

    def run_all(title):
        results = []
        for number, code in enumerate(SECTIONS[title]):
            if NOT_RUN in code:
                assert frozen[title]["block"] == code, "run support.migration again"
                results.append(frozen[title]["values"])
            else:
                folder = tmp_path / str(number)
                folder.mkdir()
                monkeypatch.chdir(folder)
                wandb.teardown()
                results.append(values(code, setup))
        return results

    return run_all


def assert_equal(after, before):
    assert after.keys() == before.keys()
    for name, expected in before.items():
        tolerance = APPROXIMATE.get(name)
        assert after[name] == pytest.approx(expected, rel=1e-6, abs=tolerance), name


@pytest.mark.parametrize(
    "title",
    [
        "clu: metrics",
        "clu: pmap and shard_map",
        "nnx.MultiMetric",
        "metrax",
        "torchmetrics",
    ],
)
def test_metrics_have_the_values_that_they_replace(run_blocks, title):
    before, *others = run_blocks(title)
    assert others
    for after in others:
        assert_equal(after, before)


def test_a_loop_that_weights_by_rows_has_the_same_values(run_blocks):
    means_of_means, weighted, after = run_blocks("optax loops with sums by hand")
    assert_equal(after, weighted)
    (stated,) = re.findall(r"its accuracy is ([\d.]+) lower", PAGE.read_text())
    difference = after["accuracy"] - means_of_means["accuracy"]
    assert difference == pytest.approx(float(stated), abs=5e-6)


@pytest.mark.filterwarnings("default")  # W&B and tensorboardX warn about others
@pytest.mark.parametrize("title", ["Weights & Biases", "TensorBoard"])
def test_loggers_record_the_same_points_under_the_same_names(run_blocks, title):
    before, after = run_blocks(title)
    assert sum(map(len, before.values())) >= 5
    assert after == {name: before[name] for name in after}
    assert before.keys() == after.keys()


def test_the_writer_of_clu_keeps_the_names_and_log_step_the_values(run_blocks):
    before, adapted, rewritten = run_blocks("clu: writers and periodic actions")
    assert {before.pop("steps_per_sec")[0][0], before.pop("uptime")[0][0]} == {4}
    assert_points(adapted, before)
    names = {"train/loss": "train_loss", "eval/loss": "eval_loss"}
    names["lr/lr"] = "learning_rate"
    assert_points({names[name]: rewritten[name] for name in names}, before)


def test_trackio_and_the_record_have_the_same_points(setup, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frozen = json.loads(FROZEN.read_text())["trackio"]
    before, after = SECTIONS["trackio"]
    assert before == frozen["block"], "run support.migration again"
    logger = run(after, setup)["logger"]
    history = jm.Run.load(logger.run_dir)
    points = {}
    for name in history.keys():
        steps, column = history[name]
        points[name] = [[int(s), float(x)] for s, x in zip(steps, column)]
    assert_points(points, frozen["values"])


def assert_points(after, before):
    assert after.keys() == before.keys()
    for name, points in before.items():
        assert [step for step, _ in after[name]] == [step for step, _ in points]
        expected = [value for _, value in points]
        assert [value for _, value in after[name]] == pytest.approx(expected, rel=1e-6)


def test_every_section_but_the_first_has_a_pair():
    titles = [title for title in SECTIONS if title]
    assert titles[0] == "What differs on purpose"
    assert all(len(SECTIONS[title]) >= 2 for title in titles[1:])


def test_names_and_options_in_the_tables_exist():
    names = {"jm": jm, "n": 10, "f": lambda loss: loss, "loss": np.ones(3)}
    calls = set(re.findall(r"`(jm\.[\w.]+(?:\([^`]*\))?)`", PAGE.read_text()))
    assert len(calls) > 40
    for call in calls:
        is_abridged = "..." in call or "=)" in call
        eval(call.partition("(")[0] if is_abridged else call, names)
