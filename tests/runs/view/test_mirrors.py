"""Runs in a local mirror: copied when they change, and then read like any other."""

import numpy as np
import pytest

from jaxmetrics import TrainingLogger
from jaxmetrics.runs.reading import LocalCopy
from jaxmetrics.runs.view._cache import RunCache
from jaxmetrics.runs.view._changes import Watcher
from jaxmetrics.runs.view._root import Root
from jaxmetrics.runs.view._rows import Rows


@pytest.fixture
def mirrored(tmp_path):
    """Return the root of a mirror, and a function that adds steps to its run."""

    def log(steps, **options):
        with TrainingLogger(
            *("lm", "one", tmp_path / "runs"),
            mirror=tmp_path / "mirror",
            console=False,
            **options,
        ) as logger:
            for step in steps:
                logger.log_step(step, loss=1 / step)
            logger.log_images(step, picture=np.full((4, 4), step / 20))
        assert logger.wait_for_mirror(60)

    log(range(1, 4))
    return Root(tmp_path / "mirror"), log


@pytest.fixture
def copies(monkeypatch):
    """Return the addresses of mirrors that were copied."""
    refresh, made = LocalCopy.refresh, []

    def counted(copy):
        made.append(copy.address)
        refresh(copy)

    monkeypatch.setattr(LocalCopy, "refresh", counted)
    return made


def test_a_mirror_is_copied_when_it_changed_and_the_copy_is_read_on(mirrored, copies):
    root, log = mirrored
    rows, cache = Rows(root), RunCache(root)
    for _ in range(3):
        assert [row["step"] for row in rows.all()["runs"]] == [3]
        loaded = cache.get("lm", "one")
        assert loaded.rested.wait(60)
    assert len(copies) == 1
    assert len(loaded.growing.run["train/loss"][0]) == 3
    log(range(4, 9), resume_step=3)
    for _ in range(3):
        assert [row["step"] for row in rows.all()["runs"]] == [8]
        assert cache.get("lm", "one") is loaded and loaded.rested.wait(60)
    assert len(copies) == 2
    assert len(loaded.growing.run["train/loss"][0]) == 8
    assert loaded.growing.generation == 0
    media = sorted((loaded.growing.path / "media").iterdir())
    assert len(media) == 2 and all(map(root.holds, media))


def test_a_copy_is_noticed_by_pages(mirrored, copies):
    root, log = mirrored
    cache = RunCache(root)
    watcher = Watcher(root, cache)
    loaded = cache.get("lm", "one")
    assert [change.id for change in watcher.look()] == ["lm/one"]
    assert watcher.look() == []
    log(range(4, 9), resume_step=3)
    (change,) = watcher.look()
    assert (change.id, change.reset) == ("lm/one", False)
    assert loaded.rested.wait(60)
    assert len(loaded.growing.run["train/loss"][0]) == 8 and len(copies) == 2


def test_a_mirror_without_a_whole_copy_is_a_problem_of_its_run(mirrored):
    root, _ = mirrored
    for path in (root.path / "lm/one/pieces").iterdir():
        path.write_bytes(b"damaged")
    (row,) = Rows(root).all()["runs"]
    assert "no copy of a run that is whole" in row["problem"]
