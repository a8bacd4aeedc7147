"""Plots: what they draw, what they say when there is nothing, and their files."""

import math

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image
from support.processes import run_python

from jaxmetrics import Run
from jaxmetrics.figures._downsample import downsample, windows
from jaxmetrics.figures._style import GREEN, RED, save, tick
from jaxmetrics.record import EpochMetrics, Epochs, dumps
from jaxmetrics.runs import generate_all_plots, plots
from jaxmetrics.runs.plots import _telemetry_plots as telemetry
from jaxmetrics.runs.reading._history import history, of_epochs

ELEVEN = (
    "loss_linear loss_log loss_distribution learning_rate grad_norm throughput "
    "gpu_memory ema_divergence epoch_timing loss_derivative training_dashboard"
).split()
LOW = 20  # dots an inch, where the picture is not the subject


def epoch(number, loss, **fields):
    around = {"loss_std": 0.1, "loss_min": loss - 0.2, "loss_max": loss + 0.2}
    return EpochMetrics(number, loss_mean=loss, **(around | fields))


def whole(number, loss):
    return epoch(
        number,
        loss,
        lr=1e-3 / number,
        grad_norm=0.5 + 0.1 * number,
        samples_per_sec=900.0 + number,
        batches_per_sec=9.0,
        gpu_allocated_mb=20_000.0,
        gpu_reserved_mb=30_000.0,
        gpu_peak_mb=25_000.0,
        ema_delta_norm=0.1 * number,
        epoch_time_sec=60.0,
        cumulative_time_sec=60.0 * number,
    )


def of(*epochs, name="a run"):
    from pathlib import Path

    return of_epochs(Epochs({}, {}, list(epochs)), Path(name))


def write_epochs(folder, *epochs):
    lines = [e.line() for e in epochs]
    folder.mkdir(parents=True, exist_ok=True)
    text = dumps({"kind": "epochs", "run": {}, "config": {}, "epochs": lines})
    (folder / "training_metrics.json").write_text(text)
    return folder


def write_run(folder, rows, **header):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(dumps(header))
    (folder / "metrics.jsonl").write_text("".join(f"{dumps(row)}\n" for row in rows))
    return folder


def rows_of(count, **values):
    """Rows whose values are functions of the step."""
    base = {"split": "train"}
    names = {name.replace("__", "/"): value for name, value in values.items()}
    return [
        {"step": s} | base | {name: value(s) for name, value in names.items()}
        for s in range(1, count + 1)
    ]


