import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from support.runs import write_run

from jaxmetrics.figures import PALETTE, new_figure
from jaxmetrics.runs import Run
from jaxmetrics.runs.plots import _panels as panels
from jaxmetrics.runs.reading import History, load_history

GIB = 2**30


def history_of(unit="epoch", run=None, **series):
    named = {
        name.replace("__", "/"): (np.arange(len(y)), np.array(y, np.float64))
        for name, y in series.items()
    }
    return History("a run", unit, Path(), {}, {}, named, run)


def draw(panel, history):
    axes = new_figure().subplots()
    panel(axes, history)
    return axes


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def messages(axes):
    return [text.get_text() for text in axes.texts]


def test_the_loss_of_steps_has_no_band_and_its_name():
    axes = draw(panels.loss, history_of("step", train__loss=[3.0, 1.0, 2.0]))
    assert legend_of(axes) == ["loss", "median 2 of the last 3 steps"]
    assert axes.lines[1].get_xydata().tolist() == [[0, 2], [2, 2]]
    assert axes.get_xlabel() == "step"


def evaluated_run(tmp_path, *validation, key="val/loss", train=(3.0, 1.0, 2.0)):
    rows = [{"step": n, "train/loss": loss} for n, loss in enumerate(train)]
    rows += [{"step": n, "split": "val", key: y} for n, y in enumerate(validation)]
    return load_history(write_run(tmp_path, rows))


@pytest.mark.parametrize("panel", [panels.loss, panels.loss_log])
@pytest.mark.parametrize(
    "key, name",
    [
        ("val/loss", "val/loss"),
        ("train/val_loss", "val/loss"),
        ("eval/avg_loss", "eval/avg_loss"),
    ],
)
def test_validation_is_beside_training_and_has_the_star(tmp_path, panel, key, name):
    axes = draw(panel, evaluated_run(tmp_path, 5.0, 4.0, 4.5, key=key))
    assert legend_of(axes) == ["training loss", name, "best 4 at step 1"]
    drawn = [line.get_ydata().tolist() for line in axes.lines]
    assert drawn == [[3.0, 1.0, 2.0], [5.0, 4.0, 4.5], [4.0]]


def test_a_run_of_evaluations_alone_is_drawn(tmp_path):
    axes = draw(panels.loss, evaluated_run(tmp_path, 5.0, 4.0, train=()))
    assert legend_of(axes) == ["val/loss", "best 4 at step 1"]


def test_without_a_drawable_validation_the_level_of_the_training_is_drawn(tmp_path):
    history = evaluated_run(tmp_path, "NaN", -1.0)
    level = "median 2 of the last 3 steps"
    assert legend_of(draw(panels.loss_log, history)) == ["loss", level]
    assert legend_of(draw(panels.loss, history))[1] == "val/loss"


def test_the_distribution_has_the_validation(tmp_path):
    axes = draw(panels.loss_distribution, evaluated_run(tmp_path, 5.0, 4.0))
    assert legend_of(axes)[-1] == "val/loss"


def test_the_band_is_drawn_where_both_edges_are_known():
    history = history_of(
        train__loss=[2.0, 2.0],
        train__loss_min=[1.0, 1.0],
        train__loss_max=[math.nan, math.nan],
    )
    assert legend_of(draw(panels.loss, history)) == ["mean", "best 2 at epoch 0"]


def test_the_star_is_on_a_drawable_loss():
    axes = draw(panels.loss, history_of(train__loss=[-1e300, 2.0, 1.0]))
    assert legend_of(axes)[-1] == "best 1 at epoch 2"


def test_losses_that_are_not_positive_are_gaps_on_a_log_scale():
    axes = draw(panels.loss_log, history_of(train__loss=[-1.0, 2.0, 1.0]))
    assert np.isnan(axes.lines[0].get_ydata()[0])
    assert legend_of(axes)[-1] == "best 1 at epoch 2"


@pytest.mark.parametrize(
    ("count", "name", "windows"),
    [(3, "mean of 3 records", 1), (4, "mean of 2 records", 2), (2, "mean of 2", 1)],
)
def test_the_distribution_of_steps_is_over_windows(count, name, windows):
    history = history_of("step", train__loss=list(range(count)))
    axes = draw(panels.loss_distribution, history)
    assert legend_of(axes)[0].startswith(name)
    assert len(axes.lines[0].get_xdata()) == windows


def test_the_distribution_of_one_loss_has_no_band():
    axes = draw(panels.loss_distribution, history_of("step", train__loss=[2.0]))
    assert legend_of(axes) == ["mean"]


def test_several_learning_rates_of_a_run_have_a_line_each(tmp_path):
    rows = '{"step":1,"lr/encoder":1.0,"lr/decoder":2.0}\n'
    (tmp_path / "metrics.jsonl").write_text(rows)
    axes = draw(panels.learning_rate, load_history(Run.load(tmp_path)))
    assert legend_of(axes) == ["encoder", "decoder"]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[1.0], [2.0]]


def test_tokens_are_drawn_if_there_are_no_samples():
    axes = draw(panels.throughput, history_of(perf__tokens_per_second=[5.0, 6.0]))
    assert axes.get_ylabel() == "tokens / second"
    assert axes.get_ylim()[0] == 0
    both = history_of(perf__tokens_per_second=[5.0], perf__samples_per_second=[1.0])
    assert draw(panels.throughput, both).get_ylabel() == "samples / second"


