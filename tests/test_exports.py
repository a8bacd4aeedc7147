"""What is public is listed, sorted, and there."""

import importlib
import pkgutil

import pytest

import jaxmetrics


def packages():
    found = pkgutil.walk_packages(jaxmetrics.__path__, "jaxmetrics.")
    return [
        m.name for m in found if m.ispkg and not m.name.startswith("jaxmetrics.demo")
    ]


def test_the_public_names_are_sorted_and_all_there():
    assert list(jaxmetrics.__all__) == sorted(set(jaxmetrics.__all__))
    for name in jaxmetrics.__all__:
        assert getattr(jaxmetrics, name) is not None
        assert not name.startswith("_")
    assert dir(jaxmetrics) == jaxmetrics.__all__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Acuracy'"):
        _ = jaxmetrics.Acuracy


@pytest.mark.parametrize("name", packages())
def test_a_package_lists_what_it_exports(name):
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public)


def test_every_metric_is_public():
    metrics = importlib.import_module("jaxmetrics.metrics")
    assert set(metrics.__all__) <= set(jaxmetrics.__all__)
