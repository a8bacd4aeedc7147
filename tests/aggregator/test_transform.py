"""Transforms add observations to samples."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from support.aggregator import COUNT, DISTRIBUTION, SUM

import jaxmetrics as jm


def default_transform():
    transform = jm.DefaultTrainingMetricTransform()
    transform.set_dataset_name("alpaca")
    return transform


def test_the_default_transform_adds_three_observations():
    sample = {"tokens": [1, 2, 3, 4, 5]}
    assert default_transform()(sample)["metrics"] == [
        jm.Observation("alpaca", "samples_seen", 1, SUM),
        jm.Observation("alpaca", "tokens_seen", 5, SUM),
        jm.Observation("alpaca", "seq_len", 5, DISTRIBUTION),
    ]
    assert sample == {"tokens": [1, 2, 3, 4, 5]}


def test_a_transform_without_a_dataset_is_an_error():
    with pytest.raises(RuntimeError, match="set_dataset_name"):
        jm.DefaultTrainingMetricTransform()({"tokens": [1]})


def test_a_sample_without_tokens_is_an_error_that_names_its_fields():
    with pytest.raises(KeyError, match="'tokens'.*'ids'"):
        default_transform()({"ids": [1]})


class Languages(jm.MetricTransform):
    def __init__(self, field):
        self.field = field

    def observations(self, sample):
        yield jm.Observation(self.dataset_name, "lang", sample[self.field], COUNT)


def test_transforms_apply_in_turn_and_can_be_pickled():
    languages = Languages("lang")
    languages.set_dataset_name("alpaca")
    first, second = pickle.loads(pickle.dumps((default_transform(), languages)))
    samples = ({"tokens": np.zeros(n), "lang": "en"} for n in (3, 5))
    aggregator = jm.MetricsAggregator()
    for sample in map(second, map(first, samples)):
        aggregator.update(sample["metrics"])
    logged = aggregator.get_metrics_for_logging()
    assert logged["train_alpaca/tokens_seen"] == 8.0
    assert logged["train_alpaca/seq_len_stat_max"] == 5.0
    assert logged["train_alpaca/lang_count_en"] == 2.0


def test_transforms_and_totals_do_not_import_jax():
    script = (
        "import sys, jaxmetrics as jm; t = jm.DefaultTrainingMetricTransform();"
        "t.set_dataset_name('a'); a = jm.MetricsAggregator();"
        "a.update(t({'tokens': [1]})['metrics']); a.state_dict();"
        "print(len(a.get_metrics_for_logging()), 'jax' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["12", "False"]
