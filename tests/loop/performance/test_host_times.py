"""Step times of all processes name the slowest host."""

import math

from support.machine import Machine, run, tracker

from jaxmetrics.loop.performance import HostTimes


def test_a_single_process_has_no_values_to_log():
    machine = Machine()
    performance = tracker(machine)
    assert math.isnan(performance.hosts().step_seconds[0])
    run(performance, machine, 6)
    times = performance.hosts()
    assert times.step_seconds == (2.0,)
    assert times.data_wait_seconds == (0.0,)
    assert times.slowest == 0
    assert times.slowest_host == times.names[0]
    assert times.metrics() == {}


def test_the_slowest_host_is_named():
    times = HostTimes(
        ("a", "b", "c", "d"), (2.0, 3.0, math.nan, 2.0), (0.5, 0.0, math.nan, 1.0)
    )
    assert (times.slowest, times.slowest_host) == (1, "b")
    assert (times.hungriest, times.hungriest_host) == (3, "d")
    assert times.metrics() == {
        "perf/slowest_host": 1,
        "perf/slowest_host_step_seconds": 3.0,
        "perf/hungriest_host": 3,
        "perf/hungriest_host_data_wait_seconds": 1.0,
        "perf/host_spread": 1.5,
    }
    assert HostTimes(("a", "b"), (math.nan,) * 2, (math.nan,) * 2).metrics() == {}
