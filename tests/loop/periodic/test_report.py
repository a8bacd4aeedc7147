"""Progress is reported with rates, the remaining time and timed sections."""

import inspect
import logging
import threading
from concurrent.futures import Future

import jax.numpy as jnp
import pytest
from support.clock import Clock

from jaxmetrics import Profile, ReportProgress, Run, TrainingLogger
from jaxmetrics.writers import Memory


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def logger(tmp_path, memory):
    with TrainingLogger(root=tmp_path / "runs", writers=[memory]) as logger:
        yield logger


def reported(logger, memory):
    """Return the logged values by step, without the prefix `perf/`."""
    assert logger.flush()
    return {
        record.step: {k.removeprefix("perf/"): v for k, v in record.values.items()}
        for record in memory.records
    }


def test_a_report_has_the_rate_since_the_last_one_and_the_remaining_time(
    logger, memory, clock
):
    report = ReportProgress(
        20, every_steps=4, every_secs=None, logger=logger, clock=clock
    )
    due = []
    for step in range(3, 13):
        clock.now += 0.5 if step <= 8 else 2.0
        due.append(report(step))
    assert [n for n, is_due in enumerate(due, 3) if is_due] == [4, 8, 12]
    assert reported(logger, memory) == {
        4: {"uptime_seconds": 1.0, "steps_per_second": 2.0, "eta_seconds": 8.0},
        8: {"uptime_seconds": 3.0, "steps_per_second": 2.0, "eta_seconds": 6.0},
        12: {"uptime_seconds": 11.0, "steps_per_second": 0.5, "eta_seconds": 16.0},
    }


def test_a_report_joins_the_row_of_its_step(logger, memory):
    report = ReportProgress(every_steps=1, logger=logger)
    for step in (1, 2):
        logger.log_step(step, loss=0.5)
        report(step, t=float(step))
    logger.flush()
    run = Run.load(logger.run_dir)
    assert len(run) == 2
    assert run["train/loss"][0].tolist() == [1, 2]
    assert run["perf/steps_per_second"][1].tolist() == [1.0]


def test_a_rate_is_not_taken_over_a_restart(logger, memory, caplog):
    report = ReportProgress(every_steps=5, every_secs=None)
    with caplog.at_level(logging.INFO, "jaxmetrics"):
        for step, t in [(4, 0.0), (9, 1.0), (3, 50.0), (5, 51.0)]:
            report(step, t)
    rates = [line.split(", ")[1] for line in caplog.messages]
    assert rates == ["5.0 steps/s", "2.0 steps/s"]


def test_the_text_has_all_sections(clock, caplog):
    report = ReportProgress(4000, every_steps=1000, every_secs=None, clock=clock)
    report(0)
    clock.now += 300.0
    with report.timed("eval", wait_jax_async_dispatch=False):
        clock.now += 100.0
    with caplog.at_level(logging.INFO, "jaxmetrics"):
        assert report(1000)
    assert caplog.messages == [
        "step 1000, 25.0% of 4000, 2.5 steps/s, eta 20m00s, up 6m40s, 25.0% eval"
    ]


def test_sections_add_up_and_are_logged(logger, memory, clock):
    report = ReportProgress(every_steps=1, logger=logger, clock=clock)
    report(1)
    for seconds in (1.0, 2.0):
        with report.timed("eval", wait_jax_async_dispatch=False):
            clock.now += seconds
            with report.timed("plots", wait_jax_async_dispatch=False):
                clock.now += 0.5
    clock.now += 1.0
    report(2)
    row = reported(logger, memory)[2]
    assert row["timed/eval_seconds"] == 4.0 and row["timed/plots_seconds"] == 1.0
    assert row["uptime_seconds"] == 5.0


def test_a_section_that_raises_is_counted(clock):
    report = ReportProgress(clock=clock)
    with pytest.raises(KeyError), report.timed("eval", wait_jax_async_dispatch=False):
        clock.now += 1.0
        raise KeyError
    assert report._sections == {"eval": 1.0}


def test_a_section_ends_when_the_devices_complete_it_without_waiting(clock):
    report = ReportProgress(every_steps=1, clock=clock)
    with report.timed("nothing"):
        pass
    report._waiter.submit(int).result(60)
    reached = [threading.Event(), threading.Event()]

    class Mark:
        def __init__(self, event):
            self.block_until_ready = event.wait

    marks = iter([Mark(event) for event in reached])
    report._marks.put = lambda: next(marks)
    with report.timed("eval"):
        clock.now += 1.0
    assert not report._unfinished[-1][1].done()
    reached[0].set()
    assert report._unfinished[-1][1].result(60) == 101.0
    clock.now += 7.0
    reached[1].set()
    assert report._unfinished[-1][2].result(60) == 108.0
    report._add_finished()
    assert report._sections == {"nothing": 0.0, "eval": 7.0} and not report._unfinished


def test_a_failure_on_the_devices_is_raised():
    report = ReportProgress()
    failed = Future()
    failed.set_exception(RuntimeError("device lost"))
    report._unfinished.append(("eval", failed, failed))
    with pytest.raises(RuntimeError, match="device lost"):
        report._add_finished()


def test_profiled_steps_are_left_out_of_the_rate(logger, memory, clock, tmp_path):
    profile = Profile(tmp_path, num_profile_steps=2, first_profile=4)
    report = ReportProgress(
        every_steps=8, every_secs=None, logger=logger, profile=profile, clock=clock
    )
    for step in range(9):
        clock.now += 50.0 if step in (4, 5, 6) else 0.25
        profile(step)
        report(step)
    assert reported(logger, memory)[8]["steps_per_second"] == 4.0


@pytest.mark.parametrize("profile_first", [True, False])
def test_starting_and_writing_a_trace_counts_in_no_step(
    profile_first, clock, tmp_path, caplog
):
    profile = Profile(tmp_path, num_profile_steps=2, first_profile=4)
    report = ReportProgress(
        every_steps=9, every_secs=None, profile=profile, clock=clock
    )

    def profiled(step):
        profile(step)
        clock.now += 20.0 if step in (4, 6) else 0.0  # to start and to write a trace

    actions = (profiled, report) if profile_first else (report, profiled)
    with caplog.at_level(logging.INFO, "jaxmetrics"):
        for step in range(10):
            clock.now += 9.0 if step in (5, 6) else 0.25
            for action in actions:
                action(step)
    (line,) = caplog.messages
    assert line.startswith("step 9, 4.0 steps/s")


def test_a_report_over_profiled_steps_only_has_no_rate(logger, memory, clock, tmp_path):
    profile = Profile(tmp_path, num_profile_steps=5, first_profile=1)
    report = ReportProgress(
        9, every_steps=3, logger=logger, profile=profile, clock=clock
    )
    for step in (1, 2, 3):
        clock.now += 1.0
        profile(step)
        report(step)
    profile.close()
    assert reported(logger, memory) == {3: {"uptime_seconds": 3.0}}


def test_a_total_without_steps_is_refused():
    with pytest.raises(ValueError, match="num_train_steps=0"):
        ReportProgress(0)


def test_a_step_on_a_device_is_refused():
    with pytest.raises(TypeError, match=r"ReportProgress\(\) got a step of type Array"):
        ReportProgress()(jnp.int32(1))


def test_it_has_the_call_form_of_clu():
    parameters = inspect.signature(ReportProgress.__call__).parameters
    assert list(parameters)[1:] == ["step", "t"]
