"""Errors about a name of another library say what it is called here."""

import dataclasses
import functools
import inspect
import math
import re
from pathlib import Path

import pytest

import jaxmetrics as jm
from jaxmetrics import runs, telemetry
from jaxmetrics._other_names import (
    ARGUMENTS,
    ATTRIBUTES,
    NAMES,
    READER_ARGUMENTS,
    TRACKER_ARGUMENTS,
)

PAGE = Path(__file__).parents[1] / "docs" / "migration.md"
METRICS = [
    x
    for x in (getattr(jm, name) for name in jm.__all__)
    if isinstance(x, type) and issubclass(x, jm.Metric)
]


def names_in(text):
    return re.findall(r"\bjm\.([A-Za-z_][\w.]*\w)", text)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_another_library_is_explained(name):
    with pytest.raises(AttributeError, match="It is .* here") as error:
        getattr(jm, name)
    assert NAMES[name] in str(error.value)


@pytest.mark.parametrize("text", [*NAMES.values(), *ATTRIBUTES.values()])
def test_the_names_that_hints_give_exist(text):
    for name in names_in(text):
        value = jm
        for part in name.split("."):
            value = getattr(value, part)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_attribute_of_another_library_is_explained(name):
    for state in (jm.Accuracy(), jm.Collection(accuracy=jm.Accuracy())):
        with pytest.raises(AttributeError) as error:
            getattr(state, name)
        assert ATTRIBUTES[name] in str(error.value)


@pytest.mark.parametrize(
    "name", ["create", "single_from_model_output", "gather_from_model_output"]
)
def test_a_class_method_of_clu_is_explained(name):
    with pytest.raises(AttributeError, match="Write .*jm|Write .*metrics|Write total"):
        getattr(jm.Collection, name)


def test_other_missing_attributes_have_the_error_of_python():
    for state in (jm.Accuracy(), jm.Collection()):
        with pytest.raises(AttributeError, match="object has no attribute 'totl'$"):
            state.totl  # noqa: B018


def test_an_error_within_a_property_is_not_hidden():
    class Broken(jm.Metric):
        count: jm.Array = jm.count_leaf()

        @property
        def edges(self):
            return self.no_such_field

    with pytest.raises(AttributeError, match="no_such_field"):
        Broken().edges  # noqa: B018


def test_arguments_of_other_libraries_are_explained():
    for call, message in (
        (lambda: jm.F1(num_classes=10), r"F1\(\) got .*'num_classes'.*classes=10"),
        (lambda: jm.TopKAccuracy(top_k=3), r"Here it is k=3\."),
        (lambda: jm.Accuracy(from_logits=True), "scores='logits' or scores='probs'"),
        (lambda: jm.AUROC(num_thresholds=200), "Here it is bins="),
        (lambda: jm.Mean("loss", name="loss"), r"jm.Collection\(name=\.\.\.\)"),
        (lambda: jm.F1(clases=2), "Did you mean 'classes'"),
        (lambda: jm.Worst("loss", n=3), r"Here it is k=3\."),
        (lambda: jm.Worst("loss", mode="min"), "Here it is the negative of the output"),
        (lambda: jm.BestOf(jm.Accuracy(), better="min"), "Here it is mode='min'"),
        (lambda: jm.Count(colour=2), r"it takes \['output'\]. Leave it out"),
    ):
        with pytest.raises(TypeError, match=message):
            call()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_arguments_that_hints_give_exist(name):
    field, _ = ARGUMENTS[name]
    fields = {f.name for metric in METRICS for f in dataclasses.fields(metric)}
    assert not field or field in fields


def test_a_wrong_value_of_a_right_argument_keeps_its_own_error():
    with pytest.raises(TypeError, match="classes is declared"):
        jm.F1(classes="10")


def test_the_classes_in_the_tables_of_the_migration_page_are_known():
    sections = re.split(r"^## ", PAGE.read_text(), flags=re.M)
    titles = ("clu: metrics", "clu: writers", "nnx", "metrax", "torchmetrics")
    unknown = []
    for section in sections:
        if not section.startswith(titles):
            continue
        for cell in re.findall(r"^\| ([^|]*) \|", section, flags=re.M):
            for code in re.findall(r"`([^`]*)`", cell):
                name = re.match(r"(?:\w+\.)*([A-Z]\w+)", code)
                if name and not hasattr(jm, name[1]) and name[1] not in NAMES:
                    unknown.append(name[1])
    assert set(unknown) <= {"Metrics", "Metric"}


