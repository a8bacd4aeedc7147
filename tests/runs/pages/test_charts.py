import pytest
from support.runs import write_run

from jaxmetrics.runs import Run
from jaxmetrics.runs.pages._charts import layer_maps, map_notes, run_charts


def test_splits_of_a_metric_share_a_chart_and_labels_have_units(tmp_path):
    keys = (
        "train/loss val_code/loss perf/tokens_per_second perf/step_seconds "
        "grad/norm/head grad/norm lr/lr lr/decoder"
    )
    folder = write_run(
        tmp_path / "run", [{"step": 1} | dict.fromkeys(keys.split(), 1.0)]
    )
    run = Run.load(folder)
    charts = {c.title: c for c in run_charts(run, run.keys())}
    names = {title: [line.name for line in c.lines] for title, c in charts.items()}
    assert names["loss"] == ["train/loss", "val_code/loss"]
    assert names["grad/norm"] == ["grad/norm/head", "grad/norm"]
    assert charts["perf/tokens_per_second"].label == "tokens / second"
    assert charts["perf/step_seconds"].label == "step (seconds)"
    assert [line.name for line in charts["lr"].lines] == ["lr/lr", "lr/decoder"]


def charts_of(tmp_path, rows):
    run = Run.load(write_run(tmp_path / "run", rows))
    return run_charts(run, run.keys())


def test_evaluated_metrics_come_first_and_datasets_have_charts_of_their_own(tmp_path):
    keys = "perf/mfu val_a/loss val_b/loss train/loss val/loss train/entropy"
    charts = charts_of(tmp_path, [{"step": 1} | dict.fromkeys(keys.split(), 1.0)])
    assert [(c.section, [line.name for line in c.lines]) for c in charts] == [
        ("Loss", ["train/loss", "val/loss"]),
        ("Training", ["train/entropy"]),
        ("Datasets", ["val_a/loss", "val_b/loss"]),
        ("Speed", ["perf/mfu"]),
    ]


def test_the_largest_layers_are_shown_below_their_total(tmp_path):
    norms = {f"grad/norm/layer_{i:02}": 1.0 + i for i in range(12)}
    rows = [{"step": s, "grad/norm": 30.0} | norms for s in (1, 2)]
    (chart,) = charts_of(tmp_path, rows)
    names = [line.name for line in chart.lines]
    assert names[:3] == ["grad/norm", "grad/norm/layer_11", "grad/norm/layer_10"]
    shown = [line.name for line in chart.lines if line.show is not False]
    assert shown == names[:9]
    assert chart.lines[0].color is None


@pytest.mark.parametrize(("steps", "layers"), [(240, 64), (241, 65)])
def test_what_a_map_of_layers_leaves_out_is_noted(tmp_path, steps, layers):
    norms = {f"grad/norm/layer_{i:02}": 1.0 for i in range(layers)}
    rows = [{"step": s, "grad/norm": 1.0, "grad/norm/layer_00": 1.0} for s in (1, 2)]
    rows = [rows[0] | norms] + [rows[1] | {"step": s} for s in range(2, steps + 1)]
    run = Run.load(write_run(tmp_path / "run", rows))
    ((_, shown),) = layer_maps(run, run.keys(), run["grad/norm"][0])
    assert shown.values.shape == (64, 240)
    notes = [] if steps == 240 else [f"240 windows of the {steps}", f"up to {layers} "]
    found = list(map_notes(run, run.keys()))
    assert len(found) == len(notes)
    assert all(text in note for text, note in zip(notes, found))


def test_quantiles_are_a_band_around_the_median(tmp_path):
    rows = [
        {"step": s, "train/n_p05": 1.0, "train/n_p50": 2.0 + s, "train/n_p95": 9.0}
        for s in (1, 2)
    ]
    (chart,) = charts_of(tmp_path, rows)
    (line,) = chart.lines
    assert (chart.title, line.name) == ("train/n", "p05 to p95, median")
    assert line.y.tolist() == [3.0, 4.0]
    assert [edge.tolist() for edge in line.band] == [[1.0, 1.0], [9.0, 9.0]]


def test_quantiles_at_different_steps_are_lines(tmp_path):
    rows = [{"step": 1, "train/n_p05": 1.0}, {"step": 2, "train/n_p95": 9.0}]
    (chart,) = charts_of(tmp_path, rows)
    assert [line.name for line in chart.lines] == ["train/n_p05", "train/n_p95"]
    assert all(line.band is None for line in chart.lines)


def test_memory_in_use_peak_and_limit_share_a_chart(tmp_path):
    keys = ("mem/in_use_bytes", "mem/peak_bytes", "mem/limit_bytes")
    (chart,) = charts_of(tmp_path, [{"step": 1} | dict.fromkeys(keys, 1e9)])
    assert [line.name for line in chart.lines] == list(keys)
    assert chart.label == "memory (bytes)"


@pytest.mark.parametrize(
    ("key", "values", "log"),
    [
        ("grad/norm", (1.0, 40.0, 1.0), True),
        ("grad/norm", (1.0, 20.0, 1.0), False),
        ("grad/norm", (-1.0, 40.0, 1.0), False),
        ("lr/lr", (1e-6, 1e-3, 1e-6), False),
        ("train/tokens_seen", (1.0, 50.0, 100.0), False),
        ("train/accuracy", (0.01, 0.9, 0.8), False),
    ],
)
def test_a_wide_range_has_a_log_scale_unless_it_is_a_ratio_or_a_count(
    tmp_path, key, values, log
):
    (chart,) = charts_of(tmp_path, [{"step": i, key: v} for i, v in enumerate(values)])
    assert chart.log is log
