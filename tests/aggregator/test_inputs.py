"""Inputs are masked, converted, and refused as a whole if one is invalid."""

import jax
import numpy as np
import pytest
from support.aggregator import (
    COUNT,
    DISTRIBUTION,
    MAX,
    MEAN,
    MIN,
    NAN,
    SUM,
    aggregate,
    results,
)

import jaxmetrics as jm


def test_arrays_and_observations_give_the_same_results():
    values = np.random.default_rng(0).normal(size=3000)
    one, other = jm.MetricsAggregator(), jm.MetricsAggregator()
    for agg_type in (SUM, MEAN, MAX, MIN, DISTRIBUTION):
        name = f"{agg_type}_of"
        one.update([jm.Observation("d", name, float(x), agg_type) for x in values])
        other.update("d", agg_type, **{name: values.reshape(30, 100)})
    assert one.get_metrics_for_logging("val") == other.get_metrics_for_logging("val")
    assert "val_d/max_of" in one.get_metrics_for_logging("val")


def test_masked_entries_are_left_out():
    aggregator = jm.MetricsAggregator()
    mask = np.array([True, False, True])
    aggregator.update("d", SUM, mask=mask, x=[[1, 1], [NAN, 9], [2, 2]])
    aggregator.update("d", COUNT, mask=mask, lang=["en", "pad", "en"])
    aggregator.update("d", MEAN, mask=mask, y=[1, 9, 4], weights=[1, 9, 2])
    logged = results(aggregator)
    assert logged == {"x": 6.0, "avg_x": 1.5, "lang_count_en": 2.0, "y": 3.0}


def test_bfloat16_and_device_values_are_accepted():
    values = jax.numpy.asarray([0.5, 1.5], jax.numpy.bfloat16)
    assert aggregate(MEAN, values, np.asarray(values), np.float16(4.0))["x"] == 1.6


def test_an_array_can_be_modified_after_the_update():
    aggregator, values = jm.MetricsAggregator(), np.array([1.0, 2.0])
    aggregator.register_handler("max", jm.Max)
    aggregator.update("d", DISTRIBUTION, x=values)
    aggregator.update("d", "max", y=values)
    values[:] = 9.0
    logged = results(aggregator)
    assert logged["x_stat_max"] == logged["y"] == 2.0


def rejects(error, match, *args, **more):
    """Check that an update of an aggregator with totals fails and adds nothing."""
    aggregator = jm.MetricsAggregator(datasets=("d", "e"))
    aggregator.update("d", SUM, x=[1])
    aggregator.update("d", COUNT, lang=["en"])
    before = aggregator.get_metrics_for_logging()
    with pytest.raises(error, match=match):
        aggregator.update(*args, **more)
    assert aggregator.get_metrics_for_logging() == before


def test_two_types_of_one_metric_are_an_error():
    rejects(ValueError, "d/x as mean; it has been sum", "d", MEAN, y=[1], x=[1.0])


def test_two_types_in_one_list_are_an_error():
    both = [jm.Observation("e", "new", 1, SUM), jm.Observation("e", "new", 1, MAX)]
    rejects(ValueError, "e/new as max; it has been sum", both)


def test_one_invalid_value_rejects_the_whole_update():
    good = jm.Observation("d", "x", 5, SUM)
    rejects(TypeError, "d/y.*<U", [good, jm.Observation("d", "y", "five", SUM)])
    rejects(TypeError, "dict among", [good, {"name": "x"}])
    rejects(TypeError, r"got Observation, expected a list.*\[observation\]", good)
    rejects(TypeError, "d/y.*NoneType", "d", SUM, x=[5], y=[None])
    rejects(ValueError, "beyond 64 bits", "d", SUM, x=[2**70])
    rejects(ValueError, "d/x got a list.*equal lengths", "d", SUM, x=[[1, 2], [3]])
    rejects(TypeError, r"no arrays of 'd' as sum; expected .*name=array", "d", SUM)
    rejects(TypeError, "d/lang.*float", "d", COUNT, lang=[0.5])


