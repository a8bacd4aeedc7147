"""The file of JSON lines that is the complete record of a run."""

import json
import math
import os

import numpy as np
import pytest
from support.png import decode_png

from jaxmetrics.record import (
    AppendFile,
    CorruptLineError,
    Media,
    Record,
    read_lines,
    read_summary,
    write_run_json,
)
from jaxmetrics.writers import JSONL


@pytest.fixture
def path(tmp_path):
    write_run_json(tmp_path, {"run_id": "r1"})
    return tmp_path / "metrics.jsonl"


def opened(path, resume_step=None):
    writer = JSONL()
    writer.open(path.parent, resume_step)
    return writer


def write(writer, *steps):
    for step in steps:
        writer.write(Record(step, "train", {"train/loss": float(step)}, float(step)))


def steps_in(path):
    header, *rows = read_lines(path)[0]
    assert header == {"kind": "header", "schema": 2, "run_id": "r1"}
    return [row["step"] for row in rows]


def test_the_file_begins_with_one_header_over_several_attempts(path):
    for steps in ([1, 2], [3]):
        writer = opened(path)
        write(writer, *steps)
        writer.close()
    assert steps_in(path) == [1, 2, 3]


def test_without_a_description_the_header_has_no_run_id(tmp_path):
    opened(tmp_path / "metrics.jsonl").close()
    (header,) = read_lines(tmp_path / "metrics.jsonl")[0]
    assert header["run_id"] is None


def test_texts_and_tables_are_in_their_lines(path):
    writer = opened(path)
    text = Media(1, "val", {"val/sample": "hello"}, 0.0)
    assert writer.select(text) is text
    writer.write(text)
    table = (["word"], [["a"], [1]])
    writer.write(Media(1, "val", {"val/words": table}, 0.0, kind="table"))
    writer.close()
    _, first, second = read_lines(path)[0]
    assert (first["kind"], first["val/sample"]) == ("text", "hello")
    assert second["val/words"] == {"columns": ["word"], "rows": [["a"], [1]]}


def test_images_audio_and_histograms_of_the_record_are_files_or_counts(path):
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    batch = np.stack([pixels, pixels[::-1], pixels])
    wave = np.array([0.0, 0.5, -2.0, np.nan])
    values = {
        "image": {"val/one": pixels, "val/batch": batch},
        "audio": {"val/sound": (wave, 8000)},
        "histogram": {"val/w": np.array([1.0, 3.0, np.inf]), "val/empty": np.zeros(0)},
    }
    writer = opened(path)
    for kind, parts in values.items():
        writer.write(Media(4, "val", parts, 0.0, kind=kind))
    writer.write(Media(5, "val", {"val/one": pixels}, 0.0, kind="image"))
    writer.close()
    _, image, audio, histogram, again = read_lines(path)[0]
    (one,) = image["val/one"]["files"]
    files = image["val/batch"]["files"]
    assert files == [one, files[1], one]  # a file is named by its content
    assert again["val/one"]["files"] == [one]
    for name, expected in zip(files, batch, strict=True):
        data = (path.parent / name).read_bytes()
        np.testing.assert_array_equal(decode_png(data), expected)
    (sound,) = audio["val/sound"]["files"]
    assert sound.endswith(".wav")
    assert len(list((path.parent / "media").iterdir())) == 3
    counts = histogram["val/w"]
    assert (sum(counts["counts"]), counts["nonfinite"]) == (2, 1)
    assert (counts["edges"][0], counts["edges"][-1]) == (1.0, 3.0)
    assert histogram["val/empty"] == {"counts": [], "edges": [], "nonfinite": 0}


def test_a_further_file_has_the_lines_that_its_options_select(tmp_path):
    write_run_json(tmp_path, {"run_id": "r1"})
    other = JSONL("other.jsonl", keys="val/*")
    other.open(tmp_path, None)
    for split in ("train", "val"):
        values = {f"{split}/loss": 1.0}
        if record := other.select(Record(1, split, values, 0.0)):
            other.write(record)
    other.close()
    assert other.name == "other.jsonl"
    (_, row) = read_lines(tmp_path / "other.jsonl")[0]
    assert row["val/loss"] == 1.0


def test_rows_after_the_resumed_step_are_saved_in_another_file(path):
    writer = opened(path)
    write(writer, 1, 2, 3, 4)
    writer.close()
    writer = opened(path, resume_step=2)
    write(writer, 3)
    writer.close()
    assert steps_in(path) == [1, 2, 3]
    saved = read_lines(path.with_name("metrics.jsonl.after-2"))[0]
    assert [row["step"] for row in saved] == [3, 4]


def test_a_restored_state_is_a_position_and_not_a_step(path):
    writer = opened(path)
    write(writer, 1, 2)
    state = writer.state()
    write(writer, 2, 3)
    writer.load_state(state | {"step": 2})
    write(writer, 3)
    writer.close()
    assert steps_in(path) == [1, 2, 3]


@pytest.mark.parametrize("later", [(3,), ()], ids=["inside", "at the end"])
def test_a_position_in_a_record_with_other_rows_is_refused(path, later):
    writer = opened(path)
    write(writer, 1, 2)
    state = writer.state()
    write(writer, *later)
    writer.close()
    path.write_text(path.read_text().replace('"step":2', '"step":7'))
    writer = opened(path)
    with pytest.raises(ValueError, match="other rows before byte"):
        writer.load_state(state | {"step": 2})
    writer.load_state({"step": 2})
    writer.close()
    assert steps_in(path) == [1]


def test_a_file_that_cannot_be_resumed_is_released(path):
    path.write_text("")
    path.with_name("run.json").write_text("damage")
    with pytest.raises(CorruptLineError, match="run.json"):
        opened(path)
    AppendFile(path).close()


def test_closing_syncs_the_file_before_it_is_released(path, monkeypatch):
    writer = opened(path)
    write(writer, 1)
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}"))
    )
    writer.close()
    assert synced == [str(path)]
    writer.close()  # does nothing
    assert len(synced) == 1
    with pytest.raises(ValueError, match=r"not open. Call open\(\)"):
        writer.flush()


def test_a_close_that_cannot_sync_raises_and_releases_the_file(path, monkeypatch):
    writer = opened(path)
    write(writer, 1)

    def fail(fd):
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="no space"):
            writer.close()
    AppendFile(path).close()
    assert steps_in(path) == [1]


def test_a_rewind_brings_the_last_and_best_values_of_its_state_back(tmp_path):
    def log(writer, step, loss):
        writer.write(Record(step, "train", {"train/loss": loss}, float(step)))

    writer = JSONL()
    writer.open(tmp_path, None)
    assert not read_summary(tmp_path)["closed"]
    log(writer, 1, 1.0)
    log(writer, 2, math.nan)
    state = json.loads(json.dumps(writer.state(), allow_nan=False)) | {"step": 2}
    log(writer, 3, 0.5)
    writer.close()
    summary = read_summary(tmp_path)
    assert (summary["best"], summary["closed"]) == ({"train/loss": 0.5}, True)
    writer = JSONL()
    writer.open(tmp_path, None)
    assert not read_summary(tmp_path)["closed"]
    writer.load_state(state)
    writer.flush()
    summary = read_summary(tmp_path)
    assert (summary["last"], summary["best"]) == (
        {"train/loss": "NaN"},
        {"train/loss": 1.0},
    )
    assert summary["state"] == "diverged"
    writer.close()
