import math
from pathlib import Path

import pytest
from matplotlib.colors import to_hex
from PIL import Image
from support.plots import is_cut_off, texts
from support.processes import run_python
from support.runs import epoch as plain_epoch
from support.runs import rows_of, write_epochs, write_run

from jaxmetrics import Run
from jaxmetrics.figures import PALETTE
from jaxmetrics.record import EpochMetrics, Epochs
from jaxmetrics.runs import generate_all_plots, generate_report
from jaxmetrics.runs.plots import PLOT_NAMES
from jaxmetrics.runs.plots import _plots as plots
from jaxmetrics.runs.plots._files import save_figure
from jaxmetrics.runs.reading import load_history
from jaxmetrics.runs.reading._history import history_of_epochs

ELEVEN = (
    "loss_linear loss_log loss_distribution learning_rate grad_norm throughput "
    "gpu_memory ema_divergence epoch_timing loss_derivative training_dashboard"
).split()
LOW_DPI = 20  # where the picture itself is not tested


def epoch(number, loss, **fields):
    spread = {"loss_std": 0.1, "loss_min": loss - 0.2, "loss_max": loss + 0.2}
    return plain_epoch(number, loss, **(spread | fields))


def full_epoch(number, loss):
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


def history_of(*epochs, name="a run"):
    return history_of_epochs(Epochs({}, {}, list(epochs)), Path(name))


def bars_of(axes):
    return [(bar.get_height(), to_hex(bar.get_facecolor())) for bar in axes.patches]


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    epochs = [full_epoch(n, 2.0 / n) for n in range(1, 13)]
    folder = write_epochs(tmp_path_factory.mktemp("epochs"), *epochs)
    return folder, generate_all_plots(folder)


def test_the_eleven_plots_have_their_file_names(generated):
    folder, paths = generated
    assert [path.name for path in paths] == [f"{name}.png" for name in ELEVEN]
    assert all(path.parent == folder and path.is_file() for path in paths)
    assert list(PLOT_NAMES[:11]) == ELEVEN


def test_plots_are_dark_and_have_180_dots_per_inch(generated):
    for path in generated[1]:
        with Image.open(path) as picture:
            pixels = picture.convert("RGB")
            corners = [(0, 0), (pixels.width - 1, pixels.height - 1)]
            assert {pixels.getpixel(at) for at in corners} == {(0x0E, 0x11, 0x17)}
            assert picture.info["dpi"] == pytest.approx((180, 180), abs=0.1)
            size = (3600, 2520) if "dashboard" in path.name else (1800, 1008)
            assert picture.size == size


def test_the_best_epoch_has_a_star_and_the_loss_a_band():
    losses = [3.0, 1.5, 1.0, 1.2]
    history = history_of(*(epoch(n, x) for n, x in enumerate(losses)))
    figure = plots.loss_linear(history)
    (axes,) = figure.axes
    stars = [line for line in axes.lines if line.get_marker() == "*"]
    assert [line.get_xydata().tolist() for line in stars] == [[[2.0, 1.0]]]
    (band,) = [c for c in axes.collections if type(c).__name__.startswith("Fill")]
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.min() == pytest.approx(0.8) and heights.max() == pytest.approx(3.2)
    assert "best 1 at epoch 2" in texts(figure)


def test_the_log_plot_has_a_logarithmic_axis():
    figure = plots.loss_log(history_of(epoch(0, 1.0)))
    assert figure.axes[0].get_yscale() == "log"


def test_the_standard_deviation_is_a_band_around_the_mean():
    history = history_of(epoch(0, 2.0, loss_std=0.5), epoch(1, 1.0))
    figure = plots.loss_distribution(history)
    (band,) = [c for c in figure.axes[0].collections if c.get_paths()][:1]
    heights = band.get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(2.5) and heights.min() == pytest.approx(0.9)


def test_throughput_has_bars_and_a_unit():
    figure = plots.throughput(history_of(*(full_epoch(n, 1.0) for n in (1, 2, 3))))
    assert [height for height, _ in bars_of(figure.axes[0])] == [901, 902, 903]
    assert "samples / second" in texts(figure)


