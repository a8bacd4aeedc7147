"""Totals of processes are joined, and those of restarts continued."""

import jax.numpy as jnp
import pytest

import jaxmetrics as jm
from jaxmetrics.aggregator._metric_total import MetricHandler
from jaxmetrics.aggregator._types import AggregationTypes, to_state

NAME = ("d", "x")


def window_totals(*processes):
    """Return types, and the total of a window of 3 values on each process."""
    types = AggregationTypes(max_categories=10)
    types.register(MetricHandler("recent", jm.Windowed(jm.Mean(), window=3)))
    totals = []
    for values in processes:
        total = types.empty("recent")
        total.add(*total.read("test", values, None))
        totals.append(total)
    return types, totals


def test_windows_of_processes_are_joined_side_by_side():
    types, totals = window_totals([1.0, 2.0, 3.0], [10.0, 20.0, 30.0])
    states = [{NAME: to_state(total)} for total in totals]
    joined = types.join_processes(states)
    assert joined[NAME].results("x") == {"x": (1 + 2 + 3 + 10 + 20 + 30) / 6}


def test_windows_of_one_process_continue_after_a_restart():
    types, (restored, observed) = window_totals([1.0, 2.0, 3.0], [10.0])
    combined = types.combine({NAME: restored}, {NAME: observed})
    assert combined[NAME].results("x") == {"x": (2 + 3 + 10) / 3}


def test_metrics_of_several_processes_are_joined_by_name():
    types = AggregationTypes(max_categories=10)
    states = []
    for process, names in enumerate((["x", "y"], ["y", "z"])):
        totals = {}
        for name in names:
            total = types.empty("sum")
            total.add(*total.read("test", jnp.array([process + 1]), None))
            totals["d", name] = to_state(total)
        states.append(totals)
    joined = types.join_processes(states)
    sums = {name: total.results("x")["x"] for name, total in joined.items()}
    assert sums == {("d", "x"): 1.0, ("d", "y"): 3.0, ("d", "z"): 2.0}


def test_an_unknown_type_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match="type 'median'; expected one of .*'recent'"):
        window_totals()[0].empty("median")
