"""The public interface as text: one line per public name, with its signature.

    python tests/support/api.py            # `make api`: writes tests/api/current.txt

A class has a line for itself and one for each public method and property; the line of a
metric has the outputs that it reads, and its leaves. Annotations are left out.
"""

import enum
import functools
import inspect
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jaxmetrics as jm

FOLDER = Path(__file__).parents[1] / "api"
CURRENT = FOLDER / "current.txt"
RELEASED = FOLDER / "released.txt"  # of the last release: a copy of its current.txt
_SHOWN = ("observe", "compute", "merge")  # what a metric reads is in its own line
_OF_RECORD = {"Record", "Media", "MEDIA_KINDS", "Bins", "binned", "ALIASES", "PREFIXES"}
_OF_RECORD |= {"read_run_json", "write_run_json"}
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def lines() -> list[str]:
    """Return the lines, sorted by name."""
    found = list(names())
    public = {value for _, value in found if inspect.isclass(value)}
    return sorted(
        line for name, value in found for line in described(name, value, public)
    )


def names(module: ModuleType = jm, prefix: str = "jm") -> Iterator[tuple[str, Any]]:
    """Yield the public names, those of public modules after the module's."""
    for name in module.__all__:
        value = getattr(module, name)
        if getattr(jm, name, None) is value and module is not jm:
            continue  # `jm.Accuracy` is `jm.metrics.Accuracy`
        if module is jm.record and name not in _OF_RECORD:
            continue  # shared by the packages of jaxmetrics
        if inspect.ismodule(value) and hasattr(value, "__all__"):
            yield from names(value, f"{prefix}.{name}")
        else:
            yield f"{prefix}.{name}", value


def described(name: str, value: Any, public: Collection[type]) -> Iterator[str]:
    """Yield the lines of a name; what a public base class has is in its lines."""
    if not inspect.isclass(value):
        is_function = callable(value) and not inspect.ismodule(value)
        yield name + (signature(value) if is_function else "")
        return
    yield name + signature(value) + _metric(value)
    fields = getattr(value, "__dataclass_fields__", {})
    bases = [x for x in value.__mro__[1:] if x in public]
    for member, line in sorted(_members(value).items()):
        inherited = any(_members(base).get(member) == line for base in bases)
        if not inherited and member not in fields and member not in _SHOWN:
            yield f"{name}.{member}{line}"


@functools.cache
def _members(value: type) -> dict[str, str]:
    """Return the public methods and properties of a class, with their signatures."""
    found = {}
    for base in value.__mro__:
        if base.__module__.split(".")[0] == "jaxmetrics":
            for name, content in vars(base).items():
                if name.startswith("_") or name in found:
                    continue
                if isinstance(content, property):
                    found[name] = ""
                elif callable(content) or isinstance(
                    content, classmethod | staticmethod
                ):
                    found[name] = signature(getattr(value, name))
    return found


def signature(value: Any) -> str:
    """Return the parameters with their defaults, without `self` and annotations."""
    if inspect.isclass(value) and issubclass(value, enum.Enum):
        return "(value)"  # each Python has further parameters
    try:
        parameters = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError):
        return "(...)"
    hidden = {"self"}
    if inspect.isclass(value) and issubclass(value, jm.Metric):
        hidden |= {*value._leaves, *inspect.signature(jm.Metric).parameters}
    parameters = [
        x.replace(annotation=x.empty, default=_default(x))
        for x in parameters
        if x.name not in hidden
    ]
    return _ADDRESS.sub("", str(inspect.Signature(parameters)))


class _Text:
    """A default as it is shown."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _default(parameter: inspect.Parameter) -> Any:
    value = parameter.default
    if value is inspect.Parameter.empty:
        return value
    if inspect.isclass(value) or inspect.isroutine(value):
        return _Text(value.__qualname__)
    return value


def _metric(value: type) -> str:
    """Return the outputs and the leaves of a metric."""
    if not issubclass(value, jm.Metric) or not getattr(value, "_leaves", {}):
        return ""
    leaves = (
        f"{name}: {leaf.name}" + "".join(f"[{dim}]" for dim in leaf.dims)
        for name, leaf in value._leaves.items()
    )
    reads = signature(value.observe).replace("*, ", "")
    return f" reads {reads} leaves ({', '.join(leaves)})"


def table(text: str) -> dict[str, str]:
    """Return the lines of a file by name."""
    matches = (re.match(r"[\w.]+", line) for line in text.splitlines())
    return {x[0]: x.string for x in matches if x}


if __name__ == "__main__":
    CURRENT.write_text("\n".join(lines()) + "\n")
    print(f"{len(lines())} lines in {CURRENT}")