def test_device_memory_of_epochs_is_drawn_in_gib():
    figure = plots.gpu_memory(history_of(full_epoch(1, 1.0), full_epoch(2, 1.0)))
    lines = {tuple(line.get_ydata()) for line in figure.axes[0].lines}
    assert lines == {(n / 1024,) * 2 for n in (20_000, 30_000, 25_000)}
    assert "memory (GiB)" in texts(figure)


def test_a_falling_loss_is_green_and_a_rising_one_red():
    losses = [3.0, 2.0, 2.5, 2.5, 0.5]
    history = history_of(*(epoch(n, x) for n, x in enumerate(losses)))
    assert sorted(bars_of(plots.loss_derivative(history).axes[0])) == [
        (-2.0, PALETTE.green),
        (-1.0, PALETTE.green),
        (0.0, PALETTE.green),
        (0.5, PALETTE.red),
    ]


def test_the_dashboard_has_eight_charts_and_a_summary():
    history = history_of(*(full_epoch(n, 2.0 / n) for n in range(1, 9)))
    figure = plots.training_dashboard(history)
    assert len(figure.axes) == 9
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles[:3] == ["Loss", "Learning rate", "Gradient norm"]
    assert titles[-1] == "Summary"
    assert not any(spine.get_visible() for spine in figure.axes[-1].spines.values())
    assert {"0.25 at epoch 8", "8m00s", "24.4 GiB"} <= set(texts(figure))


@pytest.mark.parametrize(
    ("fields", "titles"),
    [
        ({}, ["Loss", "Summary"]),
        (
            {"batches_per_sec": 9.0, "lr": 1.0},
            ["Loss", "Learning rate", "Throughput", "Summary"],
        ),
    ],
)
def test_a_panel_without_data_is_left_out_of_the_dashboard(fields, titles):
    figure = plots.training_dashboard(history_of(epoch(1, 1.0, **fields)))
    assert [axes.get_title("left") for axes in figure.axes] == titles
    assert not is_cut_off(figure)


def test_a_dashboard_without_any_data_is_the_summary():
    figure = plots.training_dashboard(history_of(EpochMetrics(0)))
    assert [axes.get_title("left") for axes in figure.axes] == ["Summary"]


@pytest.mark.parametrize("name", ELEVEN[:-1])
def test_a_plot_without_data_says_so(name):
    figure = plots.PLOTS[name](history_of(EpochMetrics(0)))
    assert [t for t in texts(figure) if t.startswith(("no ", "a change needs"))]


ODD_EPOCHS = {
    "no epoch": [],
    "nothing known": [EpochMetrics(0), EpochMetrics(1)],
    "one": [full_epoch(1, 2.0)],
    "one nan": [EpochMetrics(3, loss_mean=math.nan, loss_min=math.nan)],
    "all nan": [full_epoch(n, math.nan) for n in (1, 2, 3)],
    "some nan": [
        full_epoch(n, x) for n, x in enumerate([3.0, math.nan, math.inf, 1], 1)
    ],
    "negative": [full_epoch(n, x) for n, x in enumerate([-1.0, 0.0, -2.0], 1)],
    "constant": [full_epoch(n, 1.0) for n in (1, 2, 3)],
    "huge": [full_epoch(n, x) for n, x in enumerate([1e308, 5e-324, -1e308, 1e299], 1)],
    "gaps": [full_epoch(n, 1.0 / n) for n in (1, 7, 1_000_000)],
    "many": [full_epoch(n, 1.0 / n) for n in range(1, 2_000)],
}


@pytest.mark.parametrize("name", ODD_EPOCHS)
def test_odd_histories_are_drawn(tmp_path, name):
    history = history_of(*ODD_EPOCHS[name])
    for plot in ("training_dashboard", "loss_log", "loss_distribution"):
        save_figure(plots.PLOTS[plot](history), tmp_path / f"{plot}.png", LOW_DPI)


@pytest.mark.parametrize("name", ["one", "some nan", "huge", "many", "gaps"])
def test_no_text_is_cut_off(name):
    history = history_of(*ODD_EPOCHS[name], name=64 * "W")
    for plot in ("training_dashboard", "loss_log", "loss_derivative", "gpu_memory"):
        assert not is_cut_off(plots.PLOTS[plot](history)), plot


