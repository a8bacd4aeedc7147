"""Load public names and optional packages on first use.

Names (PEP 562): a package lists its public names once, as imports under
`if TYPE_CHECKING:`. Type checkers and editors follow them; `attach` reads the same
lines from the source, and makes each an import on first use:

    if TYPE_CHECKING:
        from jaxmetrics import writers as writers                  # a module
        from jaxmetrics.runs import Run as Run                     # a name
        from jaxmetrics.metrics.text import *                      # its `__all__`
    else:
        __getattr__, __dir__, __all__ = attach(__name__)

Optional packages: `with optional("jm.checkpoint", "orbax"):` around an import gives a
missing package an error that names the extra of jaxmetrics which installs it.

Only the standard library is imported here, so that `import jaxmetrics` stays cheap.
"""

from __future__ import annotations

import ast
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any


def attach(
    package: str, other_names: Mapping[str, str] = MappingProxyType({})
) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return `__getattr__`, `__dir__` and the sorted `__all__` of a package.

    Args:
      package: The package's `__name__`.
      other_names: What is called here what other libraries call so, by their names.
    """
    sources = {name: module for module, name in _typed_imports(package)}
    public = sorted(sources)
    modules = [name for name in public if sources[name] == package]

    def getattr_(name: str) -> object:
        """Import a public name at its first use, and keep it in the package."""
        if name not in sources:
            # With a name and no object, tracebacks add no suggestion of their own.
            raise AttributeError(
                _unknown_name(package, name, public, modules, other_names), name=name
            )
        if sources[name] == package:
            return importlib.import_module(f"{package}.{name}")
        value = getattr(importlib.import_module(sources[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return getattr_, lambda: list(public), public


class optional:
    """Name the extra to install if an import within the block fails.

    Args:
      feature: The call that needs the package, as the user writes it.
      extra: The extra of jaxmetrics that installs it.
    """

    def __init__(self, feature: str, extra: str) -> None:
        self.feature = feature
        self.extra = extra

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        """Replace the error of a missing package; any other error passes."""
        if isinstance(error, ModuleNotFoundError):
            raise ImportError(
                f"{self.feature} needs {error.name}, which is not installed. Run "
                f"`pip install jaxmetrics[{self.extra}]`."
            ) from error


def _typed_imports(package: str) -> Iterator[tuple[str, str]]:
    """Yield (module, name) of every import under `if TYPE_CHECKING:`."""
    for block in ast.parse(_source(package)).body:
        if not isinstance(block, ast.If) or ast.unparse(block.test) != "TYPE_CHECKING":
            continue
        for node in block.body:
            assert isinstance(node, ast.ImportFrom) and node.module, ast.unparse(node)
            for alias in node.names:
                names = [alias.name] if alias.name != "*" else _literal_all(node.module)
                yield from ((node.module, name) for name in names)


def _literal_all(package: str) -> list[str]:
    """Return the literal `__all__` of a package without importing it."""
    names = _listed_names(_source(package))
    if names is None:
        raise ImportError(
            f"{package} has no literal `__all__`, expected a list from which the names "
            f"of jaxmetrics are read. List its names in `__init__.py`."
        )
    return names


def _listed_names(source: str) -> list[str] | None:
    """Return the literal `__all__` of a source text, or None if it has none."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            if isinstance(node.value, ast.List):
                return ast.literal_eval(node.value)
    return None


def _homes(name: str, modules: list[str]) -> Iterator[str]:
    """Yield the modules that list a public name, without importing them."""
    from importlib.util import find_spec

    if name.startswith("_"):
        return
    for module in modules:
        spec = find_spec(module)
        assert spec
        loader: Any = spec.loader  # of a folder or a zip file; both have sources
        if name in (_listed_names(loader.get_source(module) or "") or ()):
            yield module


def _source(package: str) -> str:
    """Return the text of a package's `__init__.py`, from a folder or a zip file."""
    root, _, inner = package.partition(".")
    module = sys.modules[root]
    assert module.__file__ and module.__spec__
    folder = os.path.dirname(module.__file__)
    path = os.path.join(folder, *filter(None, inner.split(".")), "__init__.py")
    return module.__spec__.loader.get_data(path).decode()  # type: ignore[union-attr]


def _unknown_name(
    package: str,
    name: str,
    public: list[str],
    modules: list[str],
    other_names: Mapping[str, str],
) -> str:
    import difflib

    # Python and its tools look for many names with an underscore, and find none.
    near = [] if name.startswith("_") else difflib.get_close_matches(name, public, 1)
    home = next(_homes(name, [f"{package}.{module}" for module in modules]), None)
    if name in other_names:
        hint = f"It is {other_names[name]} here."
    elif home is not None:
        hint = f"Did you mean '{home}.{name}'?"
    else:
        hint = f"Did you mean {near[0]!r}?" if near else f"See dir({package})."
    return f"module {package!r} has no attribute {name!r}. {hint}"
