"""The loggers of a process: one for a run, all closed by one call, none in workers."""

import pytest
from support.loggers import events, run_json, steps
from support.processes import run_python_file

import jaxmetrics as jm
from jaxmetrics.writers import Memory


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume_step": 1}])
def test_a_logger_of_an_open_run_takes_over(make_logger, caplog, options):
    first = make_logger()
    first.log_step(1, loss=1.0)
    second = make_logger(**options)
    assert caplog.text.count("Another TrainingLogger is created") == 1
    with pytest.raises(ValueError, match="taken over .*run, and this one is closed"):
        first.log_step(2, loss=1.0)
    for call in (first.state, lambda: first.log_text(1, t="x")):
        with pytest.raises(ValueError, match="taken over"):
            call()
    assert first.flush() and first.close()
    second.log_step(2, loss=2.0)
    second.close()
    assert steps(second) == ([2] if "overwrite" in options else [1, 2])
    assert len(run_json(second)["attempts"]) == (1 if "overwrite" in options else 2)
    assert events(second)[-1]["event"] == "close"


def test_a_run_is_known_by_its_real_path(make_logger, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    first = make_logger()
    make_logger(root=tmp_path / "link")
    with pytest.raises(ValueError, match="taken over"):
        first.log_step(1, loss=1.0)


def test_loggers_of_other_runs_and_closed_ones_are_left_alone(make_logger, caplog):
    first, second = make_logger("first"), make_logger("second")
    for logger in (first, second):
        logger.log_step(1, loss=1.0)
    first.close()
    make_logger("first").log_step(2, loss=1.0)
    without = [make_logger("second", root=None) for _ in range(2)]
    for logger in (second, *without):
        logger.log_step(2, loss=1.0)
    assert "Another TrainingLogger" not in caplog.text


def test_all_open_loggers_are_closed_at_once(make_logger):
    class Failing(Memory):
        def close(self):
            raise OSError("gone")

    loggers = [make_logger("a"), make_logger("b", root=None)]
    for logger in loggers:
        logger.log_step(1, loss=1.0)
    assert jm.close_all()
    for logger in loggers:
        with pytest.raises(ValueError, match="is closed"):
            logger.log_step(2, loss=1.0)
    assert steps(loggers[0]) == [1]
    assert jm.close_all()  # none is open
    failing = make_logger("c", writers=[Failing()])
    other = make_logger("d")
    assert not jm.close_all()
    assert failing.counters() and other.close()


WORKERS = """
    import multiprocessing
    import sys
    from jaxmetrics import TrainingLogger

    logger = TrainingLogger("p", "run", root=sys.argv[1])
    logger.log_step(1, loss=1.0)
    logger.log_text(1, note="x")
    logger.log_hparams({"lr": 0.1})
    logger.load_state(logger.state())
    logger.latest(), logger.counters(), logger.flush(), logger.describe(a=1)

    def double(x):
        return 2 * x

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[2])
        worker = context.Process(target=double, args=(1,))
        worker.start()
        worker.join(60)
        assert worker.exitcode == 0, worker.exitcode
        logger.log_step(2, loss=2.0)
        assert logger.close()
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_worker_that_imports_the_script_logs_nothing_and_says_so_once(
    tmp_path, method
):
    done = run_python_file(tmp_path / "train.py", WORKERS, tmp_path, method)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("TrainingLogger was created while a worker") == 1
    assert done.stdout.count("step=") == 2
    (folder,) = (tmp_path / "p").iterdir()
    assert len(jm.Run.load(folder)) == 2
