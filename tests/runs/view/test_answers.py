"""What the server answers about runs."""

import gzip
import json

import numpy as np
import pytest
from support.viewer import serving

import jaxmetrics as jm

pytestmark = pytest.mark.timeout(120)

RUN = "/api/run/cls/first"
STEPS = 3000


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("view") / "runs"
    hparams = {"lr": 0.1, "model": {"width": 8}, "api_key": "sk-" + "a1B2" * 10}
    with jm.TrainingLogger(
        *("cls", "first", root),
        hparams=hparams,
        console=False,
        enable_histograms=True,
    ) as logger:
        logger.describe(flops={"per_token": 10.0, "source": "given"})
        for step in range(1, STEPS + 1):
            loss = float("nan") if step == 1234 else 90.0 if step == 2000 else 1 / step
            logger.log_step(step, loss=loss, tokens=step * 10)
            if step % 1000 == 0:
                layers = {f"grad/norm/layer_{i}": i + step for i in range(4)}
                layers |= {"mem/peak_bytes": 2.0**30, "mem/in_use_bytes": 2.0**20}
                logger.log_step(step, **layers, **{"train_web/loss": 1.0})
                logger.log_step(step, split="val", loss=2 / step)
                logger.log_text(step, sample=f"text of {step}")
                logger.log_table(step, words=(["word", "p"], [["a", 0.5], ["b", None]]))
                logger.log_images(step, picture=np.zeros((2, 4, 4, 1), np.uint8))
                logger.log_audio(step, sound=np.zeros(80), sample_rate=8000)
                logger.log_histograms(step, weights=np.arange(100.0))
                logger.ledger.event("evaluation", seconds=1.5, step=step)
        logger.ledger.event("alarm", step=2000, key="train/loss", message="it spikes")
    array = {"step": 2000, "split": "val", "val/per_class": [0.5, "NaN"]}
    with open(root / "cls" / "first" / "metrics.jsonl", "a") as file:
        file.write(f"{json.dumps(array)}\n")
    return root


@pytest.fixture(scope="module")
def server(root):
    with serving(root) as server:
        yield server


def series(server, **query):
    return server.json(f"{RUN}/series", **query)["series"]


def test_the_page_is_answered_and_sets_the_cookie(server):
    answer = server.get(f"/?token={server.token}", token=None)
    assert answer.status == 200 and b"<!doctype html>" in answer.body
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert cookie.startswith(f"jaxmetrics-{server.port}=")
    own = {"Cookie": cookie.partition(";")[0]}
    assert server.get("/api/runs", token=None, headers=own).status == 200
    assert server.token not in cookie


def test_assets_are_answered_with_their_type(server):
    for name, kind in (("page.css", "text/css"), ("uPlot.iife.min.js", "javascript")):
        answer = server.get(f"/assets/{name}")
        assert kind in answer.headers["content-type"] and len(answer.body) > 100
    assert server.get("/assets/none.js").status == 404


def test_runs_are_listed(server, root):
    listed = server.json("/api/runs")
    (row,) = listed["runs"]
    assert (row["id"], row["project"], row["name"]) == ("cls/first", "cls", "first")
    assert row["state"] == "closed" and listed["root"] == str(root)


def test_runs_are_filtered_and_sorted_on_request(tmp_path):
    for name, lr in (("a", 0.1), ("b", 0.3), ("c", 0.2)):
        hparams = {"lr": lr}
        with jm.TrainingLogger(
            "p", name, tmp_path, console=False, hparams=hparams
        ) as r:
            r.log_step(1, loss=lr)
    with serving(tmp_path) as server:

        def names(**query):
            return [row["name"] for row in server.json("/api/runs", **query)["runs"]]

        assert names(where="lr > 0.15", sort="lr") == ["c", "b"]
        assert names(sort="train/loss") == ["a", "c", "b"]
        answer = server.get("/api/runs", where="rate > 1")
        assert answer.status == 400 and b"'rate'" in answer.body
        for damaged in ("lr >", "__import__('os')", "lr.__class__", "(" * 500):
            assert server.get("/api/runs", where=damaged).status == 400


def test_long_answers_are_compressed(server):
    address = f"{RUN}/series?keys=train/loss"
    short = server.get(address, headers={"Accept-Encoding": "gzip"})
    assert short.headers["content-encoding"] == "gzip"
    plain = server.get(address)
    assert gzip.decompress(short.body) == plain.body
    assert len(short.body) < len(plain.body) / 2


def test_the_header_has_facts_configuration_and_goodput(server):
    header = server.json(RUN)
    assert header["row"]["id"] == "cls/first"
    assert ["Steps", "3,000"] in header["facts"]
    assert header["config"]["model"] == {"width": 8}
    assert "a1B2" not in json.dumps(header)
    assert len(header["attempts"]) == 1 and "token" not in header["attempts"][0]
    assert header["goodput"] and header["notes"] == []


