"""A record that is too long to be read before it is shown."""

import math

import pytest

from jaxmetrics.runs.view._cache import Loaded

LINE = '{"step":%d,"split":"train","train/loss":1.5,"filler":"%s"}\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    filler = "x" * 10_000
    with open(folder / "metrics.jsonl", "w") as file:
        for step in range(1, 8001):
            file.write(LINE % (step, filler))
            if step % 200 == 0:
                row = '{"step":%d,"split":"val","val/loss":2.5}\n'
                file.write(row % step)
    return folder


def test_all_evaluations_are_shown_before_the_record_is_read(folder):
    loaded = Loaded("a/run", folder, math.inf)
    assert loaded.is_long
    before = loaded.shown()
    assert before.is_sampled and len(before.run["train/loss"][0]) < 8000
    loaded.search()
    shown = loaded.shown()
    assert shown.is_sampled
    assert shown.run["val/loss"][0].tolist() == list(range(200, 8001, 200))
    part = loaded.shown("step", 1000, 1500)
    assert {1000, 1200, 1400} <= set(part.run["val/loss"][0].tolist())
    assert len(part.run["val/loss"][0]) < 10


def test_a_record_that_was_read_is_not_sampled(folder):
    loaded = Loaded("a/run", folder, math.inf)
    loaded.search()
    assert loaded.shown().is_sampled
    assert loaded.growing.update()
    shown = loaded.shown()
    assert not shown.is_sampled
    assert len(shown.run["train/loss"][0]) == 8000
