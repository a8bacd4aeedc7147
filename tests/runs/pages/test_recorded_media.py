import base64

import numpy as np
import pytest
from support.runs import write_run

from jaxmetrics import TrainingLogger
from jaxmetrics.runs import Run
from jaxmetrics.runs.pages import _recorded_media
from jaxmetrics.runs.pages._recorded_media import recorded_media
from jaxmetrics.writers import JSONL


@pytest.fixture
def run(tmp_path):
    with TrainingLogger(
        "p",
        "r",
        root=tmp_path,
        writers=[JSONL()],
        console=False,
        enable_histograms=True,
    ) as logger:
        for step in range(1, 31):
            logger.log_text(step, sample=f"text {step}")
        for step in (1, 2):
            image = np.full((8, 8, 3), 40 * step, np.uint8)
            logger.log_images(step, image=image)
            logger.log_table(step, table={"a": [1] * 60, "b": ["x"] * 60})
            logger.log_histograms(step, weights=np.arange(9.0))
    return Run.load(logger.run_dir)


def test_media_of_each_key_are_kept_with_the_last_step(run):
    media, notes = recorded_media(run)
    by_key = {entry["key"].rpartition("/")[2]: entry for entry in media}
    texts = [item["text"] for item in by_key["sample"]["items"]]
    assert (len(texts), texts[0], texts[-1]) == (12, "text 1", "text 30")
    (source,) = by_key["image"]["items"][-1]["images"]
    head, _, data = source.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
    table = by_key["table"]["items"][0]["table"]
    assert (table["names"], len(table["rows"]), table["of"]) == (["a", "b"], 50, 60)
    histogram = by_key["weights"]["items"][0]
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1
    assert notes == []


def test_images_beyond_the_limit_are_left_out_the_oldest_first(run, monkeypatch):
    sizes = [e.value[0].stat().st_size for e in run.media if e.kind == "image"]
    monkeypatch.setattr(_recorded_media, "_MAX_BYTES", sum(sizes) - 1)
    media, notes = recorded_media(run)
    (image,) = [entry for entry in media if entry["kind"] == "image"]
    assert [item["step"] for item in image["items"]] == [2]
    assert notes[0].startswith("1 recorded media are not on this page")


def test_arrays_are_matrices_with_null_for_what_is_not_finite(tmp_path):
    rows = [{"step": 1, "val/confusion": [[1, 2], ["NaN", 4]]}]
    media, _ = recorded_media(Run.load(write_run(tmp_path / "run", rows)))
    assert media[0]["items"] == [{"step": 1, "matrix": [[1.0, 2.0], [None, 4.0]]}]


def test_audio_is_embedded_and_must_be_audio(tmp_path):
    with TrainingLogger("p", "r", root=tmp_path, console=False) as logger:
        wave = np.sin(np.arange(800) / 3)
        logger.log_audio(1, {"val/a": wave, "val/b": wave}, sample_rate=8000)
    run = Run.load(logger.run_dir)
    first, second = (entry.value[0] for entry in run.media)
    assert first == second  # of equal content
    media, notes = recorded_media(run)
    assert [(one["key"], one["kind"]) for one in media] == [
        ("val/a", "audio"),
        ("val/b", "audio"),
    ]
    (source,) = media[0]["items"][0]["audio"]
    head, _, data = source.partition(",")
    assert head == "data:audio/wav;base64"
    assert base64.b64decode(data) == first.read_bytes() and notes == []
    first.write_bytes(b"\x89PNG\r\n\x1a\n")
    media, notes = recorded_media(run)
    assert media == [] and notes[0].startswith("2 recorded media")


def test_a_file_that_is_no_image_is_left_out(run):
    for entry in run.media:
        if entry.kind == "image":
            entry.value[0].write_bytes(b"<svg onload='x'></svg>")
    media, notes = recorded_media(run)
    assert all(entry["kind"] != "image" for entry in media)
    assert notes[0].startswith("2 recorded media")
