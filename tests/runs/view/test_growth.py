"""What is answered of a series that an earlier answer has the beginning of."""

import json

import numpy as np
import pytest
from support.viewer import serving

from jaxmetrics.runs.view._series import line_data

pytestmark = pytest.mark.timeout(120)

SERIES = "/api/run/a/run/series"


def joined(old, new):
    """Return a line as a client puts it together."""
    if "since" not in new:
        return new
    kept = np.asarray(old["x"]) < new["since"]
    line = {n: np.append(np.asarray(old[n])[kept], new[n]) for n in ("x", "y")}
    line |= {name: new[name] for name in ("count", "missing", "end")}
    if "means" in new:
        before, after = old["means"], new["means"]
        kept = np.asarray(before["x"]) < new["since"]
        means = {
            n: np.append(np.asarray(before[n])[kept], after[n]) for n in ("x", "y")
        }
        line["means"] = means | {"of": after["of"]}
    return line


def same(one, other):
    if isinstance(one, dict):
        return {*one} - {"since"} == {*other} - {"since"} and all(
            same(one[n], other[n]) for n in one if n != "since"
        )
    if isinstance(one, str):
        return one == other
    return np.array_equal(one, other, equal_nan=True)


@pytest.mark.parametrize("start", [None, 150.5])
def test_an_answer_and_what_came_since_are_the_whole_answer(start):
    draw = np.random.default_rng(0)
    y = draw.standard_normal(3000)
    y[draw.integers(0, 3000, 40)] = np.nan
    x = np.cumsum(draw.integers(1, 3, 3000)).astype(float)
    count, line, appended = 300, None, 0
    while count <= 3000:
        arguments = (x[:count], y[:count], 120, start)
        new = line_data(*arguments, source="s", after=line["end"] if line else "")
        line = joined(line, new)
        assert same(line, line_data(*arguments, source="s"))
        if "since" in new:
            appended += 1
            assert len(new["x"]) < 60
        count += int(draw.integers(1, 40))
    assert appended > 50


def test_what_is_new_follows_the_last_point():
    x, y = np.arange(10.0), np.arange(10.0)
    end = line_data(x[:8], y[:8], 100, source="s")["end"]
    new = line_data(x, y, 100, source="s", after=end)
    assert (new["since"], new["x"].tolist(), new["count"]) == (7, [7, 8, 9], 10)


@pytest.mark.parametrize(
    "after", ["", "other:1:7:7.0", "s:1:7:6.5", "s:2:6:6.0", "s:1:99:7.0", "s:x", "s"]
)
def test_a_series_of_another_beginning_is_whole(after):
    x = np.arange(10.0)
    new = line_data(x, x, 100, source="s", after=after)
    assert "since" not in new and len(new["x"]) == 10


def test_a_series_that_may_change_has_no_end():
    x = np.arange(10.0)
    assert "end" not in line_data(x, x, 100)


def test_growth_is_asked_for_over_http_until_the_record_is_cut_back(tmp_path):
    folder = tmp_path / "runs" / "a" / "run"
    folder.mkdir(parents=True)

    def write(steps, mode="a"):
        with open(folder / "metrics.jsonl", mode) as file:
            for step in steps:
                row = {"step": step, "split": "train", "train/loss": step / 2}
                if step % 10 == 0:
                    row["train/rare"] = 1.0
                file.write(json.dumps(row) + "\n")

    def ask(line):
        known = {"key": [*line], "after": [one.get("end", "") for one in line.values()]}
        return server.json(SERIES, **known)["series"]

    write(range(1, 101))
    with serving(tmp_path / "runs") as server:
        line = ask({"train/loss": {}, "train/rare": {}})
        assert line["train/loss"]["x"] == list(range(1, 101))
        write(range(101, 104))
        new = ask(line)
        assert new["train/loss"]["x"] == [100, 101, 102, 103]
        assert new["train/loss"]["y"] == [50, 50.5, 51, 51.5]
        assert new["train/rare"]["x"] == [100]
        write(range(1, 101), "w")
        whole = ask(line)
        assert whole["train/loss"]["x"] == list(range(1, 101))
        assert "since" not in whole["train/loss"]
        assert server.get(SERIES, key=["a", "b"], after="x").status == 400
