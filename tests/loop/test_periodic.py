"""Progress and profiles, in the call form of clu's periodic actions."""

import contextlib
import inspect
import logging
import threading
from concurrent.futures import Future
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from support.processes import run_python

from jaxmetrics import Profile, ReportProgress, TrainingLogger
from jaxmetrics.writers import Memory


class Clock:
    """Seconds that go on when they are told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


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
    """What was logged, by step, under the names after `perf/`."""
    assert logger.flush()
    return {
        record.step: {k.removeprefix("perf/"): v for k, v in record.values.items()}
        for record in memory.records
    }


# Progress


def test_a_report_has_the_rate_since_the_last_one_and_what_is_left(
    logger, memory, clock
):
    report = ReportProgress(
        20, every_steps=4, every_secs=None, logger=logger, clock=clock
    )
    said = []
    for step in range(3, 13):
        clock.now += 0.5 if step <= 8 else 2.0
        said.append(report(step))
    assert [n for n, due in enumerate(said, 3) if due] == [4, 8, 12]
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
    row = reported(logger, memory)[2]
    assert row["train/loss"] == 0.5 and row["steps_per_second"] == 1.0


def test_seconds_count_from_the_last_report_whatever_caused_it(clock):
    report = ReportProgress(7, every_secs=3.0, on_steps=[4], clock=clock)
    times = {1: 0, 2: 2.9, 3: 3, 4: 4, 5: 6.5, 6: 7, 7: 7.1}
    due = [step for step, t in times.items() if report(step, t=t)]
    assert due == [3, 4, 6, 7]  # by time, asked for, by time, the last


def test_the_first_call_and_one_after_a_restart_only_begin(clock):
    report = ReportProgress(every_steps=5, every_secs=None)
    assert [report(s, t=float(s)) for s in (10, 15, 5, 9, 10)] == [
        False,
        True,
        False,
        False,
        True,
    ]


def test_a_rate_is_not_taken_over_a_restart(logger, memory, caplog):
    report = ReportProgress(every_steps=5, every_secs=None)
    with caplog.at_level(logging.INFO, "jaxmetrics"):
        for step, t in [(4, 0.0), (9, 1.0), (3, 50.0), (5, 51.0)]:
            report(step, t)
    rates = [line.split(", ")[1] for line in caplog.messages]
    assert rates == ["5.0 steps/s", "2.0 steps/s"]


def test_calls_that_jump_over_steps_still_report(clock):
    report = ReportProgress(every_steps=10, every_secs=None)
    assert [report(s, t=float(s)) for s in (7, 9, 14, 14, 18, 41)] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]


def test_a_text_says_it_all(clock, caplog):
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


def test_parts_add_up_and_are_logged(logger, memory, clock):
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


def test_a_part_that_fails_is_accounted_and_raises(clock):
    report = ReportProgress(clock=clock)
    with pytest.raises(KeyError), report.timed("eval", wait_jax_async_dispatch=False):
        clock.now += 1.0
        raise KeyError
    assert report._parts == {"eval": 1.0}


def test_a_part_ends_when_the_devices_have_done_it(clock):
    """The block does not wait for them."""
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
    assert not report._timing[-1][1].done()
    reached[0].set()
    assert report._timing[-1][1].result(60) == 101.0
    clock.now += 7.0
    reached[1].set()
    assert report._timing[-1][2].result(60) == 108.0
    report._settle()
    assert report._parts == {"nothing": 0.0, "eval": 7.0} and not report._timing


def test_a_failure_on_the_devices_comes_out():
    report = ReportProgress()
    failed = Future()
    failed.set_exception(RuntimeError("device lost"))
    report._timing.append(("eval", failed, failed))
    with pytest.raises(RuntimeError, match="device lost"):
        report._settle()


def test_steps_that_are_profiled_are_left_out_of_the_rate(
    logger, memory, clock, tmp_path
):
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
def test_the_time_of_a_trace_counts_for_no_step_on_either_side(
    profile_first, clock, tmp_path, caplog
):
    profile = Profile(tmp_path, num_profile_steps=2, first_profile=4)
    report = ReportProgress(
        every_steps=9, every_secs=None, profile=profile, clock=clock
    )

    def profiled(step):
        profile(step)
        clock.now += 20.0 if step in (4, 6) else 0.0  # to begin and to write a trace

    actions = (profiled, report) if profile_first else (report, profiled)
    with caplog.at_level(logging.INFO, "jaxmetrics"):
        for step in range(10):
            clock.now += 9.0 if step in (5, 6) else 0.25
            for action in actions:
                action(step)
    (line,) = caplog.messages
    assert line.startswith("step 9, 4.0 steps/s")


def test_a_report_with_nothing_but_profiled_steps_has_no_rate(
    logger, memory, clock, tmp_path
):
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


@pytest.mark.parametrize("options", [{"every_steps": 0}, {"every_secs": -1.0}])
def test_a_period_that_is_none_is_refused(options, tmp_path):
    (name,) = options
    with pytest.raises(ValueError, match=f"ReportProgress got {name}"):
        ReportProgress(**options)
    with pytest.raises(ValueError, match=f"Profile got {name}"):
        Profile(tmp_path, **options)


def test_totals_and_windows_without_steps_are_refused(tmp_path):
    with pytest.raises(ValueError, match="num_train_steps=0"):
        ReportProgress(0)
    with pytest.raises(ValueError, match="num_profile_steps=0"):
        Profile(tmp_path, num_profile_steps=0)


@pytest.mark.parametrize("make", [ReportProgress, lambda: Profile("unused")])
def test_a_step_on_a_device_is_refused(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match=r"\(\) got a step of type ArrayImpl"):
        make()(jnp.int32(1))


@pytest.mark.parametrize("action", [ReportProgress, Profile])
def test_actions_are_called_as_clus_are(action):
    assert list(inspect.signature(action.__call__).parameters)[1:] == ["step", "t"]


# Profiles


@jax.jit
def in_the_window(x):
    return x @ x


@jax.jit
def beside_the_window(x):
    return x @ x + 1


def traces(folder):
    return sorted(Path(folder).glob("plugins/profile/*/*.xplane.pb"))


def traced(file):
    """The names of all events of a trace."""
    data = jax.profiler.ProfileData.from_file(str(file))
    lines = [line for plane in data.planes for line in plane.lines]
    return {event.name for line in lines for event in line.events}


def test_a_trace_has_the_steps_of_its_window_and_no_others(tmp_path):
    x = jnp.ones((8, 8))
    done = []
    profile = Profile(
        tmp_path,
        num_profile_steps=2,
        first_profile=2,
        on_done=lambda step, folder: done.append((step, folder)),
    )
    opened, active = [], []
    for step in range(1, 7):
        (in_the_window if step in (3, 4) else beside_the_window)(x)
        opened.append(profile(step))
        active.append(profile.active)
    assert opened == [False, True, False, False, False, False]
    assert active == [False, True, True, True, False, False]
    assert done == [(2, str(tmp_path))]
    (file,) = traces(tmp_path)
    names = traced(file)
    assert "PjitFunction(in_the_window)" in names
    assert "PjitFunction(beside_the_window)" not in names


def windows(profile, steps, time=float):
    """The steps at which windows opened, and those whose time has a trace in it."""
    opened, active = [], []
    for step in steps:
        if profile(step, t=time(step)):
            opened.append(step)
        if profile.active:
            active.append(step)
    profile.close()
    return opened, active


def test_windows_come_again_by_steps_or_by_seconds(tmp_path):
    by_steps = Profile(tmp_path, num_profile_steps=1, first_profile=3, every_steps=5)
    assert windows(by_steps, range(1, 13)) == ([3, 5, 10], [3, 4, 5, 6, 10, 11])
    by_time = Profile(tmp_path, num_profile_steps=1, first_profile=3, every_secs=4.0)
    assert windows(by_time, range(1, 13))[0] == [3, 7, 11]


def test_a_context_is_entered_around_each_window(tmp_path, monkeypatch):
    told = []

    @contextlib.contextmanager
    def around():
        told.append("entered")
        yield
        told.append("left")

    def heard(name):
        call = getattr(jax.profiler, name)
        monkeypatch.setattr(
            jax.profiler, name, lambda *a: (told.append(name), call(*a))
        )

    heard("start_trace")
    heard("stop_trace")
    options = {"num_profile_steps": 1, "every_steps": 3, "around": around}
    windows(Profile(tmp_path, first_profile=3, **options), range(1, 7))
    once = ["entered", "start_trace", "stop_trace", "left"]
    assert told == 2 * once
    with jax.profiler.trace(str(tmp_path / "theirs")):
        told.clear()
        windows(Profile(tmp_path, first_profile=3, **options), range(1, 4))
        assert told == ["entered", "start_trace", "left"]


def test_a_run_that_goes_on_beyond_the_first_profile_makes_none(tmp_path):
    assert windows(Profile(tmp_path, first_profile=3), range(4, 20)) == ([], [])


def test_going_back_closes_the_window(tmp_path):
    profile = Profile(tmp_path, num_profile_steps=3, first_profile=2)
    assert windows(profile, [1, 2, 3, 1, 2]) == ([2, 2], [2, 3, 2])


def test_another_trace_in_the_way_is_a_warning(tmp_path, caplog):
    profile = Profile(tmp_path / "ours", first_profile=1)
    with jax.profiler.trace(str(tmp_path / "theirs")):
        assert windows(profile, [1, 2]) == ([], [])
    assert "No profile is made" in caplog.text
    assert traces(tmp_path / "theirs") and not traces(tmp_path / "ours")


def test_a_folder_that_cannot_be_is_an_error_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        Profile(tmp_path / "file" / "traces")


def test_a_trace_that_cannot_be_written_is_a_warning(tmp_path, caplog, monkeypatch):
    def full():
        stop()
        raise OSError("disk full")

    stop = jax.profiler.stop_trace
    monkeypatch.setattr(jax.profiler, "stop_trace", full)
    done = []
    profile = Profile(
        tmp_path,
        num_profile_steps=1,
        first_profile=1,
        on_done=lambda *a: done.append(a),
    )
    assert windows(profile, [1, 2, 3]) == ([1], [1, 2])
    assert "was not written (disk full)" in caplog.text and not done


def test_only_the_first_process_makes_traces_and_all_know_of_windows(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    options = {"num_profile_steps": 1, "first_profile": 1}
    other = Profile(tmp_path, **options)
    assert windows(other, [1, 2, 3]) == ([1], [1, 2]) and not traces(tmp_path)
    windows(Profile(tmp_path, all_processes=True, **options), [1, 2])
    assert len(traces(tmp_path)) == 1


def test_no_trace_is_left_open_by_an_error_or_by_being_forgotten(tmp_path):
    with pytest.raises(KeyError), Profile(tmp_path / "a", first_profile=1) as profile:
        assert profile(1)
        raise KeyError
    assert not profile.active and traces(tmp_path / "a")
    assert Profile(tmp_path / "b", first_profile=1)(1)
    assert traces(tmp_path / "b")


def test_a_process_that_fails_leaves_its_trace(tmp_path):
    script = """
        import sys
        from jaxmetrics import Profile
        profile = Profile(sys.argv[1], first_profile=1)
        assert profile(1)
        raise KeyError("of the training")
    """
    done = run_python(script, tmp_path)
    assert done.returncode == 1 and done.stderr.endswith("'of the training'\n")
    assert len(traces(tmp_path)) == 1
