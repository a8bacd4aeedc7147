"""Runs at an address, seen through copies that follow them."""

import json
import shutil

import numpy as np
import pytest
from support.buckets import bucket, emulator
from support.viewer import serving

from jaxmetrics import TrainingLogger
from jaxmetrics.record import open_storage
from jaxmetrics.runs.view._bucket import BucketRoot, open_root
from jaxmetrics.runs.view._cache import RunCache
from jaxmetrics.runs.view._root import Root
from jaxmetrics.runs.view._rows import Rows

__all__ = ["bucket", "emulator"]


def write_run(root, mirror, steps, **options):
    with TrainingLogger(
        "lm", "one", root, mirror=mirror, console=False, **options
    ) as logger:
        for step in steps:
            logger.log_step(step, loss=1 / step)
        logger.log_images(steps[-1], picture=np.zeros((4, 4)))
        logger.log_text(steps[-1], sample=f"text at {steps[-1]}")
    assert logger.wait_for_mirror(60)


def losses(cache):
    loaded = cache.get("lm", "one")
    assert loaded.rested.wait(60)
    with loaded.lock:
        return len(loaded.growing.run["train/loss"][0])


def test_a_mirror_in_a_bucket_is_shown_and_followed(tmp_path, bucket):
    mirror = f"{bucket}/mirror"
    write_run(tmp_path, mirror, range(1, 4))
    root = BucketRoot(mirror)
    root.refresh()
    rows, cache = Rows(root), RunCache(root)
    (row,) = rows.all()["runs"]
    assert (row["id"], row["state"], row["step"]) == ("lm/one", "closed", 3)
    assert rows.all()["root"] == mirror
    assert losses(cache) == 3
    write_run(tmp_path, mirror, range(4, 9), resume_step=3)
    root.refresh()
    assert rows.all()["runs"][0]["step"] == 8
    assert losses(cache) == 8
    assert list(root.find("lm", "one").glob("media/*"))
    assert root.problems() == []


def test_files_in_a_bucket_stay_the_same_until_they_change(tmp_path, bucket):
    write_run(tmp_path, None, range(1, 4))
    source = tmp_path / "lm" / "one"
    storage = open_storage(f"{bucket}/runs/lm/one")
    for file in source.iterdir():
        if file.is_file():
            storage.write(file.name, file.read_bytes())
    root = BucketRoot(f"{bucket}/runs")
    root.refresh()
    record = root.find("lm", "one") / "metrics.jsonl"
    before = record.stat().st_ino
    root.refresh()
    assert record.stat().st_ino == before
    assert record.read_bytes() == (source / "metrics.jsonl").read_bytes()


def test_a_damaged_run_is_named_among_good_ones(tmp_path, bucket):
    mirror = f"{bucket}/mirror"
    write_run(tmp_path, mirror, range(1, 4))
    pieces = open_storage(f"{mirror}/lm/one/pieces")
    other = open_storage(f"{mirror}/lm/two/pieces")
    for name in pieces.names():
        other.write(name, b"damaged")
    root = BucketRoot(mirror)
    root.refresh()
    answer = Rows(root).all()
    assert [row["id"] for row in answer["runs"]] == ["lm/one"]
    (problem,) = answer["problems"]
    assert problem["path"] == "lm/two" and "whole" in problem["text"]


def test_a_name_that_is_none_of_a_folder_is_refused(tmp_path):
    mirror = tmp_path / "mirror"
    write_run(tmp_path / "local", str(mirror), range(1, 3))
    (mirror / "lm" / "one").rename(mirror / "lm" / "..\\one")
    root = BucketRoot(mirror)
    root.refresh()
    assert list(root.runs()) == []
    (problem,) = root.problems()
    assert problem["path"] == "lm/..\\one" and "not shown" in problem["text"]


def test_a_bucket_that_is_gone_is_a_problem_and_what_was_copied_stays(tmp_path):
    mirror = tmp_path / "mirror"
    write_run(tmp_path / "local", str(mirror), range(1, 4))
    root = BucketRoot(mirror)
    root.refresh()
    shutil.rmtree(mirror)
    root.refresh()
    assert [id for id, _ in root.runs()] == ["lm/one"]


def test_an_address_without_anything_is_an_error(bucket):
    with pytest.raises(FileNotFoundError, match="nothing at gs://"):
        open_root(f"{bucket}/none")


def test_the_copies_are_removed_with_the_root(tmp_path):
    mirror = tmp_path / "mirror"
    write_run(tmp_path / "local", str(mirror), range(1, 3))
    root = BucketRoot(mirror)
    root.refresh()
    folder = root.path
    assert folder.is_dir() and isinstance(root, Root)
    del root
    assert not folder.exists()


def test_the_command_takes_an_address(tmp_path, bucket):
    mirror = f"{bucket}/mirror"
    write_run(tmp_path, mirror, range(1, 4))
    with serving(mirror) as server:
        run = "/api/run/lm/one"
        while server.get(run).status == 404:  # until it is copied
            assert server.process.poll() is None
        line = server.json(f"{run}/series", keys="train/loss")["series"]["train/loss"]
        assert line["x"] == [1, 2, 3]
        text = server.json(f"{run}/media", kind="text", key="train/sample", step=3)
        assert "text at 3" in json.dumps(text)