@pytest.mark.parametrize(
    ("size", "label", "value"),
    [(10 * GIB, "memory (GiB)", 10), (10 * GIB - 1, "memory (MiB)", 10240 - 2**-20)],
)
def test_memory_has_a_unit_that_fits(size, label, value):
    axes = draw(panels.device_memory, history_of(mem__in_use_bytes=[size, size]))
    assert axes.get_ylabel() == label
    assert axes.lines[0].get_ydata().tolist() == [value, value]
    assert axes.get_ylim()[0] > 0.9 * value
    assert legend_of(axes) == ["in use"]


@pytest.mark.parametrize("counted", ["batches", "steps"])
def test_batches_or_steps_are_drawn_if_nothing_else_was_counted(counted):
    history = history_of(**{f"perf__{counted}_per_second": [5.0, 6.0]})
    axes = draw(panels.throughput, history)
    assert axes.get_ylabel() == f"{counted} / second" and len(axes.patches) == 2


@pytest.mark.parametrize(
    "key, panel",
    [
        ("lr/lr", panels.learning_rate),
        ("grad/norm", panels.grad_norm),
        ("perf/tokens_per_second", panels.throughput),
        ("perf/batches_per_second", panels.throughput),
        ("mem/peak_bytes", panels.device_memory),
        ("ema/delta_norm", panels.ema_divergence),
        ("perf/step_seconds", panels.epoch_timing),
    ],
)
def test_a_panel_is_recorded_if_one_of_its_keys_is(key, panel):
    history = history_of("step", **{key: [math.nan]})
    assert panels.recorded_panels(history) == [panel]


def test_a_change_of_the_loss_needs_two_losses(tmp_path):
    one, two = (history_of(train__loss=[1.0] * n) for n in (1, 2))
    assert panels.recorded_panels(one) == [panels.loss]
    assert panels.recorded_panels(two) == [panels.loss, panels.loss_derivative]
    assert panels.recorded_panels(history_of()) == []
    history = evaluated_run(tmp_path, 1.0, train=())
    assert panels.recorded_panels(history) == [panels.loss]


def test_memory_without_a_finite_value_is_left_out():
    history = history_of(
        mem__in_use_bytes=[GIB, GIB], mem__peak_bytes=[math.nan, math.nan]
    )
    assert legend_of(draw(panels.device_memory, history)) == ["in use"]


def test_times_of_epochs_are_bars_and_of_steps_a_line():
    epochs = draw(panels.epoch_timing, history_of(perf__epoch_seconds=[1.0, 2.0]))
    assert len(epochs.patches) == 2 and not epochs.lines
    assert epochs.get_ylabel() == "seconds / epoch"
    steps = history_of("step", perf__step_seconds=[1.0, 2.0])
    assert len(draw(panels.epoch_timing, steps).lines) == 1


def test_a_single_bar_has_room_around_it():
    axes = draw(panels.throughput, history_of(perf__samples_per_second=[5.0]))
    assert axes.get_xlim() == (-2, 2)
    (bar,) = axes.patches
    assert bar.get_width() == pytest.approx(0.8)


@pytest.mark.parametrize(("count", "bars"), [(150, 150), (151, 0)])
def test_many_bars_become_an_area(count, bars):
    series = np.arange(1.0, count + 1)
    axes = draw(panels.throughput, history_of(perf__samples_per_second=series))
    assert len(axes.patches) == bars
    assert bool(axes.collections) == (not bars)


def test_the_change_of_steps_is_between_means_of_windows():
    history = history_of("step", train__loss=[4.0, 2.0, 2.0, 1.0])
    axes = draw(panels.loss_derivative, history)
    bars = sorted(
        (bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in axes.patches
    )
    assert bars == [(0.5, -2.0), (1.5, 0.0), (2.5, -1.0)]
    long = history_of("step", train__loss=np.arange(120.0))
    title = draw(panels.loss_derivative, long).get_title("left")
    assert title == "Change of the loss per step (means of 2 records)"


def test_the_change_between_epochs_is_at_the_later_one():
    axes = draw(panels.loss_derivative, history_of(train__loss=[1.0, 2.0, 1.5]))
    colors = {
        round(bar.get_x() + bar.get_width() / 2): to_hex(bar.get_facecolor())
        for bar in axes.patches
    }
    assert colors == {1: PALETTE.red, 2: PALETTE.green}


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([1.0], "a change needs two losses"),
        ([math.nan, 1.0], "none of 1 values is finite"),
    ],
)
def test_a_change_that_is_unknown_is_explained(losses, message):
    axes = draw(panels.loss_derivative, history_of(train__loss=losses))
    assert messages(axes) == [message]


def test_bars_are_as_wide_as_the_smallest_gap_allows():
    axes = new_figure().subplots()
    x, y = np.array([0.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0])
    panels._bars(axes, x, y, PALETTE.blue)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([1.6] * 3)


def test_throughput_of_many_steps_is_a_line_with_a_range_of_its_own(tmp_path):
    rows = [
        {"step": step, "perf/tokens_per_second": 300.0 + step % 2}
        for step in range(500)
    ]
    history = load_history(write_run(tmp_path / "run", rows))
    axes = draw(panels.throughput, history)
    assert axes.lines and not axes.patches
    assert axes.get_ylim()[0] > 290