def test_integers_of_all_64_bits_are_taken_and_larger_ones_refused():
    largest = np.array([2**63 - 1], np.uint64)
    assert aggregate(MAX, largest, np.array([], np.uint64))["x"] == 2.0**63
    rejects(ValueError, "d/x.*beyond 64 bits", "d", SUM, x=largest + np.uint64(1))


@pytest.mark.parametrize("agg_type", [SUM, MEAN, DISTRIBUTION, COUNT])
@pytest.mark.parametrize("mask", [None, np.array([True, True])])
def test_masked_arrays_are_refused_as_their_mask_would_be_lost(agg_type, mask):
    values = np.ma.array([1, 100], mask=[0, 1])
    rejects(TypeError, "d/new.*a masked array", "d", agg_type, new=values, mask=mask)


def test_arrays_of_objects_are_taken_as_what_they_hold():
    numbers = [np.array(x, object) for x in ([], [1, 2], [0.5, np.int8(1)], [True])]
    assert aggregate(SUM, *numbers)["x"] == 5.5
    rejects(TypeError, "d/x.*<U21", "d", SUM, x=np.array([1, "a"], object))


def test_values_with_fields_are_an_error():
    rejects(TypeError, r"d/x.*expected real", "d", SUM, x=np.zeros(2, "i4,f8"))


def test_unknown_names_are_an_error():
    rejects(KeyError, r"dataset 'f'; expected one of \['d', 'e'\]", "f", SUM, x=[1])
    rejects(ValueError, "type 'median'.*'mean'", "d", "median", z=[1])
    rejects(TypeError, "str", 3, SUM, x=[1])
    rejects(ValueError, "without '/'", "d/e", SUM, x=[1])
    rejects(ValueError, "not a full key", "d", SUM, **{"grad/norm": [1]})
    rejects(ValueError, "at most 100", "d", SUM, **{"x" * 100: [1]})
    rejects(TypeError, "without a type", "d", x=[1])


def test_weights_and_masks_that_do_not_fit_are_an_error():
    rejects(ValueError, "only MEAN", "d", SUM, x=[1], weights=[1.0])
    rejects(ValueError, "only MEAN", "d", COUNT, lang=["en"], weights=[1.0])
    rejects(ValueError, r"shape \(1,\) and weights", "d", MEAN, y=[1], weights=[1, 2])
    rejects(ValueError, "negative", "d", MEAN, y=[1], weights=[-1])
    rejects(ValueError, "not finite", "d", MEAN, y=[1], weights=[NAN])
    rejects(TypeError, "mask of int64", "d", SUM, x=[1], mask=[1])
    rejects(ValueError, r"mask of shape \(2,\)", "d", SUM, x=[1], mask=[True, False])


def test_an_unweighted_observation_among_weighted_ones_counts_one():
    aggregator = jm.MetricsAggregator()
    aggregator.update(
        [
            jm.Observation("d", "x", 1.0, MEAN, weight=3.0),
            jm.Observation("d", "x", 5.0, MEAN),
        ]
    )
    assert results(aggregator) == {"x": (3 * 1.0 + 1 * 5.0) / 4}


@pytest.mark.parametrize(
    ("observations", "arrays"),
    [
        ("d", {}),
        ([], {"x": [1]}),
        ([jm.Observation("d", "x", 1, SUM)], {"mask": np.array([False])}),
        ([jm.Observation("d", "x", 1, MEAN)], {"weights": [2.0]}),
    ],
    ids=["a dataset alone", "a list and arrays", "a list and a mask", "and weights"],
)
def test_arrays_need_a_type(observations, arrays):
    with pytest.raises(TypeError, match="without a type"):
        jm.MetricsAggregator().update(observations, **arrays)


def test_names_of_the_largest_length_are_taken():
    aggregator = jm.MetricsAggregator()
    aggregator.update("d" * 50, SUM, **{"m" * 50: [1]})
    with pytest.raises(ValueError, match="of 101 characters"):
        aggregator.update("d" * 50, SUM, **{"m" * 51: [1]})