def test_charts_come_in_sections(server):
    keys = server.json(f"{RUN}/keys")
    assert keys["axes"] == ["step", "tokens", "time", "flops"]
    charts = {chart["section"]: chart["keys"] for chart in keys["charts"]}
    assert list(charts) == ["Loss", "Datasets", "Memory"]
    assert charts["Loss"] == ["train/loss", "val/loss"]
    assert charts["Memory"] == ["mem/peak_bytes", "mem/in_use_bytes"]
    layers = [f"grad/norm/layer_{i}" for i in range(4)]
    assert keys["layers"] == [{"id": "grad/norm", "title": "grad/norm", "keys": layers}]
    assert keys["arrays"] == ["val/per_class"]
    assert {chart["keys"][0]: chart["log"] for chart in keys["charts"]}["train/loss"]


def test_a_short_series_has_all_points(server):
    line = series(server, keys="val/loss")["val/loss"]
    assert line.pop("end")
    assert line == {"x": [1000, 2000, 3000], "y": line["y"], "count": 3, "missing": 0}
    assert line["y"] == pytest.approx([2e-3, 1e-3, 2 / 3e3], rel=1e-6)


def test_a_long_series_keeps_extremes_and_gaps_and_has_means(server):
    line = series(server, keys="train/loss", points=100)["train/loss"]
    assert len(line["x"]) == len(line["y"]) <= 100
    assert line["count"] == STEPS and line["missing"] == 1
    at = dict(zip(line["x"], line["y"]))
    assert at[2000] == 90.0 and at[1234] is None and at[1] == 1.0
    size, values = line["means"]["of"], 1 / np.arange(1.0, STEPS + 1)
    values[1999], values[1233] = 90.0, np.nan
    means = [np.nanmean(values[n : n + size]) for n in range(0, STEPS, size)]
    assert line["means"]["y"] == pytest.approx(means, rel=1e-5)


def test_a_range_is_at_full_resolution_with_a_point_on_each_side(server):
    line = series(server, keys="train/loss", **{"from": 1500, "to": 1600})["train/loss"]
    assert line["x"] == list(range(1499, 1602)) and "means" not in line
    nothing = {"from": 5000, "to": 6000}
    assert series(server, keys="train/loss", **nothing)["train/loss"]["x"] == [STEPS]


def test_a_key_of_arrays_is_not_unknown_among_series(server):
    names = "val/per_class,train/loss,none"
    answer = server.json(f"{RUN}/series", keys=names)
    assert answer["arrays"] == ["val/per_class"] and answer["unknown"] == ["none"]
    assert list(answer["series"]) == ["train/loss"]


@pytest.mark.parametrize(("axis", "factor"), [("tokens", 10), ("flops", 100)])
def test_series_are_on_any_axis(server, axis, factor):
    query = {"x": axis, "from": 20 * factor, "to": 29 * factor}
    line = series(server, keys="train/loss", **query)["train/loss"]
    assert line["x"] == [factor * step for step in range(19, 31)]


def test_events_have_their_place_on_all_axes(server):
    events = server.json(f"{RUN}/events")["events"]
    assert [e["kind"] for e in events] == [*["evaluation"] * 3, "alarm"]
    alarm = events[-1]
    assert (alarm["text"], alarm["key"]) == ("it spikes", "train/loss")
    assert [e.get("count") for e in events] == [None] * 3 + [1]
    assert alarm["at"]["step"] == 2000 and alarm["at"]["tokens"] == 20_000
    assert alarm["at"]["time"] > 0 and alarm["attempt"] == 1


def test_layers_are_a_map(server):
    answer = server.json(f"{RUN}/layers", id="grad/norm", columns=10)
    assert answer["layers"] == [f"layer_{i}" for i in range(4)]
    assert len(answer["x"]) == 3
    assert answer["values"][3] == [1003, 2003, 3003]
    assert answer["width"] == 200 and answer["largest"] == [3000] * 4
    assert server.get(f"{RUN}/layers", id="none").status == 404


@pytest.mark.parametrize(
    ("low", "high"), [("-inf", "inf"), (-1e308, 1e308), (1000, 3000)]
)
def test_the_windows_of_a_map_of_layers_are_those_of_the_records(server, low, high):
    query = {"id": "grad/norm", "columns": 10}
    answer = server.json(f"{RUN}/layers", **query, **{"from": low, "to": high})
    assert answer == server.json(f"{RUN}/layers", **query)


@pytest.mark.parametrize(
    ("low", "high"), [("inf", ""), ("", "-inf"), (3001, ""), (2000, 1000)]
)
def test_a_map_of_layers_without_records_is_empty(server, low, high):
    query = {"id": "grad/norm", "from": low, "to": high}
    answer = server.json(f"{RUN}/layers", **query)
    assert (answer["x"], answer["values"]) == ([], [[]] * 4)
    assert answer["largest"] == [None] * 4 and answer["width"] > 0


def content(server, kind, key):
    return server.json(f"{RUN}/media", kind=kind, key=key, step=2000)


