"""Configuration: checked at construction, saved as complete JSON."""

import copy
import enum
import math
import pickle
from collections.abc import Callable
from typing import Any, Literal, Optional, Union

import cases
import jax
import jax.export
import jax.numpy as jnp
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


class Declared(jm.Metric, scalars=True):
    """Fields of each form of annotation, as types: this module has no future import."""

    number: int = 1
    share: float = 0.5
    flag: bool = False
    name: str = "a"
    limit: int | None = None
    old_limit: Optional[int] = None  # noqa: UP045
    size: Union[int, str] = 1  # noqa: UP007
    sizes: tuple[int, ...] = (1,)
    range: tuple[float, float] = (0.0, 1.0)
    mode: Literal["min", "max"] = "min"
    function: Callable[..., Any] = abs
    quoted: "int | tuple[str, ...]" = 1
    unknown: object = None
    count: jm.Array = jm.count_leaf()

    def observe(self, *, values):
        return dict(count=1)


WRONG = {
    "int": (2.5, 2.0, "5", True, None, np.int64(5), (1,)),
    "float": ("0.5", True, None, np.float32(0.5), np.float64(0.5), (0.5,)),
    "bool": (1, 0.0, "yes", None, np.True_),
    "str": (1, 2.0, None, True, ("a",), np.str_("a")),
    "str | None": (1, 2.0, True, ("a",)),
    "float | None": ("0.5", True, np.float32(0.5), (0.5,)),
    "tuple[str, ...] | None": ("ab", ["a"], (1,)),
    "int | None": (2.5, 10.0, "5", False, np.int32(5), (1,)),
    "Optional[int]": (2.5, "5", True),
    "Union[int, str]": (2.5, None, True),
    "tuple[int, ...]": (1, [1], (1.5,), ("a",), (True,), (np.int64(1),)),
    "tuple[float, ...]": (1.0, [0.5], ("a",), (True,), (np.float64(0.5),)),
    "tuple[float, float]": (1.0, [0.0, 1.0], (0.0,), (0.0, "a"), (0.0, 1.0, 2.0)),
    "tuple[tuple[str, str], ...]": ("ab", ("ab",), (("a", 1),), (("a",),)),
    "int | tuple[int, ...] | None": (-100.0, "5", True, [1], (1.0,), np.int64(1)),
    "int | tuple[str, ...]": (2.5, "ab", None, True, ["a"], (1,)),
    "Literal['min', 'max']": ("mean", None, 1),
    "Callable[..., Any]": (1, "abs", None),
}
"""Values of a wrong type by the annotation of the field."""


def annotation(metric, field):
    """The annotation of a field as a key of WRONG."""
    kind = metric._configuration[field]
    kind = getattr(kind, "__name__", kind) if isinstance(kind, type) else str(kind)
    return kind.replace("typing.", "").replace("collections.abc.", "")


def metrics_of(case):
    """Yield the metric of a row, and those inside."""
    pending = [case.metric]
    while pending:
        metric = pending.pop()
        if isinstance(metric, jm.Collection):
            pending += [child for _, child in metric.items()]
        elif isinstance(metric, jm.Metric):
            yield metric
            pending += [getattr(metric, name) for name in metric._children]


def public_fields():
    """Each configuration field of each public metric class of the rows of cases."""
    metrics = {}
    for case in cases.CASES:
        for metric in metrics_of(case):
            metrics.setdefault(type(metric), metric)
    for kind, metric in metrics.items():
        if getattr(jm, kind.__name__, None) is kind:
            for field in kind._configuration:
                yield pytest.param(metric, field, id=f"{kind.__name__}.{field}")


@pytest.mark.parametrize(("metric", "field"), list(public_fields()))
def test_a_value_of_the_wrong_type_is_refused_by_every_field(metric, field):
    kind = annotation(metric, field)
    assert kind in WRONG, f"add wrong values of {kind!r} to WRONG"
    if field in metric._scores:
        with pytest.raises(ValueError, match=rf"{type(metric).__name__}: {field} is"):
            metric.with_fields(**{field: 1}).__post_init__()
        return
    refused_with_name_and_type(metric, field)


@pytest.mark.parametrize("field", sorted(Declared._configuration.keys() - {"unknown"}))
def test_fields_of_a_users_own_metric_are_checked_too(field):
    kind = annotation(Declared, field)
    assert annotation(Declared, "quoted") == "int | tuple[str, ...]"
    assert kind.replace("Optional[int]", "int | None") in WRONG
    refused_with_name_and_type(Declared(), field)


