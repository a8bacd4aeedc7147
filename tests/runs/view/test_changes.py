"""Runs that grow, are cut back, replaced or deleted while they are shown."""

import json
import shutil

import pytest
from support.viewer import serving

import jaxmetrics as jm

pytestmark = pytest.mark.timeout(120)

SERIES = "/api/run/a/run/series"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


def logger_of(root, name="run", **options):
    return jm.TrainingLogger("a", name, root=root, console=False, **options)


def steps(server, key="train/loss"):
    return server.json(SERIES, keys=key)["series"][key]["x"]


def wait_for(changes, id="a/run"):
    """Return the next change of a run."""
    return next(change for change in changes if change["id"] == id)


def test_a_new_row_is_announced_and_read(root):
    with logger_of(root) as logger:
        logger.log_step(1, loss=1.0)
        logger.flush()
        with serving(root) as server:
            before = server.json(SERIES, keys="train/loss")
            assert before["series"]["train/loss"]["x"] == [1]
            with server.changes() as changes:
                logger.log_step(2, loss=0.5)
                logger.flush()
                change = wait_for(changes)
                assert change["reset"] is False
                after = server.json(SERIES, keys="train/loss")
                assert after["series"]["train/loss"]["x"] == [1, 2]
                assert after["version"] != before["version"]


@pytest.mark.parametrize("name", ["keys", "events"])
def test_an_answer_that_is_known_is_not_sent_again(root, name):
    address = f"/api/run/a/run/{name}"
    with logger_of(root) as logger:
        logger.log_step(1, loss=1.0)
        logger.flush()
        with serving(root) as server:
            first = server.get(address)
            tag = {"If-None-Match": first.headers["etag"]}
            known = server.get(address, headers=tag)
            assert (first.status, known.status, known.body) == (200, 304, b"")
            assert known.headers["etag"] == first.headers["etag"]
            assert "no-cache" in first.headers["cache-control"]
            logger.log_step(2, loss=1.0)
            logger.ledger.event("alarm", kind="spike", key="train/loss", step=2)
            logger.flush()
            again = server.get(address, headers=tag)
            assert again.status == 200 and again.headers["etag"] not in tag.values()
            assert again.body != first.body


def test_a_quiet_run_keeps_its_version(root):
    with logger_of(root) as logger:
        logger.log_step(1, loss=1.0)
    with serving(root) as server:
        versions = {
            server.json(address, keys="train/loss")["version"]
            for address in (SERIES, "/api/run/a/run/keys", SERIES)
        }
        assert len(versions) == 1


def test_a_new_run_and_a_deleted_one_are_announced(root):
    with logger_of(root) as logger:
        logger.log_step(1, loss=1.0)
    with serving(root) as server, server.changes() as changes:
        assert server.get(SERIES, keys="train/loss").status == 200
        with logger_of(root, "second") as logger:
            logger.log_step(1, loss=1.0)
        assert wait_for(changes, "a/second")["version"]
        shutil.rmtree(root / "a" / "run")
        while wait_for(changes)["version"] is not None:
            pass
        answer = server.get(SERIES, keys="train/loss")
        assert answer.status == 404 and "no run a/run" in answer.json["error"]
        assert [row["id"] for row in server.json("/api/runs")["runs"]] == ["a/second"]


def test_a_run_that_is_cut_back_is_read_anew(root):
    with logger_of(root) as logger:
        logger.log_step(1, loss=1.0)
        state = json.loads(json.dumps(logger.state()))
        for step in range(2, 30):
            logger.log_step(step, loss=1.0)
    with serving(root) as server:
        assert steps(server) == list(range(1, 30))
        with server.changes() as changes:
            with logger_of(root) as logger:
                logger.load_state(state)
                logger.log_step(2, loss=9.0)
            while not wait_for(changes)["reset"]:
                pass
            data = server.json(SERIES, keys="train/loss")["series"]["train/loss"]
            assert data["x"] == [1, 2] and data["y"] == [1.0, 9.0]


def test_a_run_that_is_replaced_is_read_anew(root):
    with logger_of(root) as logger:
        logger.log_step(5, loss=1.0)
    with serving(root) as server:
        assert steps(server) == [5]
        with logger_of(root, overwrite=True) as logger:
            logger.log_step(7, loss=1.0)
        assert steps(server) == [7]


def test_an_empty_root_waits_for_its_first_run(root):
    root.mkdir()
    with serving(root) as server:
        listed = server.json("/api/runs")
        assert listed["runs"] == [] and listed["root"] == str(root)
        with server.changes() as changes:
            with logger_of(root) as logger:
                logger.log_step(1, loss=1.0)
            assert wait_for(changes)["version"]
        assert steps(server) == [1]


def test_a_line_is_read_once_it_is_complete(root):
    with logger_of(root) as logger:
        logger.log_step(1, loss=1.0)
    record = root / "a" / "run" / "metrics.jsonl"
    with serving(root) as server, open(record, "a") as file:
        assert steps(server) == [1]
        file.write('{"step":2,"split":"train",')
        file.flush()
        assert steps(server) == [1]
        file.write('"train/loss":2.0}\n')
        file.flush()
        assert steps(server) == [1, 2]


def test_later_lines_are_joined_to_earlier_records(root):
    folder = root / "a" / "run"
    folder.mkdir(parents=True)
    rows = [
        {"step": 3, "split": "train", "train/loss": 3.0, "time": 3.0},
        {"step": 1, "split": "train", "train/loss": 1.0, "time": 1.0},
    ]
    record = folder / "metrics.jsonl"
    record.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with serving(root) as server, open(record, "a") as file:
        assert steps(server) == [1, 3]
        more = {"step": 2, "split": "train", "train/loss": 2.0, "time": 2.0}
        file.write(f"{json.dumps(more)}\n")
        more = {"step": 1, "split": "train", "train/loss": 7.0, "lr/lr": 0.1}
        file.write(f"{json.dumps(more)}\n")
        file.flush()
        data = server.json(SERIES, keys="train/loss,lr/lr", x="time")["series"]
        assert data["train/loss"]["x"] == [1, 2, 3]
        assert data["train/loss"]["y"] == [7.0, 2.0, 3.0]
        assert data["lr/lr"]["y"] == [pytest.approx(0.1)]