def test_media_are_listed(server):
    entries = server.json(f"{RUN}/media")["entries"]
    kinds = {(e["kind"], e["key"], e["count"]) for e in entries if e["step"] == 2000}
    assert kinds == {
        ("text", "train/sample", 1),
        ("table", "train/words", 2),
        ("image", "train/picture", 2),
        ("audio", "train/sound", 1),
        ("histogram", "train/weights", 1),
        ("array", "val/per_class", 2),
    }


def test_texts_tables_histograms_and_arrays_are_returned(server):
    assert content(server, "text", "train/sample")["text"] == "text of 2000"
    table = content(server, "table", "train/words")
    assert table["columns"] == ["word", "p"]
    assert table["rows"] == [["a", 0.5], ["b", None]]
    bins = content(server, "histogram", "train/weights")
    assert sum(bins["counts"]) == 100 and len(bins["edges"]) == len(bins["counts"]) + 1
    assert content(server, "array", "val/per_class")["array"] == [0.5, None]
    missing = server.get(f"{RUN}/media", kind="text", key="train/sample", step=7)
    assert missing.status == 404


@pytest.mark.parametrize(
    ("kind", "key", "start"),
    [("image", "train/picture", b"\x89PNG"), ("audio", "train/sound", b"RIFF")],
)
def test_files_are_returned_at_their_address(server, kind, key, start):
    for address in content(server, kind, key)["files"]:
        answer = server.get(address)
        assert answer.status == 200 and answer.body.startswith(start)
        assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("path", ["/api/none", "/api/run/cls", f"{RUN}/none", "/x"])
def test_there_is_no_other_address(server, path):
    answer = server.get(path)
    assert answer.status == 404 and answer.json["error"]


@pytest.mark.parametrize("inner", ["cls", "cls/first"])
def test_a_project_and_a_run_are_roots_too(root, inner):
    with serving(root / inner) as server:
        assert [row["id"] for row in server.json("/api/runs")["runs"]] == ["cls/first"]
        assert server.json(f"{RUN}/keys")["charts"]
        assert server.get("/api/run/other/first/keys").status == 404


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    root = tmp_path_factory.mktemp("damage") / "runs"
    row = '{"step":1,"split":"train","train/loss":1.0}\n'
    files = {
        "good": {"metrics.jsonl": row},
        "header": {"metrics.jsonl": row, "run.json": "{", "summary.json": "["},
        "lines": {"metrics.jsonl": f"damaged\n{row}[1]\n"},
        "empty": {"metrics.jsonl": "", "run.json": ""},
        "epochs": {"training_metrics.json": "{}"},
    }
    for name, texts in files.items():
        folder = root / "a" / name
        folder.mkdir(parents=True)
        for file, text in texts.items():
            (folder / file).write_text(text)
    (root / "a" / "folder" / "metrics.jsonl").mkdir(parents=True)
    (root / "a" / "file").write_text("text")
    (root / "a" / "huge").mkdir()
    with open(root / "a" / "huge" / "metrics.jsonl", "w") as file:
        file.write(row)
        file.truncate(10 * 2**30)
    with serving(root) as server:
        yield server


def test_good_runs_are_shown_among_damaged_ones(damaged):
    listed = {row["id"]: row for row in damaged.json("/api/runs")["runs"]}
    assert {"a/good", "a/header", "a/lines", "a/empty", "a/huge"} <= listed.keys()
    assert "run.json" in listed["a/header"]["problem"]
    for name in ("good", "header", "lines", "huge"):
        run = f"/api/run/a/{name}"
        data = damaged.json(f"{run}/series", keys="train/loss")["series"]
        assert data.get("train/loss", {}).get("x", [1]) == [1]


def test_damaged_lines_are_named(damaged):
    notes = damaged.json("/api/run/a/lines")["notes"]
    assert [note.partition(" was")[0] for note in notes] == [
        "metrics.jsonl, line 1",
        "metrics.jsonl, line 3",
    ]
    assert "run.json" in damaged.json("/api/run/a/header")["notes"][0]


def test_a_run_without_rows_is_empty(damaged):
    keys = damaged.json("/api/run/a/empty/keys")
    assert keys["charts"] == [] and keys["axes"] == ["step"]


@pytest.mark.parametrize("name", ["epochs", "folder", "file", "none"])
def test_what_is_no_run_is_an_error_with_a_text(damaged, name):
    answer = damaged.get(f"/api/run/a/{name}/keys")
    assert answer.status in (404, 500) and answer.json["error"]


def test_epochs_and_telemetry_are_runs(tmp_path):
    tracker = jm.EpochTracker(tmp_path / "p" / "epochs")
    for epoch in (1, 2):
        tracker.start_epoch(epoch)
        tracker.log_batch(loss=1.0 / epoch)
        tracker.end_epoch()
    with serving(tmp_path) as server:
        assert server.json("/api/run/p/epochs/keys")["unit"] == "epoch"
        data = server.json("/api/run/p/epochs/series", keys="train/loss")["series"]
        assert data["train/loss"]["y"] == [1.0, 0.5]
        assert server.json("/api/run/p/epochs")["facts"]
        assert server.json("/api/run/p/epochs/media")["entries"] == []
