import re

import pytest
from support.pages import HOSTILE, Document, page_data, table
from support.runs import epoch, row, write_epochs, write_run

from jaxmetrics import runs
from jaxmetrics.figures import THEMES
from jaxmetrics.record import dumps
from jaxmetrics.runs import Run, generate_page
from jaxmetrics.runs.pages._run_page import run_page
from jaxmetrics.runs.reading import load_history


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
    first = {"lr": 0.1, "model": {"layers": 2}, "api_key": "hunter2"}
    header = {
        "run_name": "first",
        "versions": {"jax": "0.10.2"},
        "flops": {"per_step": 1e12},
        "attempts": [
            {"attempt": 1, "time": time.format(0), "hparams": first},
            {"attempt": 2, "time": time.format(5), "hparams": {"lr": 0.3}},
            {"attempt": 3, "hparams": {"api_key": "hunter2 2"}, "token": "hunter2 3"},
        ],
    }
    return write_run(tmp_path / "first", rows, events, **header)


def test_merged_alarms_show_their_number(tmp_path):
    merged = {"event": "alarm", "step": 9, "repeated": {"count": 41}}
    other = {"event": "health of the pipeline", "step": 2}  # of the user's own
    events = [{"event": "alarm", "step": 1}, other, merged]
    folder = write_run(tmp_path / "merged", [row(1, train__loss=1.0)], events)
    _, page = page_data(generate_page(folder).read_text())
    alarms = table(page, "Alarms")
    assert [cells[-1] for cells in alarms["rows"]] == [1, 41]
    assert alarms["note"].startswith("42 alarms")
    assert ["Alarms", "42"] in page["facts"]
    assert page["notes"][0].startswith("42 alarms were raised")
    assert runs.list(folder)[0].alarms == 42


def test_the_page_has_all_data_of_a_run(run):
    path = generate_page(run)
    assert path == run / "report.html"
    html = path.read_text()
    _, page = page_data(html)
    assert page["title"] == "first"
    assert page["facts"][0] == ["Best val/loss", "0.5 at step 10"]
    assert ["Training loss, median of the last 10 steps", "0.166667"] in page["facts"]
    assert [c["title"] for c in page["charts"]] == ["loss", "grad/norm"]
    values = {r[0]: r for r in table(page, "Last and best values")["rows"]}
    assert values["train/loss"][1:5] == [0.1, 10, 0.1, 10]
    assert values["train/loss"][-2:] == [10, 1]
    spent = table(page, "Time by category")["rows"]
    assert [(name, seconds) for name, seconds, _ in spent] == [
        ("step", "10s"),
        ("other", "1s"),
    ]
    assert table(page, "Alarms")["rows"][0][4] == "train/loss is nan"
    assert table(page, "Configuration")["rows"] == [
        ["lr", "0.3"],
        ["model.layers", "2"],
        ["api_key", "<redacted>"],
    ]
    attempts = table(page, "Attempts")
    assert attempts["names"] == ["attempt", "time", "changed configuration"]
    assert [row[2] for row in attempts["rows"]] == [None, "lr from 0.1 to 0.3", None]
    assert ["versions.jax", "0.10.2"] in table(page, "Environment")["rows"]
    assert "hunter2" not in html


def test_series_have_x_on_each_axis_and_gaps_for_nan(run):
    columns, page = page_data(generate_page(run).read_text())
    train, val = page["charts"][0]["lines"]
    on = train["on"]
    assert (train["name"], on["step"]["count"]) == ("train/loss", 10)
    assert on["step"]["missing"] == 1
    assert columns[on["step"]["y"]][3:6] == [0.25, None, 0.1666667]
    assert columns[on["time"]["x"]] == [2.0 * s for s in range(1, 11)]
    assert columns[on["flops"]["x"]] == [1e12 * s for s in range(1, 11)]
    assert columns[val["on"]["step"]["x"]] == [10]
    assert "tokens" not in on
    # Series logged together share their columns of x.
    other = page["charts"][1]["lines"][0]["on"]
    assert [other[axis]["x"] for axis in on] == [on[axis]["x"] for axis in on]


def test_the_page_is_valid_html_and_loads_nothing(run):
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


def test_texts_of_a_run_do_not_become_html(tmp_path):
    rows = [{"step": s, f"train/{HOSTILE}": s, HOSTILE: 1.0} for s in (1, 2)]
    event = {
        "event": "alarm",
        "kind": HOSTILE,
        "message": HOSTILE,
        "key": {"a": HOSTILE},
    }
    header = {"run_name": HOSTILE, "hparams": {HOSTILE: HOSTILE}, HOSTILE: [HOSTILE]}
    folder = write_run(tmp_path / "run", rows, [event], **header)
    html = generate_page(folder).read_text()
    document = Document(html)
    data = re.search(r'<script id="data"[^>]*>(.*?)</script>', html, re.DOTALL)[1]
    assert not set("<>&") & set(data)
    assert html.count("</script>") == 3
    assert not [tag for tag, _ in document.elements if tag == "img"]
    assert document.texts["title"] == f"{HOSTILE} · Training run"
    _, page = page_data(html)
    assert page["title"] == HOSTILE
    names = {line["name"] for chart in page["charts"] for line in chart["lines"]}
    assert names == {f"train/{HOSTILE}", HOSTILE}
    assert table(page, "Configuration")["rows"] == [[HOSTILE, HOSTILE]]