def test_values_that_cannot_be_drawn_are_explained():
    some, none, negative = (
        history_of(*ODD_EPOCHS[name]) for name in ("some nan", "all nan", "negative")
    )
    assert "× not finite" in texts(plots.loss_linear(some))
    assert "none of 3 values is finite" in texts(plots.loss_log(none))
    assert "no loss is positive" in texts(plots.loss_log(negative))


def test_a_process_without_files_writes_nothing(tmp_path):
    class TrackerOfAnotherProcess:
        output_dir, writes_files = tmp_path, False

    tracker = TrackerOfAnotherProcess()
    assert generate_all_plots(tracker) == generate_report(tracker) == []
    assert not list(tmp_path.iterdir())


def test_existing_files_of_other_programs_are_not_replaced(tmp_path):
    folder, save_dir = write_epochs(tmp_path / "e", epoch(0, 1.0)), tmp_path / "p/q"
    save_dir.mkdir(parents=True)
    save_figure(plots.loss_linear(history_of()), save_dir / "loss_linear.png", LOW_DPI)
    before = (save_dir / "loss_linear.png").read_bytes()
    (save_dir / "loss_log.png").write_bytes(b"mine")
    with pytest.raises(
        FileExistsError, match=r"loss_log\.png exists and is not a plot"
    ):
        generate_all_plots(folder, save_dir, dpi=LOW_DPI)
    assert (save_dir / "loss_log.png").read_bytes() == b"mine"
    assert (save_dir / "loss_linear.png").read_bytes() != before  # an own plot


def test_a_run_of_steps_has_the_same_plots(tmp_path):
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
    history = load_history(run)
    figure = plots.throughput(history)
    assert "tokens / second" in texts(figure) and "step" in texts(figure)
    assert "mean of 4 records" in texts(plots.loss_distribution(history))
    memory = plots.gpu_memory(history)
    assert "memory (MiB)" in texts(memory)
    assert set(memory.axes[0].lines[0].get_ydata()) == {1024.0}
    names = [path.stem for path in generate_all_plots(run, dpi=LOW_DPI)]
    assert names == list(ELEVEN)


def test_a_plot_without_data_is_not_written(tmp_path):
    folder = write_run(tmp_path, rows_of(3, train__loss=float))
    names = {path.stem for path in generate_all_plots(folder, dpi=LOW_DPI)}
    drawn = {"loss_linear", "loss_log", "loss_distribution", "loss_derivative"}
    assert names == drawn | {"training_dashboard"}
    report = generate_report(folder).read_text()
    assert "### Loss linear" in report and "### Device memory" not in report


def test_the_dashboard_has_the_goodput_and_the_alarms(tmp_path):
    rows = rows_of(300, train__loss=float, grad__norm=float)
    alarm = {"event": "alarm", "time": "2026-01-01T00:00:00+00:00", "kind": "spike"}
    events = [alarm | {"step": step} for step in (70, 70, 200)]
    events[1]["repeated"] = {"count": 4}
    history = load_history(write_run(tmp_path, rows, events))
    figure = plots.training_dashboard(history, {"goodput": 0.75, "step": 3, "idle": 1})
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles[-2:] == ["Time by category: goodput 75.0% of 4s", "Summary"]
    for axes in figure.axes[:2]:
        marked = [line.get_xdata() for line in axes.lines if line.get_alpha() == 0.5]
        assert marked == [[70, 70], [200, 200]]
    assert "6, the last at step 200" in texts(figure)


def test_the_memory_of_steps_names_no_kind_of_device(tmp_path):
    rows = rows_of(3, train__loss=float, mem__in_use_bytes=lambda s: 2**30)
    folder = write_run(tmp_path, rows)
    generate_all_plots(folder, dpi=LOW_DPI)
    report = generate_report(folder).read_text()
    assert "### Device memory\n\n![Device memory](gpu_memory.png)" in report
    assert "| step | loss_mean | memory_allocated_mb |" in report


def test_plots_load_neither_jax_nor_pyplot_and_need_no_display(tmp_path):
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
