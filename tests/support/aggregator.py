"""Aggregators of one dataset, and their results without the prefix of keys."""

import math

import jaxmetrics as jm

SUM, MEAN = jm.AggregationType.SUM, jm.AggregationType.MEAN
MAX, MIN = jm.AggregationType.MAX, jm.AggregationType.MIN
DISTRIBUTION = jm.AggregationType.DISTRIBUTION
COUNT = jm.AggregationType.CATEGORICAL_COUNT
NAN, INF = math.nan, math.inf


def results(aggregator):
    """Return the results of the dataset `d` by name."""
    values = aggregator.get_metrics_for_logging()
    return {name.removeprefix("train_d/"): value for name, value in values.items()}


def aggregate(agg_type, *updates, **options):
    """Return the results of a metric `x` after updates with arrays."""
    aggregator = jm.MetricsAggregator(**options)
    for values in updates:
        aggregator.update("d", agg_type, x=values)
    return results(aggregator)