def texts(figure):
    """All that a figure says, after a drawing."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def is_cut_off(figure):
    """Whether something that is drawn reaches beyond the edge of a figure."""
    figure.draw_without_rendering()
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox()
    return not (box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height)


def bars_of(axes):
    return [(bar.get_height(), to_hex(bar.get_facecolor())) for bar in axes.patches]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    epochs = [whole(n, 2.0 / n) for n in range(1, 13)]
    folder = write_epochs(tmp_path_factory.mktemp("epochs"), *epochs)
    return folder, generate_all_plots(folder)


def test_the_eleven_plots_have_their_names(drawn):
    folder, paths = drawn
    assert [path.name for path in paths] == [f"{name}.png" for name in ELEVEN]
    assert all(path.parent == folder and path.is_file() for path in paths)
    assert list(plots.PLOTS) == ELEVEN


def test_plots_are_dark_and_have_180_dots_an_inch(drawn):
    for path in drawn[1]:
        with Image.open(path) as picture:
            pixels = picture.convert("RGB")
            corners = [(0, 0), (pixels.width - 1, pixels.height - 1)]
            assert {pixels.getpixel(at) for at in corners} == {(0x0E, 0x11, 0x17)}
            assert picture.info["dpi"] == pytest.approx((180, 180), abs=0.1)
            size = (3600, 2520) if "dashboard" in path.name else (1800, 1008)
            assert picture.size == size


def test_the_best_epoch_has_a_star_and_the_loss_a_band():
    losses = [3.0, 1.5, 1.0, 1.2]
    figure = plots.loss_linear(of(*(epoch(n, x) for n, x in enumerate(losses))))
    (axes,) = figure.axes
    stars = [line for line in axes.lines if line.get_marker() == "*"]
    assert [line.get_xydata().tolist() for line in stars] == [[[2.0, 1.0]]]
    (band,) = [c for c in axes.collections if type(c).__name__.startswith("Fill")]
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(0.8) and heights.max() == pytest.approx(3.2)
    assert "best 1 at epoch 2" in texts(figure)
    assert plots.loss_log(of(epoch(0, 1.0))).axes[0].get_yscale() == "log"


def test_the_deviation_lies_around_the_mean():
    figure = plots.loss_distribution(of(epoch(0, 2.0, loss_std=0.5), epoch(1, 1.0)))
    (band,) = [c for c in figure.axes[0].collections if c.get_paths()][:1]
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(2.5) and heights.min() == pytest.approx(0.9)


def test_throughput_is_bars_and_names_its_unit():
    figure = plots.throughput(of(*(whole(n, 1.0) for n in (1, 2, 3))))
    assert [height for height, _ in bars_of(figure.axes[0])] == [901, 902, 903]
    assert "samples / second" in texts(figure)


def test_a_falling_loss_is_green_and_a_rising_one_red():
    losses = [3.0, 2.0, 2.5, 2.5, 0.5]
    figure = plots.loss_derivative(of(*(epoch(n, x) for n, x in enumerate(losses))))
    assert sorted(bars_of(figure.axes[0])) == [
        (-2.0, GREEN),
        (-1.0, GREEN),
        (0.0, GREEN),
        (0.5, RED),
    ]


def test_the_dashboard_is_three_by_three_and_ends_in_words():
    figure = plots.training_dashboard(of(*(whole(n, 2.0 / n) for n in range(1, 9))))
    assert len(figure.axes) == 9
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles[:3] == ["Loss", "Learning rate", "Gradient norm"]
    assert titles[-1] == "Summary"
    said = texts(figure)
    assert "0.25 at epoch 8" in said and "8 min 0 s" in said and "24.4 GiB" in said


@pytest.mark.parametrize("name", ELEVEN[:-1])
def test_a_plot_without_its_data_says_so(name):
    said = texts(plots.PLOTS[name](of(EpochMetrics(0))))
    assert [text for text in said if text.startswith(("no ", "a change takes"))]


ODD = {
    "no epoch": [],
    "nothing known": [EpochMetrics(0), EpochMetrics(1)],
    "one": [whole(1, 2.0)],
    "one nan": [EpochMetrics(3, loss_mean=math.nan, loss_min=math.nan)],
    "all nan": [whole(n, math.nan) for n in (1, 2, 3)],
    "some nan": [whole(n, x) for n, x in enumerate([3.0, math.nan, math.inf, 1], 1)],
    "negative": [whole(n, x) for n, x in enumerate([-1.0, 0.0, -2.0], 1)],
    "constant": [whole(n, 1.0) for n in (1, 2, 3)],
    "huge": [whole(n, x) for n, x in enumerate([1e308, 5e-324, -1e308, 1e299], 1)],
    "gaps": [whole(n, 1.0 / n) for n in (1, 7, 1_000_000)],
    "many": [whole(n, 1.0 / n) for n in range(1, 2_000)],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_histories_are_drawn(tmp_path, name):
    for plot in ("training_dashboard", "loss_log", "loss_distribution"):
        save(plots.PLOTS[plot](of(*ODD[name])), tmp_path / f"{plot}.png", LOW)


@pytest.mark.parametrize("name", ["one", "some nan", "huge", "many", "gaps"])
def test_no_text_is_cut_off(name):
    history = of(*ODD[name], name=64 * "W")
    for plot in ("training_dashboard", "loss_log", "loss_derivative", "gpu_memory"):
        assert not is_cut_off(plots.PLOTS[plot](history)), plot


def test_values_that_are_not_finite_are_marked_as_such():
    said = texts(plots.loss_linear(of(*ODD["some nan"])))
    assert "not finite" in said
    assert "none of 3 values is finite" in texts(plots.loss_log(of(*ODD["all nan"])))
    assert "no loss is positive" in texts(plots.loss_log(of(*ODD["negative"])))


def test_the_source_is_a_path_a_run_or_anything_with_an_output_dir(tmp_path):
    class Tracker:
        output_dir = write_epochs(tmp_path / "e", epoch(4, 1.0))

    run = write_run(tmp_path / "r", rows_of(3, train__loss=float), run_name="named")
    for source in (Tracker(), Tracker.output_dir, str(Tracker.output_dir)):
        assert history(source).get("loss_mean")[0].tolist() == [4]
    for source in (run, Run.load(run), run / "metrics.jsonl"):
        assert history(source).unit == "step"
    write_run(tmp_path / "e", rows_of(3, train__loss=float), run_name="both")
    both = history(Tracker())
    assert (both.unit, both.name, len(both.run)) == ("epoch", "both", 3)


def test_what_is_no_source_is_refused(tmp_path):
    class Tracker:
        output_dir = tmp_path

    with pytest.raises(FileNotFoundError, match="no epoch has ended"):
        generate_all_plots(Tracker())
    with pytest.raises(FileNotFoundError, match="found neither"):
        generate_all_plots(tmp_path)
    with pytest.raises(TypeError, match="got a int. Give the run directory"):
        generate_all_plots(3)
    assert not list(tmp_path.iterdir())


def test_a_picture_of_somebody_else_is_left_alone(tmp_path):
    folder, save_dir = write_epochs(tmp_path / "e", epoch(0, 1.0)), tmp_path / "p"
    save_dir.mkdir()
    save(plots.loss_linear(of()), save_dir / "loss_linear.png", LOW)
    before = (save_dir / "loss_linear.png").read_bytes()
    (save_dir / "loss_log.png").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="loss_log.png is there, and is not"):
        generate_all_plots(folder, save_dir, dpi=LOW)
    assert (save_dir / "loss_log.png").read_bytes() == b"mine"
    assert (save_dir / "loss_linear.png").read_bytes() != before  # ours is replaced


def test_a_run_of_steps_gives_the_same_plots(tmp_path):
    rows = rows_of(
        400,
        time=lambda s: 2.0 * s,
        tokens=lambda s: 1000 * s,
        train__loss=lambda s: 5.0 / s,
        lr__lr=lambda s: 1e-3,
        grad__norm=lambda s: 1.0,
        mem__in_use_bytes=lambda s: 2**30,
        ema__delta_norm=lambda s: 0.5,
    )
    run = Run.load(write_run(tmp_path, rows))
    read = history(run)
    assert read.get("gpu_allocated_mb")[1][0] == 1024
    assert read.get("epoch_time_sec")[1][0] == 2.0
    assert read.get("tokens_per_sec")[1][5] == 500.0
    figure = plots.throughput(read)
    assert "tokens / second" in texts(figure) and "step" in texts(figure)
    assert "mean of 4 records" in texts(plots.loss_distribution(read))
    assert len(generate_all_plots(run, dpi=LOW)) == 11


def test_a_resumed_run_has_no_negative_step_times(tmp_path):
    rows = rows_of(4, time=lambda s: [0, 9.0, 10.0, 5.0, 6.0][s])
    read = history(write_run(tmp_path, rows))
    assert read.get("epoch_time_sec")[1].tolist() == [1.0, 1.0]


def run_with_telemetry(folder, steps=30):
    groups = [f"block_{n}" for n in range(12)] + ["_hidden", "$x_{$", "数据", "a\nb"]
    values = {"train/loss": 1.0, "val/loss": 1.1, "val_web/loss": 2.0}
    values |= {"train_web/loss": 1.0, "train_code/loss": 0.5}
    values |= {f"grad/norm/{group}": 1.0 + n for n, group in enumerate(groups)}
    values |= {f"update/ratio/{group}": 1e-3 * n for n, group in enumerate(groups)}
    values |= {"grad/norm": 50.0, "update/ratio": 1e-3}
    values |= {f"train/length_p{p}": float(p) for p in ("05", "25", "50", "75", "95")}
    values |= {f"train_web/reward_stat_p{p}": 1.0 for p in ("05", "95", "99")}
    rows = [{"step": s, "split": "train"} | values for s in range(1, steps)]
    return write_run(folder, rows)


def test_telemetry_adds_its_plots_where_there_is_something(tmp_path):
    spent = {"goodput": 0.9, "step": 900.0, "compile": 100.0}
    paths = generate_all_plots(run_with_telemetry(tmp_path), goodput=spent, dpi=LOW)
    added = ["group_norms", "update_ratios", "quantile_bands", "dataset_losses"]
    assert [path.stem for path in paths[11:]] == [*added, "goodput_breakdown"]
    plain = history(write_run(tmp_path / "plain", rows_of(3, train__loss=float)))
    assert [plot(plain) for plot in telemetry.PLOTS.values()] == [None] * 4


def test_of_many_groups_the_largest_are_drawn_and_any_name_is_text(tmp_path):
    read = history(run_with_telemetry(tmp_path))
    figure = telemetry.group_norms(read)
    said = texts(figure)
    assert "Gradient norms by group (the largest 8 of 16)" in said
    assert "(all)" in said and "block_11" in said and "block_2" not in said
    assert "_hidden" in said and "$x_{$" in said and "□□" in said and "a□b" in said
    assert not is_cut_off(figure)


def test_quantiles_are_bands_and_datasets_lines(tmp_path):
    read = history(run_with_telemetry(tmp_path))
    said = texts(telemetry.quantile_bands(read))
    for text in ("Quantiles of train/length", "p05 to p95", "p25 to p75", "median"):
        assert text in said
    assert "Quantiles of train_web/reward" in said and "p99" in said
    said = texts(telemetry.dataset_losses(read))
    assert {"Loss by dataset, train", "Loss by dataset, val", "web", "code"} <= {*said}


def test_goodput_shows_seconds_by_category():
    spent = {f"part {n}": 10.0 * n for n in range(30)} | {"bad": math.nan}
    figure = telemetry.goodput_breakdown({"goodput": 0.5, "$step$": 4350.0} | spent)
    said = texts(figure)
    assert "Where the time went: goodput 50.0% of 2 h 25 min" in said
    assert " 1 h 12 min, 50.0%" in said and "$step$" in said and "16 others" in said
    assert "seconds" in said and not is_cut_off(figure)
    assert "no time was recorded" in texts(telemetry.goodput_breakdown({}))


def test_a_million_steps_keep_their_spike(tmp_path):
    steps = np.arange(1_000_000)
    values = np.sin(steps / 1e5)
    values[654_321], values[777_777] = 9.0, np.nan
    x, y = downsample(steps, values)
    assert len(x) <= 4000 and np.all(np.diff(x) > 0)
    assert x[np.nanargmax(y)] == 654_321 and y[0] == values[0] and x[-1] == steps[-1]
    assert x[np.isnan(y)].tolist() == [777_777]


@pytest.mark.parametrize("points", [5, 7, 100])
@pytest.mark.parametrize("count", [1, 5, 6, 99, 101, 1234])
def test_downsampling_keeps_the_extremes_of_every_window(count, points):
    y = np.random.default_rng(count).normal(size=count)
    x = np.arange(count) * 2
    xs, ys = downsample(x, y, points)
    assert len(xs) <= points or count <= points
    assert ys.max() == y.max() and ys.min() == y.min()
    assert (xs[0], xs[-1]) == (x[0], x[-1])
    assert np.array_equal(y[xs // 2], ys)
    if count <= points:
        assert len(xs) == count


def test_windows_are_statistics_of_what_is_finite():
    y = np.array([1.0, 3.0, np.nan, 5.0, np.inf, np.nan, 7.0])
    found = windows(np.arange(7), y, most=4)
    assert found.size == 2
    np.testing.assert_array_equal(found.x, [0.5, 2.5, 4.5, 6.0])
    np.testing.assert_array_equal(found.mean, [2.0, 5.0, np.nan, 7.0])
    np.testing.assert_array_equal(found.std, [1.0, 0.0, np.nan, 0.0])
    np.testing.assert_array_equal(found.low, [1.0, 5.0, np.nan, 7.0])
    np.testing.assert_array_equal(found.high, [3.0, 5.0, np.nan, 7.0])
    assert len(windows(np.zeros(0), np.zeros(0)).mean) == 0


def test_ticks_differ_where_their_places_do():
    for low, high in [(0, 2), (2.3, 2.301), (0, 1e-4), (5e5, 5.1e5), (0, 3e9), (-1, 1)]:
        places = np.linspace(low, high, 9)
        labels = {tick(place, low, high) for place in places}
        assert len(labels) == 9, labels
        assert max(map(len, labels)) <= 9


def test_plots_need_no_display_no_jax_and_no_state_of_others(tmp_path):
    write_epochs(tmp_path, epoch(0, 1.0))
    script = """
    import sys
    from jaxmetrics.runs import generate_all_plots, generate_report
    assert "matplotlib" not in sys.modules
    paths = generate_all_plots(sys.argv[1], dpi=20)
    generate_report(sys.argv[1], plot_paths=paths)
    assert not {"jax", "matplotlib.pyplot"} & set(sys.modules)
    """
    done = run_python(script, tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_full_disk_leaves_the_old_picture(tmp_path, monkeypatch):
    from support.faults import FullDisk

    path = tmp_path / "loss_linear.png"
    save(plots.loss_linear(of(epoch(0, 1.0))), path, LOW)
    before = path.read_bytes()
    disk = FullDisk(monkeypatch)
    disk.room = 100
    with pytest.raises(OSError, match="No space left"):
        save(plots.loss_linear(of(epoch(0, 2.0))), path, LOW)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