def test_a_page_notes_how_many_series_it_leaves_out_but_not_the_loss(tmp_path):
    keys = {f"train/m{i}": 1.0 for i in range(1100)} | {"train/loss": 2.0}
    folder = write_run(tmp_path / "run", [{"step": 1, **keys}])
    _, page = page_data(generate_page(folder).read_text())
    assert "The 1,000 most important of 1,101 series are drawn." in page["notes"]
    values = table(page, "Last and best values")
    assert values["note"] == "The 500 most important of 1,101."
    assert values["rows"][-1][0] == "train/loss"
    drawn = {line["name"] for chart in page["charts"] for line in chart["lines"]}
    assert len(drawn) == 1000 and "train/loss" in drawn


def test_records_without_tokens_are_drawn_between_their_neighbors(tmp_path):
    rows = [
        {"step": 10, "split": "train", "tokens": 1000, "train/loss": 1.0},
        {"step": 20, "split": "train", "tokens": 3000, "train/loss": 1.0},
        *({"step": s, "split": "val", "val/loss": 1.0} for s in (0, 5, 15, 20, 25)),
    ]
    folder = write_run(tmp_path / "run", rows)
    columns, page = page_data(generate_page(folder).read_text())
    val = page["charts"][0]["lines"][1]
    assert columns[val["on"]["tokens"]["x"]] == [0, 500, 2000, 3000]


def test_the_page_of_epochs_has_a_chart_for_each_column(tmp_path):
    epochs = [epoch(n, 1.0 / n, epoch_time_sec=9.0, gpu_peak_mb=7.5) for n in (1, 2)]
    write_epochs(tmp_path, *epochs, config={"a": 1})
    columns, page = page_data(generate_page(tmp_path).read_text())
    line = page["charts"][0]["lines"][0]
    assert (page["axis"], line["name"]) == ("epoch", "loss_mean")
    on = line["on"]["epoch"]
    assert (columns[on["x"]], columns[on["y"]]) == ([1, 2], [1, 0.5])
    charts = {chart["title"]: chart for chart in page["charts"]}
    memory = charts["gpu_peak_mb"]
    assert memory["label"] == "gpu peak (MiB)"
    assert columns[memory["lines"][0]["on"]["epoch"]["y"]] == [7.5, 7.5]


def test_the_validation_of_epochs_is_in_the_chart_of_the_loss(tmp_path):
    extra = {"val_loss": 2.0, "accuracy": 0.5, "val_accuracy": 0.25}
    write_epochs(tmp_path, epoch(1, extra=extra))
    _, page = page_data(generate_page(tmp_path).read_text())
    lines = [[line["name"] for line in chart["lines"]] for chart in page["charts"]]
    assert lines == [["loss_mean", "val_loss"], ["accuracy", "val_accuracy"]]


def test_the_page_of_an_empty_run_says_so(tmp_path):
    folder = write_run(tmp_path / "run", [])
    _, page = page_data(generate_page(folder).read_text())
    assert page["charts"] == []
    assert page["notes"] == ["No metric was recorded."]
    assert table(page, "Alarms")["note"] == "None was raised."


def test_skipped_damage_is_noted(tmp_path):
    folder = write_run(tmp_path / "run", [row(1, train__loss=1.0)])
    with open(folder / "metrics.jsonl", "a") as file:
        file.write("{broken\n" + dumps(row(2, train__loss=1.0)) + "\n")
    notes = run_page(load_history(Run.load(folder, errors="skip"))).notes
    assert any(note.startswith("metrics.jsonl, line 2 was skipped") for note in notes)


def test_values_that_are_not_numbers_are_noted(tmp_path):
    rows = [row(1, train__loss=1.0, train__word="good"), row(2, train__word="bad")]
    page = run_page(load_history(Run.load(write_run(tmp_path / "run", rows))))
    assert page.notes == ["train/word: 2 values are not numbers, and are not drawn."]


def test_arrays_and_repeated_steps_with_other_values_are_noted(tmp_path):
    rows = [row(1, train__loss=1.0, val__f1=[0.5]), row(1, train__loss=2.0)]
    with pytest.warns(UserWarning, match="different values for one step"):
        page = run_page(load_history(Run.load(write_run(tmp_path / "run", rows))))
    assert page.notes == [
        "Arrays are drawn by jaxmetrics plot and in the viewer: val/f1.",
        "train/loss: 1 steps from 1 have different values; the later one is drawn.",
    ]


def test_only_own_pages_are_replaced_without_overwrite(run):
    path = generate_page(run)
    assert generate_page(run) == path
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        generate_page(run)
    assert path.read_text() == "mine"
    generate_page(run, overwrite=True)
    assert path.read_text() != "mine"


def test_a_missing_run_is_an_error_with_advice(tmp_path):
    with pytest.raises(FileNotFoundError, match="Give a run directory"):
        generate_page(tmp_path / "nowhere")


@pytest.mark.parametrize("palette", THEMES.values(), ids=THEMES)
def test_the_page_has_the_colors_of_the_plots(run, palette):
    html = generate_page(run).read_text()
    for name in ("grid", "text", "muted", "red"):
        assert f"--{name}: {getattr(palette, name)};" in html
    for index, color in enumerate(palette.series):
        assert f"--series-{index}: {color};" in html
