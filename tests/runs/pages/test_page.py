"""The page of a run: complete, harmless whatever the run says, honest, bounded."""

import re

import numpy as np
import pytest
from support.pages import HOSTILE, Document, row, table, told, write_run

from jaxmetrics import figures
from jaxmetrics.record import EpochMetrics, dumps
from jaxmetrics.runs import Run, generate_page
from jaxmetrics.runs.pages._charts import run_charts
from jaxmetrics.runs.pages._page import Chart, Line, Page, render
from jaxmetrics.runs.pages._run_page import page_of


@pytest.fixture
def run(tmp_path):
    rows = [row(s, train__loss=1.0 / s, grad__norm=2.0) for s in range(1, 11)]
    rows[4]["train/loss"] = float("nan")
    rows += [row(10, "val", val__loss=0.5)]
    time = "2026-01-01T00:00:{:02}+00:00"
    events = [
        {"time": time.format(0), "attempt": 1, "event": "start"},
        {"time": time.format(10), "attempt": 1, "event": "step", "step": 10},
        {
            "time": time.format(11),
            "attempt": 1,
            "event": "alarm",
            "step": 5,
            "kind": "nonfinite",
            "key": "train/loss",
            "value": float("nan"),
            "message": "train/loss is nan",
        },
    ]
    header = {
        "run_name": "first",
        "hparams": {"lr": 0.1, "model": {"layers": 2}, "api_key": "hunter2"},
        "versions": {"jax": "0.10.2"},
        "flops": {"per_step": 1e12},
        "attempts": [{"attempt": 1, "time": time.format(0), "restored_step": None}],
    }
    return write_run(tmp_path / "first", rows, events, **header)


def test_the_page_has_all_that_is_known_of_a_run(run):
    path = generate_page(run)
    assert path == run / "report.html"
    html = path.read_text()
    _, page = told(html)
    assert page["title"] == "first"
    assert ["Best loss", "0.1 at step 10"] in page["facts"]
    assert [c["title"] for c in page["charts"]] == ["loss", "grad/norm"]
    values = {r[0]: r for r in table(page, "Last and best values")["rows"]}
    assert values["train/loss"][1:5] == [0.1, 10, 0.1, 10]
    assert values["train/loss"][-2:] == [10, 1]
    spent = table(page, "Where the time went")["rows"]
    assert [(name, seconds) for name, seconds, _ in spent] == [
        ("step", 10),
        ("other", 1),
    ]
    assert table(page, "Alarms")["rows"][0][-1] == "train/loss is nan"
    assert table(page, "Configuration")["rows"] == [
        ["lr", "0.1"],
        ["model.layers", "2"],
        ["api_key", "<redacted>"],
    ]
    assert table(page, "Attempts")["rows"][0][0] == 1
    assert ["versions.jax", "0.10.2"] in table(page, "Environment")["rows"]
    assert "hunter2" not in html


def test_series_have_their_places_on_each_axis_and_gaps_for_nan(run):
    columns, page = told(generate_page(run).read_text())
    train, val = page["charts"][0]["lines"]
    assert (train["name"], train["count"], train["missing"]) == ("train/loss", 10, 1)
    assert columns[train["y"]][3:6] == [0.25, None, 0.1666667]
    assert columns[train["x"]["time"]] == [2.0 * s for s in range(1, 11)]
    assert columns[train["x"]["flops"]] == [1e12 * s for s in range(1, 11)]
    assert columns[val["x"]["step"]] == [10]
    assert "tokens" not in train["x"]
    # Records that were logged together have their places once.
    assert page["charts"][1]["lines"][0]["x"] == train["x"]


def test_the_page_is_valid_and_loads_nothing(run):
    html = generate_page(run).read_text()
    document = Document(html)
    assert html.startswith("<!doctype html>")
    assert len(document.ids) == len(set(document.ids))
    for tag, attributes in document.elements:
        assert not attributes.keys() & {"src", "href", "action", "data", "srcset"}, tag
        assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"@import|url\(", document.texts["style"])
    policy = next(a["content"] for _, a in document.elements if "http-equiv" in a)
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_the_licence_of_the_chart_script_is_in_the_page(run):
    html = generate_page(run).read_text()
    assert "Permission is hereby granted, free of charge" in html
    assert "Copyright (c) 2022 Leon Sorokin" in html


def test_no_text_of_a_run_becomes_html(tmp_path):
    rows = [{"step": s, f"train/{HOSTILE}": s, HOSTILE: 1.0} for s in (1, 2)]
    event = {"event": f"alarm{HOSTILE}", "message": HOSTILE, "key": {"a": HOSTILE}}
    header = {"run_name": HOSTILE, "hparams": {HOSTILE: HOSTILE}, HOSTILE: [HOSTILE]}
    folder = write_run(tmp_path / "run", rows, [event], **header)
    html = generate_page(folder).read_text()
    document = Document(html)
    data = re.search(r'<script id="data"[^>]*>(.*?)</script>', html, re.DOTALL)[1]
    assert not set("<>&") & set(data)
    assert html.count("</script>") == 3
    assert not [tag for tag, _ in document.elements if tag == "img"]
    assert document.texts["title"] == f"{HOSTILE} · Training run"
    _, page = told(html)
    assert page["title"] == HOSTILE
    names = {line["name"] for chart in page["charts"] for line in chart["lines"]}
    assert names == {f"train/{HOSTILE}", HOSTILE}
    assert table(page, "Configuration")["rows"] == [[HOSTILE, HOSTILE]]