TRACKERS = [
    jm.EarlyStopping,
    jm.EpochTracker,
    jm.LossTracker,
    jm.MetricsAggregator,
    jm.PerformanceTracker,
    telemetry.Alarms,
    telemetry.OverfittingDetector,
    telemetry.PlateauDetector,
    telemetry.SpikeDetector,
]
READERS = [
    jm.Collection.plot,
    jm.Metric.plot,
    runs.Comparison.plot,
    runs.Overview,
    runs.Run.plot,
    runs.Tail,
    runs.generate_all_plots,
]
CALLS = [
    *((call, TRACKER_ARGUMENTS) for call in TRACKERS),
    *((call, READER_ARGUMENTS) for call in READERS),
]
DETECTORS = [x for x in TRACKERS if "window" in inspect.signature(x).parameters]


def taken_by(call):
    parameters = inspect.signature(call).parameters.values()
    return [x.name for x in parameters if x.kind is not x.VAR_POSITIONAL]


@pytest.mark.parametrize("name", TRACKER_ARGUMENTS | READER_ARGUMENTS)
def test_an_argument_of_another_library_is_explained_where_it_is_taken(name):
    explained = 0
    for call, table in CALLS:
        field, hint = table.get(name, ("none", ""))
        fields = inspect.signature(call).parameters
        if name not in taken_by(call) and (not field or field in fields):
            with pytest.raises(TypeError) as error:
                call(**{name: "max"})
            text = str(error.value)
            assert text.startswith(f"{call.__qualname__}() got an argument {name!r}")
            assert f"Here it is {hint.format(value='max')}." in text
            explained += 1
    assert explained


@pytest.mark.parametrize("call", [call for call, _ in CALLS])
def test_an_unknown_argument_has_the_known_ones_beside_it(call):
    with pytest.raises(TypeError, match=f"{call.__qualname__}.. got an argument 'zzz'"):
        call(zzz=1)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_text_in_place_of_a_number_is_named(detector):
    for name, parameter in inspect.signature(detector).parameters.items():
        if isinstance(parameter.default, int | float):
            with pytest.raises(TypeError, match=f"{detector.__name__} got {name}='5'"):
                detector(**{name: "5"})
            for wrong, error in ((True, TypeError), (float("nan"), ValueError)):
                with pytest.raises(error, match=f"{detector.__name__} got {name}="):
                    detector(**{name: wrong})


@pytest.mark.parametrize(
    "call",
    [
        *(
            functools.partial(telemetry.Alarms, **{name: value})
            for name, value in {
                "spikes": 5,
                "plateaus": ["val/loss", None],
                "overfitting": 5,
                "limits": ["train/loss"],
                "places": None,
                "compiles": "step",
                "warmup": 2.5,
                "ledger": "events.jsonl",
                "on_alarm": "print",
            }.items()
        ),
        lambda: telemetry.Alarms(spikes={"train/loss": 5.0}),
        lambda: telemetry.Alarms(overfitting={"val": telemetry.OverfittingDetector()}),
        *(
            functools.partial(telemetry.Alarms, limits={"train/loss": pair})
            for pair in (5, "ab", (0, "1"), (True, None), (0, 1, 2), (None, math.nan))
        ),
        lambda: telemetry.Alarms(limits={5: (0, 1)}),
        lambda: telemetry.Alarms(warmup=True),
        lambda: telemetry.Alarms(warmup=-1),
        lambda: runs.Tail(".", keys=5),
        lambda: runs.Tail(".", name=5),
        lambda: runs.Overview("runs"),
        lambda: runs.Overview(list, keys=["*", 5]),
        lambda: jm.PerformanceTracker(warmup_steps="2"),
        lambda: jm.PerformanceTracker(peak_flops_per_second="1e12"),
        lambda: jm.LossTracker(2.5),
        lambda: jm.MetricsAggregator(max_categories="9"),
        lambda: jm.MetricsAggregator(datasets=5),
    ],
)
def test_an_argument_of_a_wrong_type_is_named_at_construction(call):
    names = "|".join(x.__name__ for x in (*TRACKERS, *READERS))
    with pytest.raises((TypeError, ValueError), match=f"^({names}) got .*[a-z_]+="):
        call()
