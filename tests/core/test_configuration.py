"""Configuration: checked at construction, saved as complete JSON."""

import enum
import math

import numpy as np
import pytest
from support.metrics import Positives

import jaxmetrics as jm
from jaxmetrics.core import (
    configuration_differences,
    configuration_of,
    same_configuration,
)
from jaxmetrics.record import dumps, loads


def test_an_integer_threshold_is_the_same_configuration_as_the_float():
    merged = Positives(1).merge(Positives(1.0))
    assert type(merged.threshold) is float


def test_a_lambda_is_refused_as_configuration():
    class Mapped(jm.Metric):
        function: object = abs
        total: jm.Array = jm.sum_leaf()

        def observe(self, *, values, mask=None):
            return dict(total=jm.total(self.function(values), mask))

        def compute(self):
            return self.total

    assert Mapped(np.negative).update(values=np.ones(2)).compute() == -2
    with pytest.raises(TypeError, match="lambda.*cannot be pickled"):
        Mapped(lambda x: x)


def test_the_saved_configuration_is_complete_and_plain_json():
    form = configuration_of(jm.Accuracy(classes=3, average="macro"))
    assert form == {
        "class": "Accuracy",
        "configuration": {
            "average": "macro",
            "classes": 3,
            "ignore_index": None,
            "renames": [],
            "scores": "logits",
            "task": "multiclass",
            "threshold": 0.5,
            "weighted": False,
        },
    }
    assert loads(dumps(form)) == form


def test_metrics_inside_and_renames_are_part_of_the_configuration():
    masked = jm.Masked(jm.Mean("loss").on(mask="m"), mask="valid")
    form = configuration_of(masked)
    assert form["configuration"] == {"mask": "valid", "renames": []}
    assert form["metrics"]["metric"]["configuration"]["renames"] == [["mask", "m"]]
    collection = configuration_of(jm.Collection(a=jm.Count(), b=masked))
    assert collection["class"] == "Collection"
    assert collection["metrics"]["b"] == form


class Color(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (1, 1),
        (1.0, 1.0),
        (True, True),
        ("a", "a"),
        (None, None),
        (math.nan, {"float": "nan"}),
        (-math.inf, {"float": "-inf"}),
        ((1, ("a", 2.0)), [1, ["a", 2.0]]),
        (np.negative, {"name": "numpy.negative"}),
        (np.float32, {"name": "numpy.float32"}),
        (np.dtype("float32"), {"dtype": "float32"}),
        (Color.RED, {"enum": f"{Color.__module__}.Color.RED"}),
    ],
)
def test_values_that_json_lacks_have_an_encoding(value, encoded):
    metric = Positives().with_fields(threshold=value)
    form = configuration_of(metric)["configuration"]["threshold"]
    assert type(form) is type(encoded) and form == encoded


def test_configurations_are_compared_type_by_type():
    assert not same_configuration({"k": 1}, {"k": True})
    assert not same_configuration({"k": 1}, {"k": 1.0})
    assert same_configuration({"a": 1, "b": [2]}, {"b": [2], "a": 1})


def test_differences_of_configurations_name_the_field():
    saved = configuration_of(jm.Masked(jm.TopKAccuracy(k=3)))
    current = configuration_of(jm.Masked(jm.TopKAccuracy(k=5), mask="m"))
    assert configuration_differences(saved, current) == [
        'mask was "valid", is "m"',
        "metric.k was 3, is 5",
    ]
    assert configuration_differences(saved, saved) == []
