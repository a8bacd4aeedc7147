"""Correct what griffe reads from the sources: examples, and signatures of metrics.

griffe knows a section of examples as `Examples:`; the package writes `Example:`, or
nothing above examples of functions that only the package itself uses. And it does not
know which fields of a metric are options: all but leaves and children.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import griffe

METRIC = "jaxmetrics.core._metric.Metric"
STATE = re.compile(r"(\w+_)?(leaf|child)\(")


class Sources(griffe.Extension):
    """Rewrite the examples of docstrings, and add the constructors of metrics."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put the examples of a docstring into a section that griffe knows."""
        if obj.docstring:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.M)
            obj.docstring.value = re.sub(
                r"^>>> .*(?:\n.+)*",
                lambda found: "Examples:\n" + textwrap.indent(found[0], "  "),
                text,
                flags=re.M,
            )

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Give each metric the constructor that its fields declare."""
        for cls in _classes(pkg):
            bases = [base.path for base in cls.mro()]
            if METRIC in bases and "__init__" not in cls.members:
                own = [cls, *cls.mro()[: bases.index(METRIC)]]
                options = griffe.Parameters(
                    griffe.Parameter("self"), *sorted(_options(own), key=_place)
                )
                cls.set_member(
                    "__init__", griffe.Function("__init__", parameters=options)
                )


def _classes(module: griffe.Module) -> Iterator[griffe.Class]:
    for member in module.members.values():
        if not member.is_alias and member.is_module:
            yield from _classes(member)
        elif not member.is_alias and member.is_class:
            yield member


def _options(classes: list[griffe.Class]) -> Iterator[griffe.Parameter]:
    """Yield the configuration fields of a class and its bases, as parameters."""
    fields: dict[str, griffe.Attribute] = {}
    for cls in reversed(classes):
        fields |= {
            name: member
            for name, member in cls.members.items()
            if member.is_attribute
            and member.annotation is not None
            and "property" not in member.labels
            and not name.startswith("_")
        }
    for name, field in fields.items():
        value = str(field.value) if field.value is not None else None
        if value is not None and STATE.match(value.removeprefix("core.")):
            continue
        keyword = False
        if value is not None and (call := ast.parse(value, mode="eval").body):
            if isinstance(call, ast.Call) and "field" in ast.unparse(call.func):
                options = {x.arg: ast.unparse(x.value) for x in call.keywords}
                keyword = options.get("kw_only") == "True"
                first = ast.unparse(call.args[0]) if call.args else None
                value = options.get("default", first)
        if name == "metric":  # of a wrapper: the first argument, required
            keyword, value = False, None
        kind = griffe.ParameterKind
        yield griffe.Parameter(
            name,
            annotation=field.annotation,
            default=value,
            kind=kind.keyword_only if keyword else kind.positional_or_keyword,
        )


def _place(parameter: griffe.Parameter) -> tuple[bool, bool]:
    return (
        parameter.kind is griffe.ParameterKind.keyword_only,
        parameter.name != "metric",
    )
