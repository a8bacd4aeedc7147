"""The file of JSON lines that is the complete record of a run."""

import os

import pytest

from jaxmetrics.record import (
    AppendFile,
    CorruptLineError,
    Media,
    Record,
    read_lines,
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
    assert header == {"kind": "header", "schema": 1, "run_id": "r1"}
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


def test_texts_and_tables_are_written_and_images_are_not(path):
    writer = opened(path)
    text = Media(1, "val", {"val/sample": "hello"}, 0.0)
    assert writer.select(text) is text
    writer.write(text)
    assert writer.select(Media(1, "val", {"val/x": None}, 0.0, kind="image")) is None
    writer.close()
    assert read_lines(path)[0][1]["val/sample"] == "hello"


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


def test_a_file_that_cannot_be_resumed_is_released(path):
    path.write_text("damage\n")
    with pytest.raises(CorruptLineError, match="line 1"):
        opened(path, resume_step=1)
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
