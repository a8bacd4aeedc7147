import math

import pytest
from support.plots import is_cut_off, texts
from support.runs import rows_of, write_run

from jaxmetrics.runs import generate_all_plots
from jaxmetrics.runs.plots import _telemetry_plots as telemetry
from jaxmetrics.runs.reading import load_history


@pytest.fixture
def run(tmp_path):
    groups = [f"block_{n}" for n in range(12)] + ["_hidden", "$x_{$", "数据", "a\nb"]
    values = {"train/loss": 1.0, "val/loss": 1.1, "val_web/loss": 2.0}
    values |= {"train_web/loss": 1.0, "train_code/loss": 0.5}
    values |= {f"grad/norm/{group}": 1.0 + n for n, group in enumerate(groups)}
    values |= {f"update/ratio/{group}": 1e-3 * n for n, group in enumerate(groups)}
    values |= {"grad/norm": 50.0, "update/ratio": 1e-3}
    values |= {f"train/length_p{p}": float(p) for p in ("05", "25", "50", "75", "95")}
    values |= {f"train_web/reward_stat_p{p}": 1.0 for p in ("05", "95", "99")}
    rows = [{"step": s, "split": "train"} | values for s in range(1, 30)]
    return write_run(tmp_path / "run", rows)


def test_a_run_with_telemetry_has_further_plots(run):
    spent = {"goodput": 0.9, "step": 900.0, "compile": 100.0}
    paths = generate_all_plots(run, goodput=spent, dpi=20)
    added = ["group_norms", "update_ratios", "quantile_bands", "dataset_losses"]
    names = [path.stem for path in paths]
    names = names[names.index("training_dashboard") + 1 :]
    assert names == [*added, "goodput_breakdown"]


def test_a_run_without_telemetry_has_no_further_plots(tmp_path):
    history = load_history(write_run(tmp_path, rows_of(3, train__loss=float)))
    assert [plot(history) for plot in telemetry.PLOTS.values()] == [None] * 6


def test_arrays_of_metrics_are_drawn_in_a_plot_of_their_own(tmp_path):
    rows = [
        {"step": s, "split": "val", "val/confusion": [[s, 0], [0, 1]], "val/f1": [s, 1]}
        for s in (1, 2)
    ]
    figure = telemetry.metric_arrays(load_history(write_run(tmp_path, rows)))
    titles = [axes.get_title("left") for axes in figure.axes if axes.get_title("left")]
    assert titles == ["val/confusion, step 2", "val/f1"]


def test_the_largest_of_many_groups_are_drawn_and_names_may_be_any_text(run):
    figure = telemetry.group_norms(load_history(run))
    shown = texts(figure)
    assert "Gradient norms by group (the largest 8 of 16)" in shown
    assert "(all)" in shown and "block_11" in shown and "block_2" not in shown
    assert {"_hidden", "$x_{$", "□□", "a□b"} <= set(shown)
    assert not is_cut_off(figure)


def test_pairs_of_quantiles_are_bands_and_others_are_lines(run):
    shown = texts(telemetry.quantile_bands(load_history(run)))
    for text in ("Quantiles of train/length", "p05 to p95", "p25 to p75", "median"):
        assert text in shown
    assert "Quantiles of train_web/reward" in shown and "p99" in shown


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7])
def test_at_most_six_distributions_are_drawn(tmp_path, count):
    names = [f"m{n}__p{p}" for n in range(count) for p in ("05", "95")]
    rows = rows_of(3, **{f"{name}": float for name in names})
    figure = telemetry.quantile_bands(load_history(write_run(tmp_path, rows)))
    drawn = [axes for axes in figure.axes if axes.get_title("left")]
    assert len(drawn) == min(count, 6) == sum(axes.axison for axes in figure.axes)
    heading = figure.get_suptitle()
    assert heading == ("6 of 7 distributions" if count == 7 else "")


@pytest.mark.parametrize("count", [8, 9])
def test_at_most_eight_groups_are_drawn(tmp_path, count):
    rows = rows_of(3, **{f"grad__norm__g{n}": float for n in range(count)})
    figure = telemetry.group_norms(load_history(write_run(tmp_path, rows)))
    (axes,) = figure.axes
    suffix = " (the largest 8 of 9)" if count == 9 else ""
    assert axes.get_title("left") == f"Gradient norms by group{suffix}"
    assert len(axes.lines) == 8


@pytest.mark.parametrize(("largest", "scale"), [(30.0, "linear"), (31.0, "log")])
def test_a_wide_range_is_drawn_on_a_logarithmic_axis(tmp_path, largest, scale):
    rows = rows_of(2, update__ratio=lambda s: {1: 1.0, 2: largest}[s])
    figure = telemetry.update_ratios(load_history(write_run(tmp_path, rows)))
    assert figure.axes[0].get_yscale() == scale


def test_ratios_without_a_finite_value_are_drawn_as_such(tmp_path):
    rows = rows_of(2, update__ratio=lambda s: math.nan)
    figure = telemetry.update_ratios(load_history(write_run(tmp_path, rows)))
    assert "none of the values is finite" in texts(figure)


@pytest.mark.parametrize("count", [14, 15])
def test_at_most_fourteen_categories_have_a_bar(count):
    spent = {f"part {n}": 1.0 + n for n in range(count)}
    figure = telemetry.goodput_breakdown(spent)
    shown = texts(figure)
    low, high = figure.axes[0].get_ylim()
    assert low < -0.35 and high > len(figure.axes[0].patches) - 0.65, "bars are whole"
    assert ("part 0" in shown) == (count == 14)
    assert ("1 others" in shown) == (count == 15)


def test_losses_of_datasets_have_a_chart_for_each_split(run):
    shown = texts(telemetry.dataset_losses(load_history(run)))
    assert {"Loss by dataset, train", "Loss by dataset, val", "web", "code"} <= {*shown}


def test_goodput_is_drawn_as_time_by_category():
    spent = {f"part {n}": 10.0 * n for n in range(30)} | {"bad": math.nan}
    figure = telemetry.goodput_breakdown({"goodput": 0.5, "$step$": 4350.0} | spent)
    shown = texts(figure)
    assert "Time by category: goodput 50.0% of 2h25m" in shown
    assert " 1h12m, 50.0%" in shown and "$step$" in shown and "16 others" in shown
    assert "time (min)" in shown and not is_cut_off(figure)
    names = figure.axes[0].get_yticklabels()
    assert not any(name.get_parse_math() for name in names)  # "$" is no formula


def test_a_ledger_without_time_is_drawn_as_such():
    assert "no time was recorded" in texts(telemetry.goodput_breakdown({}))
