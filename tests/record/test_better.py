"""The direction of a metric follows from its usual name, or is unknown."""

import re

import pytest

import jaxmetrics as jm
from jaxmetrics.record import direction, recorded_directions


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("val/accuracy", "max"),
        ("val/top5_accuracy", "max"),
        ("perf/tokens_per_second", "max"),
        ("val/rouge_l", "max"),
        ("val/rougeL", "max"),
        ("train/loss", "min"),
        ("val_code/loss", "min"),
        ("perf/step_seconds", "min"),
        ("val/ece", "min"),
        ("val/pass@1", "max"),
        ("val/sentiment_mcc", "max"),
        ("train/policy_entropy", None),
        ("val/loss_standard_error", None),
        ("health/invalid/val/accuracy", None),
        ("grad/norm", None),
        ("val/accuracy_of_nothing", None),
        ("val/loss_scale", None),
        ("val/lossy", None),
    ],
)
def test_the_direction_follows_from_the_whole_name(key, expected):
    assert direction(key) == expected


def documented():
    """Return the direction in the docstring of each metric that has one name."""
    for name in jm.__all__:
        cls = getattr(jm, name)
        if isinstance(cls, type) and issubclass(cls, jm.Metric):
            text = " ".join((cls.__doc__ or "").split()).lower()
            found = re.findall(r"(higher|lower) is better", text)
            better = {"higher": "max", "lower": "min"}
            yield name, better[found[0]] if found else None


@pytest.mark.parametrize(("name", "expected"), list(documented()))
def test_the_direction_of_each_metric_is_that_of_its_docstring(name, expected):
    """By the name of its class, as `log_step` spells it."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    assert direction(f"val/{snake}") == expected


@pytest.mark.parametrize(("name", "expected"), list(documented()))
def test_each_metric_declares_the_direction_of_its_docstring(name, expected):
    """A class that has none inherits none either."""
    declared = getattr(jm, name).higher_is_better
    if not isinstance(declared, property):  # as of a wrapper
        assert declared is {"max": True, "min": False, None: None}[expected]


def test_a_recorded_direction_counts_before_the_name():
    run = {"better": {"val/score": "min", "val/accuracy": "min", "val/odd": 3}}
    recorded = recorded_directions(run)
    assert direction("val/score", recorded) == "min"
    assert direction("val/accuracy", recorded) == "min"
    assert direction("val/odd", recorded) is None
    assert direction("val/loss", recorded) == "min"


@pytest.mark.parametrize("better", [None, "max", ["a"], {"a": "high"}, {}])
def test_a_damaged_field_records_no_direction(better):
    assert recorded_directions({"better": better}) == {}