def test_a_million_points_are_drawn_with_their_extremes_and_a_bounded_page():
    x = np.arange(1_000_000.0)
    y = 2.0 + np.sin(x / 3)
    y[123_456], y[765_432], y[500_000] = 99.0, -99.0, np.nan
    html = render(
        Page(
            "Training run",
            "a",
            charts=[Chart("a", "a", [Line("a", 0, {"step": x}, y)])],
        )
    )
    columns, page = told(html)
    line = page["charts"][0]["lines"][0]
    drawn = dict(zip(columns[line["x"]["step"]], columns[line["y"]]))
    assert len(drawn) <= 4000
    assert (line["count"], line["missing"]) == (1_000_000, 1)
    assert drawn[123_456] == 99.0
    assert drawn[765_432] == -99.0
    assert drawn[500_000] is None
    assert set(drawn) >= {0, 999_999}
    means = columns[line["means"]["y"]]
    assert len(means) == len(columns[line["means"]["x"]["step"]]) <= 1334
    assert means[0] == pytest.approx(y[: line["means"]["of"]].mean(), rel=1e-6)
    assert len(html) < 400_000


def test_many_series_share_the_points_of_a_page():
    x = np.arange(2000.0)
    lines = [Line(str(i), i, {"step": x}, np.sin(x + i)) for i in range(1000)]
    html = render(Page("Training run", "a", charts=[Chart("a", "a", lines)]))
    columns, _ = told(html)
    assert len(html) < 10_000_000
    assert max(map(len, columns)) <= 300


def test_more_series_than_a_page_draws_are_said_to_be(tmp_path):
    keys = {f"train/m{i}": 1.0 for i in range(1100)}
    folder = write_run(tmp_path / "run", [{"step": 1, **keys}])
    _, page = told(generate_page(folder).read_text())
    assert "The first 1,000 of 1,100 series are drawn." in page["notes"]
    assert table(page, "Last and best values")["note"] == "The first 500 of 1,100."


def test_splits_of_a_metric_share_a_chart_whose_axis_names_its_unit(tmp_path):
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
    assert [line.name for line in charts["lr/"].lines] == ["lr/lr", "lr/decoder"]


def test_a_record_without_tokens_lies_between_its_neighbours(tmp_path):
    rows = [
        {"step": 10, "split": "train", "tokens": 1000, "train/loss": 1.0},
        {"step": 20, "split": "train", "tokens": 3000, "train/loss": 1.0},
        *({"step": s, "split": "val", "val/loss": 1.0} for s in (0, 5, 15, 20, 25)),
    ]
    folder = write_run(tmp_path / "run", rows)
    columns, page = told(generate_page(folder).read_text())
    val = page["charts"][0]["lines"][1]
    assert columns[val["x"]["tokens"]] == [0, 500, 2000, 3000, None]


def test_epochs_have_a_page_too(tmp_path):
    epochs = [EpochMetrics(n, loss_mean=1.0 / n, epoch_time_sec=9.0) for n in (1, 2)]
    text = dumps(
        {
            "kind": "epochs",
            "run": {},
            "config": {"a": 1},
            "epochs": [e.line() for e in epochs],
        }
    )
    (tmp_path / "training_metrics.json").write_text(text)
    columns, page = told(generate_page(tmp_path).read_text())
    line = page["charts"][0]["lines"][0]
    assert (page["axis"], line["name"]) == ("epoch", "loss_mean")
    assert (columns[line["x"]["epoch"]], columns[line["y"]]) == ([1, 2], [1, 0.5])


def test_an_empty_run_has_a_page_that_says_so(tmp_path):
    folder = write_run(tmp_path / "run", [])
    _, page = told(generate_page(folder).read_text())
    assert page["charts"] == []
    assert page["notes"] == ["No metric was recorded."]
    assert table(page, "Alarms")["note"] == "None was raised."


def test_damage_that_was_passed_over_is_said(tmp_path):
    folder = write_run(tmp_path / "run", [row(1, train__loss=1.0)])
    with open(folder / "metrics.jsonl", "a") as file:
        file.write("{broken\n" + dumps(row(2, train__loss=1.0)) + "\n")
    notes = page_of_run(Run.load(folder, errors="skip")).notes
    assert any(
        note.startswith("metrics.jsonl, line 2 was passed over") for note in notes
    )


def test_values_that_are_no_numbers_are_counted(tmp_path):
    rows = [row(1, train__loss=1.0, train__word="good"), row(2, train__word="bad")]
    page = page_of_run(Run.load(write_run(tmp_path / "run", rows)))
    assert page.notes == ["train/word: 2 values are no numbers, and are not drawn."]


def page_of_run(run):
    from jaxmetrics.runs.reading._history import history

    return page_of(history(run))


def test_only_a_page_of_ours_is_replaced_unasked(run):
    path = generate_page(run)
    assert generate_page(run) == path
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        generate_page(run)
    assert path.read_text() == "mine"
    generate_page(run, overwrite=True)
    assert path.read_text() != "mine"


def test_no_run_is_an_error_that_says_what_to_give(tmp_path):
    with pytest.raises(FileNotFoundError, match="Give a run directory"):
        generate_page(tmp_path / "nowhere")


def test_the_page_has_the_colours_of_the_plots(run):
    html = generate_page(run).read_text()
    for colour in (
        figures.BACKGROUND,
        figures.GRID,
        figures.TEXT,
        figures.QUIET,
        figures.RED,
    ):
        assert colour in html
    _, page = told(html)
    assert page["colours"] == list(figures.COLOURS)


@pytest.mark.parametrize("colour", [*figures.COLOURS, figures.TEXT, figures.QUIET])
def test_colours_can_be_told_from_the_background(colour):
    def luminance(code):
        parts = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    panel = "#151a23"
    assert (luminance(colour) + 0.05) / (luminance(panel) + 0.05) >= 4.5
