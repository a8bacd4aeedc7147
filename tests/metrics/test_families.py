"""A metric is complete: in its family's `__all__`, a public name, with a row of cases.

Each failure names the file to edit.
"""

import importlib
import math
import pkgutil

import cases
import pytest

import jaxmetrics as jm
from jaxmetrics import metrics

FAMILIES = sorted(m.name for m in pkgutil.iter_modules(metrics.__path__) if m.ispkg)
SHARED = {
    "ClassCounts",
    "ClassRatio",
    "ConfidenceBins",
    "Curve",
    "DecibelMean",
    "DecibelsOfImages",
    "EditCounts",
    "GroupCounts",
    "GroupFairness",
    "JointHistogram",
    "LabelRanking",
    "MeanOverQueries",
    "OperatingPoint",
    "Overlap",
    "OverlapsOfImages",
    "PairRows",
    "PairedImageMean",
    "PixelCounts",
    "PointwiseMean",
    "RankCorrelation",
    "Ranking",
    "RankingArea",
    "RougeScores",
    "SampleRatios",
    "ScoreHistogram",
    "ScoreRows",
    "SquaredErrorOfPixels",
}
"""Bases and states that several metrics of a family share; users never name them."""

every_family = pytest.mark.parametrize("family", FAMILIES)


def package(family):
    return importlib.import_module(f"jaxmetrics.metrics.{family}")


def metrics_defined_in(family):
    """Yield (file, class) of each metric that a file of the family defines."""
    for module in pkgutil.iter_modules(package(family).__path__):
        name = f"{package(family).__name__}.{module.name}"
        for value in vars(importlib.import_module(name)).values():
            if not (isinstance(value, type) and issubclass(value, jm.Metric)):
                continue
            if value.__module__ == name and not value.__name__.startswith("_"):
                yield f"{name.replace('.', '/')}.py", value


def measured(metric):
    """Yield the types of the metrics of a row, looking inside wrappers of the core."""
    if isinstance(metric, jm.Collection):
        for _, child in metric.items():
            yield from measured(child)
    elif type(metric).__module__.startswith("jaxmetrics.core"):
        for child in vars(metric).values():
            if isinstance(child, jm.Metric | jm.Collection):
                yield from measured(child)
    else:
        yield type(metric)


@every_family
def test_the_family_lists_every_metric_that_its_files_define(family):
    for path, metric in metrics_defined_in(family):
        name = metric.__name__
        assert name in package(family).__all__ or name in SHARED, (
            f"{path} defines the metric {name}, which is not public. Import it in "
            f"jaxmetrics/metrics/{family}/__init__.py and add {name!r} to `__all__` "
            f"there; or, if it is a base or a shared state, add it to SHARED in "
            f"tests/metrics/test_families.py."
        )


@every_family
def test_the_upper_lists_have_every_metric_of_the_family(family):
    for name in package(family).__all__:
        assert name in metrics.__all__ and hasattr(metrics, name), (
            f"jaxmetrics.metrics lacks {name}. Add the family {family!r} to the "
            f"imports of jaxmetrics/metrics/__init__.py."
        )
        assert name in jm.__all__, (
            f"jm.{name} does not exist. Import the family {family!r} in "
            f"jaxmetrics/__init__.py as the other families are."
        )
        assert getattr(jm, name) is getattr(package(family), name)


@every_family
def test_every_metric_of_the_family_has_a_row(family):
    assert family in cases.FAMILIES, (
        f"The family {family!r} has no rows. Write tests/cases/{family}.py and add it "
        f"to FAMILIES in tests/cases/__init__.py."
    )
    rows = [kind for case in cases.FAMILIES[family] for kind in measured(case.metric)]
    for name in package(family).__all__:
        metric = getattr(package(family), name)
        assert any(issubclass(kind, metric) for kind in rows), (
            f"{name} has no row. Add a Case with jm.{name} and an independent "
            f"reference to CASES in tests/cases/{family}.py; the row runs the laws."
        )


def test_names_of_rows_are_unique():
    names = [case.name for case in cases.CASES]
    assert len(set(names)) == len(names)


@every_family
def test_a_setting_of_nan_is_refused(family):
    """It is neither above nor below a limit; only `zero_division` may be one."""
    metrics = [case.metric for case in cases.FAMILIES[family]]
    # The first of each class: others may have options for which a setting is unused.
    for kind, metric in {type(m): m for m in reversed(metrics)}.items():
        given = [n for n, make in kind._children.items() if make is None]
        settings = {n: getattr(metric, n) for n in [*kind._configuration, *given]}
        for name, annotation in kind._configuration.items():
            if "float" in str(annotation) and name != "zero_division":
                is_tuple = "tuple" in str(annotation)
                bad = (math.nan, 1.0) if is_tuple else math.nan
                with pytest.raises(ValueError):
                    kind(**settings | {name: bad})
