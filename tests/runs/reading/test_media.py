import os

import numpy as np
import pytest
from support.runs import row, write_run

from jaxmetrics.record import CorruptLineError
from jaxmetrics.runs import Run


def line(kind, step=1, split="val", time=2.5, **values):
    named = {name.replace("__", "/"): value for name, value in values.items()}
    return {"kind": kind, "step": step, "split": split, "time": time, **named}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "run" / "media").mkdir(parents=True)
    return tmp_path / "run"


def load(folder, *lines, **options):
    return Run.load(write_run(folder, [row(1, train__loss=1.0), *lines]), **options)


def test_every_kind_is_read_back(folder):
    paths = [folder / "media" / name for name in ("a.png", "b.png", "c.wav")]
    for path in paths:
        path.touch()
    table = {"columns": ["prompt", "p"], "rows": [["NaN", 0.5], ["b", None]]}
    histogram = {"counts": [1, 2], "edges": [0.0, 1.0, 2.0], "nonfinite": 3}
    run = load(
        folder,
        line("image", 3, val__samples={"files": ["media/a.png", "media/b.png"]}),
        line("audio", 2, val__sound={"files": ["media/c.wav"]}),
        line("figure", 4, val__curve={"files": ["media/a.png"]}),
        line("text", 1, val__text="hello", val__other="NaN"),
        line("table", 5, val__table=table),
        line("histogram", 6, val__weights=histogram, val__none=histogram | {}),
        line("hparams", 0, lr=1.0),
    )
    assert len(run) == 1 and run.keys() == ["train/loss"]
    media = {entry.key: entry for entry in run.media}
    assert [entry.step for entry in run.media] == [1, 1, 2, 3, 4, 5, 6, 6]
    samples = media["val/samples"]
    assert (samples.kind, samples.split, samples.time) == ("image", "val", 2.5)
    assert samples.value == tuple(paths[:2]) and samples.missing == ()
    assert media["val/sound"].value == (paths[2],)
    assert media["val/curve"].value == (paths[0],)
    assert (media["val/text"].value, media["val/other"].value) == ("hello", "NaN")
    assert media["val/table"].value.columns == ["prompt", "p"]
    assert media["val/table"].value.rows == [["NaN", 0.5], ["b", None]]
    frame = media["val/table"].value.to_pandas()
    assert frame["prompt"].tolist() == ["NaN", "b"] and frame["p"].isna()[1]
    weights = media["val/weights"].value
    np.testing.assert_array_equal(weights.counts, [1, 2])
    assert (weights.edges.tolist(), weights.nonfinite) == ([0.0, 1.0, 2.0], 3)


def test_a_histogram_of_nothing_is_read(folder):
    nothing = {"counts": [], "edges": []}
    (entry,) = load(folder, line("histogram", val__x=nothing)).media
    assert len(entry.value.counts) == 0


def test_of_a_step_and_key_the_later_media_count(folder):
    run = load(
        folder,
        line("text", 2, val__a="first"),
        line("text", 1, val__a="other step"),
        line("text", 2, split="test", val__a="second"),
        line("table", 2, val__a={"columns": [], "rows": []}),
    )
    texts = [entry.value for entry in run.media if entry.kind == "text"]
    assert texts == ["other step", "second"]
    assert len(run.media) == 3


@pytest.mark.parametrize(
    "name", ["media/none.png", "../secret.png", "{outside}", "media", "media/link.png"]
)
def test_files_that_are_not_in_the_run_are_named(folder, name):
    outside = folder.parent / "secret.png"
    outside.touch()
    os.symlink(outside, folder / "media" / "link.png")
    name = name.format(outside=outside)
    (folder / "media" / "a.png").touch()
    value = {"files": [name, "media/a.png"]}
    (entry,) = load(folder, line("image", val__x=value)).media
    assert entry.value == (folder / "media" / "a.png",)
    assert entry.missing == (name,)


@pytest.mark.parametrize(
    "bad",
    [
        line("text", step="1", val__a="x"),
        line("text", split=None, val__a="x"),
        line("image", val__a={"files": "a.png"}),
        line("image", val__a={"files": [1]}),
        line("table", val__a={"columns": ["a"], "rows": [1]}),
        line("histogram", val__a={"counts": [1], "edges": [1]}),
        line("histogram", val__a={"counts": ["x"], "edges": [1, 2]}),
        line("other", val__a=[1]),
    ],
)
def test_damaged_media_are_an_error_of_their_own(folder, bad):
    run = load(folder, bad, line("text", val__b="good"))
    assert len(run) == 1  # the records are read without the media
    with pytest.raises(CorruptLineError, match=r"metrics\.jsonl, line 2: "):
        len(run.media)
    run = load(folder, bad, line("text", val__b="good"), errors="skip")
    assert [entry.value for entry in run.media] == ["good"]
    assert [(name, number) for name, number, _ in run.bad] == [("metrics.jsonl", 2)]


def test_a_run_without_metrics_has_no_media(folder):
    (folder / "run.json").write_text("{}")
    assert list(Run.load(folder).media) == []


def telemetry_line(step=None, **values):
    header = {} if step is None else {"step": step}
    return header | {"batch_idx": 1, "epoch": 0, "timestamp": "2026-01-01"} | values


def write_telemetry(folder, *lines):
    from jaxmetrics.record import dumps

    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{dumps(one)}\n" for one in lines)
    (folder / "telemetry.jsonl").write_text(text)


def test_telemetry_is_read_in_order_of_steps(folder):
    lines = [telemetry_line(n, gradient_norm={"overall": n}) for n in (4, 2, 4)]
    lines[2]["gradient_norm"] = {"overall": float("nan"), "layers": [float("inf")]}
    write_telemetry(folder / "telemetry", *lines)
    run = load(folder)
    assert [row["step"] for row in run.telemetry] == [2, 4]
    assert run.telemetry[0] == lines[1]
    np.testing.assert_equal(
        run.telemetry[1]["gradient_norm"], lines[2]["gradient_norm"]
    )


def test_telemetry_without_steps_keeps_its_order(folder):
    lines = [telemetry_line(epoch=n) for n in (1, 0, 1)]
    write_telemetry(folder / "telemetry", *lines)
    assert list(load(folder).telemetry) == lines
    assert list(load(folder.parent / "other").telemetry) == []


def test_damaged_telemetry_is_named(folder):
    write_telemetry(folder / "telemetry", telemetry_line(1), [1])
    run = load(folder)
    with pytest.raises(CorruptLineError, match=r"telemetry\.jsonl, line 2"):
        len(run.telemetry)
    assert len(load(folder, errors="skip").telemetry) == 1
