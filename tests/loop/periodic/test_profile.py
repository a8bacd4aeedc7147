"""Profiles contain exactly the steps of their windows."""

import contextlib
import inspect
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from support.processes import run_python

from jaxmetrics import Profile


@jax.jit
def in_the_window(x):
    return x @ x


@jax.jit
def outside_the_window(x):
    return x @ x + 1


def traces(folder):
    return sorted(Path(folder).glob("plugins/profile/*/*.xplane.pb"))


def event_names(file):
    """Return the names of all events of a trace."""
    data = jax.profiler.ProfileData.from_file(str(file))
    lines = [line for plane in data.planes for line in plane.lines]
    return {event.name for line in lines for event in line.events}


def test_a_trace_has_only_the_steps_of_the_window(tmp_path):
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
        (in_the_window if step in (3, 4) else outside_the_window)(x)
        opened.append(profile(step))
        active.append(profile.active)
    assert opened == [False, True, False, False, False, False]
    assert active == [False, True, True, True, False, False]
    assert done == [(2, str(tmp_path))]
    (file,) = traces(tmp_path)
    names = event_names(file)
    assert "PjitFunction(in_the_window)" in names
    assert "PjitFunction(outside_the_window)" not in names


def windows(profile, steps, time=float):
    """Return the steps at which windows opened, and those that are active."""
    opened, active = [], []
    for step in steps:
        if profile(step, t=time(step)):
            opened.append(step)
        if profile.active:
            active.append(step)
    profile.close()
    return opened, active


def test_windows_repeat_by_steps_or_by_seconds(tmp_path):
    by_steps = Profile(tmp_path, num_profile_steps=1, first_profile=3, every_steps=5)
    assert windows(by_steps, range(1, 13)) == ([3, 5, 10], [3, 4, 5, 6, 10, 11])
    by_time = Profile(tmp_path, num_profile_steps=1, first_profile=3, every_secs=4.0)
    assert windows(by_time, range(1, 13))[0] == [3, 7, 11]


def test_a_context_is_entered_around_each_window(tmp_path, monkeypatch):
    calls = []

    @contextlib.contextmanager
    def around():
        calls.append("entered")
        yield
        calls.append("exited")

    def record_calls(name):
        call = getattr(jax.profiler, name)
        monkeypatch.setattr(
            jax.profiler, name, lambda *a: (calls.append(name), call(*a))
        )

    record_calls("start_trace")
    record_calls("stop_trace")
    options = {"num_profile_steps": 1, "every_steps": 3, "around": around}
    windows(Profile(tmp_path, first_profile=3, **options), range(1, 7))
    once = ["entered", "start_trace", "stop_trace", "exited"]
    assert calls == 2 * once
    with jax.profiler.trace(str(tmp_path / "other")):
        calls.clear()
        windows(Profile(tmp_path, first_profile=3, **options), range(1, 4))
        assert calls == ["entered", "start_trace", "exited"]


def test_a_run_resumed_after_the_first_profile_makes_none(tmp_path):
    assert windows(Profile(tmp_path, first_profile=3), range(4, 20)) == ([], [])


def test_an_earlier_step_closes_the_window(tmp_path):
    profile = Profile(tmp_path, num_profile_steps=3, first_profile=2)
    assert windows(profile, [1, 2, 3, 1, 2]) == ([2, 2], [2, 3, 2])


def test_a_trace_that_is_already_open_is_a_warning(tmp_path, caplog):
    profile = Profile(tmp_path / "own", first_profile=1)
    with jax.profiler.trace(str(tmp_path / "other")):
        assert windows(profile, [1, 2]) == ([], [])
    assert "Cannot profile to" in caplog.text
    assert traces(tmp_path / "other") and not traces(tmp_path / "own")


def test_a_directory_that_cannot_be_created_is_an_error_at_construction(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        Profile(tmp_path / "file" / "traces")


def test_a_trace_that_cannot_be_written_is_a_warning(tmp_path, caplog, monkeypatch):
    def fail():
        stop()
        raise OSError("disk full")

    stop = jax.profiler.stop_trace
    monkeypatch.setattr(jax.profiler, "stop_trace", fail)
    done = []
    profile = Profile(
        tmp_path,
        num_profile_steps=1,
        first_profile=1,
        on_done=lambda *a: done.append(a),
    )
    assert windows(profile, [1, 2, 3]) == ([1], [1, 2])
    assert (
        "Cannot write the profile" in caplog.text
        and "disk full" in caplog.text
        and not done
    )


def test_only_process_0_traces_and_all_have_active_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    options = {"num_profile_steps": 1, "first_profile": 1}
    other = Profile(tmp_path, **options)
    assert windows(other, [1, 2, 3]) == ([1], [1, 2]) and not traces(tmp_path)
    windows(Profile(tmp_path, all_processes=True, **options), [1, 2])
    assert len(traces(tmp_path)) == 1


def test_an_error_and_garbage_collection_close_the_trace(tmp_path):
    with pytest.raises(KeyError), Profile(tmp_path / "a", first_profile=1) as profile:
        assert profile(1)
        raise KeyError
    assert not profile.active and traces(tmp_path / "a")
    assert Profile(tmp_path / "b", first_profile=1)(1)
    assert traces(tmp_path / "b")


def test_a_process_that_fails_writes_the_trace(tmp_path):
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


def test_a_window_without_steps_is_refused(tmp_path):
    with pytest.raises(ValueError, match="num_profile_steps=0"):
        Profile(tmp_path, num_profile_steps=0)


def test_a_step_on_a_device_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"Profile\(\) got a step of type ArrayImpl"):
        Profile(tmp_path)(jnp.int32(1))


def test_it_has_the_call_form_of_clu():
    assert list(inspect.signature(Profile.__call__).parameters)[1:] == ["step", "t"]
