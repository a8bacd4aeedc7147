"""What the server answers about runs."""

import pytest
from support.viewer import serving

import jaxmetrics as jm

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("view") / "runs"
    hparams = {"lr": 0.1, "model": {"width": 8}}
    with jm.TrainingLogger(
        "cls", "first", root=root, hparams=hparams, console=False
    ) as logger:
        for step in range(1, 101):
            logger.log_step(step, loss=10.0 / step, tokens=step * 10)
    with serving(root) as server:
        yield server


def test_the_page_is_answered_and_sets_the_cookie(server):
    answer = server.get(f"/?token={server.token}", token=None)
    assert answer.status == 200 and b"<!doctype html>" in answer.body
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    own = {"Cookie": cookie.partition(";")[0]}
    assert server.get("/api/runs", token=None, headers=own).status == 200
    assert server.token not in cookie


def test_runs_are_listed(server):
    listed = server.json("/api/runs")
    assert [row["id"] for row in listed["runs"]] == ["cls/first"]


def test_series_are_returned(server):
    data = server.json("/api/run/cls/first/series", keys="train/loss")
    line = data["series"]["train/loss"]
    assert line["x"] == list(range(1, 101)) and line["y"][9] == 1.0
    assert line["count"] == 100 and "means" not in line
