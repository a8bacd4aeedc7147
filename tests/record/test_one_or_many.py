"""A text is one name wherever several are taken, never its letters."""

from pathlib import Path

import numpy as np
import pytest
from support.runs import two_runs

import jaxmetrics as jm
from jaxmetrics.record import one_or_many
from jaxmetrics.runs import Tail, compare, generate_report


@pytest.mark.parametrize(
    ("given", "things"),
    [
        ("ab", ("ab",)),
        (Path("a/b"), (Path("a/b"),)),
        (["ab", "c"], ("ab", "c")),
        ((name for name in "ab"), ("a", "b")),
        ((), ()),
        (3, (3,)),
    ],
)
def test_texts_paths_and_single_things_are_one(given, things):
    assert one_or_many(given) == things


def test_settings_that_take_names_take_one(tmp_path):
    assert jm.LogConfig(tags="baseline").tags == ("baseline",)
    assert jm.writers.Memory(keys="train/*").keys == ("train/*",)
    aggregator = jm.MetricsAggregator(datasets="web")
    aggregator.update("web", jm.AggregationType.SUM, tokens=np.array([1]))
    assert aggregator.get_metrics_for_logging(prefix="train")
    slow, fast = two_runs(tmp_path)
    assert set(Tail(slow, keys="train/loss").read().metrics.series) == {"train/loss"}
    comparison = compare([slow, fast])
    (plot,) = comparison.generate_plots(tmp_path / "plots", "train/loss")
    assert plot.name == "compare_train_loss.png"
    report = generate_report(slow, save_dir=tmp_path, plot_paths=plot)
    assert plot.name in report.read_text()
