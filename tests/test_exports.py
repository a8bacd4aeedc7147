"""The public names: listed, sorted, loaded on first use, and known to type checkers."""

import ast
import importlib
import pkgutil
import sys
from pathlib import Path

import pytest

import jaxmetrics
from jaxmetrics import _lazy

ROOT = Path(jaxmetrics.__file__).parent


def packages():
    walked = pkgutil.walk_packages(jaxmetrics.__path__, "jaxmetrics.")
    return [
        m.name for m in walked if m.ispkg and not m.name.startswith("jaxmetrics.demo")
    ]


def literal_all(path):
    """Return the literal `__all__` of a file."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path} has no __all__")


def test_public_names_are_sorted_and_importable():
    assert list(jaxmetrics.__all__) == sorted(set(jaxmetrics.__all__))
    for name in jaxmetrics.__all__:
        assert getattr(jaxmetrics, name) is not None
        assert not name.startswith("_")
    assert dir(jaxmetrics) == jaxmetrics.__all__


@pytest.mark.parametrize(
    ("package", "misspelt", "text"),
    [
        ("jaxmetrics", "Acuracy", "attribute 'Acuracy'. Did you mean 'Accuracy'?"),
        ("jaxmetrics", "log_everything", "See dir(jaxmetrics)."),
        ("jaxmetrics", "CSV", "Did you mean 'jaxmetrics.writers.CSV'?"),
        ("jaxmetrics", "restore", "Did you mean 'jaxmetrics.checkpoint.restore'?"),
        ("jaxmetrics.interop", "nxx", "Did you mean 'nnx'?"),
        ("jaxmetrics.loop", "preiodic", "Did you mean 'periodic'?"),
    ],
)
def test_a_misspelt_name_suggests_the_nearest(package, misspelt, text):
    with pytest.raises(AttributeError) as raised:
        getattr(importlib.import_module(package), misspelt)
    assert str(raised.value).startswith(f"module {package!r} has no attribute")
    assert text in str(raised.value)
    assert raised.value.name == misspelt


@pytest.mark.parametrize("name", packages())
def test_a_package_lists_what_it_exports(name):
    module = importlib.import_module(name)
    assert module.__all__ == sorted(module.__all__)
    for public in module.__all__:
        assert hasattr(module, public)


FAMILIES = sorted(path.parent for path in (ROOT / "metrics").glob("*/__init__.py"))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda path: path.name)
def test_every_metric_of_a_family_is_public_everywhere(family):
    listed = literal_all(family / "__init__.py")
    metrics = importlib.import_module("jaxmetrics.metrics")
    assert set(listed) <= set(metrics.__all__), "add the family to metrics/__init__.py"
    assert set(listed) <= set(jaxmetrics.__all__), "add it to jaxmetrics/__init__.py"


def test_a_family_without_a_literal_list_is_refused(tmp_path, monkeypatch):
    package = tmp_path / "sample"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from jaxmetrics._lazy import attach\n"
        "if TYPE_CHECKING:\n    from sample.inner import *\n"
        "attach('sample')\n"
    )
    (package / "inner" / "__init__.py").write_text("__all__ = sorted(['a'])\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="sample.inner has no literal `__all__`"):
        importlib.import_module("sample")


def test_names_load_from_a_zip_file(tmp_path, monkeypatch):
    import zipfile

    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as file:
        file.writestr(
            "zipped/__init__.py",
            "from typing import TYPE_CHECKING\n"
            "from jaxmetrics._lazy import attach\n"
            "if TYPE_CHECKING:\n    from zipped.part import value as value\n"
            "__getattr__, __dir__, __all__ = attach(__name__)\n",
        )
        file.writestr("zipped/part.py", "value = 3\n")
    monkeypatch.syspath_prepend(tmp_path / "zipped.zip")
    zipped = importlib.import_module("zipped")
    assert zipped.__all__ == ["value"] and zipped.value == 3
    assert "value" in vars(zipped)


def test_the_lazy_helper_needs_the_standard_library_only():
    tree = ast.parse(Path(_lazy.__file__).read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
            )
            assert all(m.split(".")[0] in sys.stdlib_module_names for m in modules)