def refused_with_name_and_type(metric, field):
    declared = metric._configuration[field]
    declared = declared if isinstance(declared, str) else annotation(metric, field)
    for wrong in WRONG[annotation(metric, field)]:
        changed = metric.with_fields(**{field: wrong})
        with pytest.raises(TypeError) as error:
            changed.__post_init__()
        text = str(error.value)
        assert text.startswith(f"{type(metric).__name__}: {field} is declared "), text
        assert declared in text.replace("typing.", "").replace("collections.abc.", "")
        assert f"got {wrong!r}. " in text and text.endswith("."), text


@pytest.mark.parametrize(
    "fields",
    [
        dict(limit=5, old_limit=5, size="a", sizes=(), quoted=("a", "b")),
        dict(limit=None, mode="max", function=jnp.negative, unknown=np.float32),
    ],
)
def test_values_of_the_declared_types_are_kept(fields):
    metric = Declared(**fields)
    assert {name: getattr(metric, name) for name in fields} == fields


def test_an_integer_becomes_a_float_inside_a_tuple_of_floats_too():
    metric = Declared(share=1, range=(0, 2))
    assert [type(x) for x in (metric.share, *metric.range)] == [float] * 3
    assert type(jm.Quantiles(q=(0, 1)).q[0]) is float


@pytest.mark.parametrize(
    ("fields", "remedy"),
    [
        (dict(number=np.int64(5)), r"got np.int64\(5\). Convert with int\(\)\."),
        (dict(share=jnp.float32(1)), r"Convert with float\(\)\."),
        (dict(flag=np.True_), r"Convert with bool\(\)\."),
        (dict(sizes=[1, 2]), r"got \[1, 2\]. Convert with tuple\(\)\."),
        (dict(sizes=(np.int64(1),)), "Convert each entry."),
        (dict(quoted="ab"), r"got 'ab'. Write \('ab',\) for a single name."),
        (dict(flag=1), "Pass True or False."),
        (dict(number=True), "Pass a number."),
        (dict(number="5"), "got '5'. Pass a value of that type."),
    ],
)
def test_the_error_says_what_to_do(fields, remedy):
    with pytest.raises(TypeError, match=remedy):
        Declared(**fields)


def test_a_lambda_is_refused_as_configuration():
    class Mapped(jm.Metric):
        function: object = abs
        total: jm.Array = jm.sum_leaf()

        def observe(self, *, values, mask=None):
            return dict(total=jm.total(self.function(values), mask))

        def compute(self):
            return self.total

    assert Mapped(jnp.negative).update(values=np.ones(2)).compute() == -2
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
            "stderr": False,
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


class AnyValue(jm.Metric):
    """A metric with a configuration value of any static type."""

    value: object
    count: jm.Array = jm.count_leaf()


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
    metric = AnyValue(value)
    form = configuration_of(metric)["configuration"]["value"]
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


@pytest.mark.parametrize("case", cases.CASES, ids=lambda case: case.name)
def test_a_metric_is_rebuilt_from_its_own_fields(case):
    for metric in metrics_of(case):
        form = configuration_of(metric)
        assert loads(dumps(form)) == form
        if isinstance(metric, jm.Compose | jm.FromFunction):
            continue  # their constructors take the function and metrics in another form
        own = [name for name, make in metric._children.items() if make is None]
        fields = {n: getattr(metric, n) for n in (*metric._configuration, *own)}
        rebuilt = type(metric)(**fields)
        assert jax.tree.structure(rebuilt) == jax.tree.structure(metric)


class Filled(jm.Metric):
    """Has nan in its configuration, alone and in a tuple."""

    fill: float = float("nan")
    limits: tuple[float, ...] = (float("nan"), 1.0)
    total: jm.Array = jm.sum_leaf()

    def observe(self, *, values, mask=None):
        return dict(total=jm.total(values, mask))

    def compute(self):
        return self.total


def exported(metric):
    """Return a metric out of a program that was written and read."""
    step = jax.jit(lambda m, x: m.update(values=x))
    program = jax.export.export(step)(metric, jnp.ones(3))
    return jax.export.deserialize(program.serialize()).call(metric, jnp.ones(3))


@pytest.mark.parametrize(
    "copied",
    [
        lambda m: Filled(float("nan"), (float("nan"), 1.0)),
        lambda m: pickle.loads(pickle.dumps(m)),
        copy.deepcopy,
        exported,
    ],
    ids=["made again", "pickled", "copied", "exported"],
)
def test_metrics_with_nan_in_their_configuration_merge(copied):
    metric = Filled(float("nan"), (float("nan"), 1.0))
    assert metric.merge(copied(metric)).fill != metric.fill
