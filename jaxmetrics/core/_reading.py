"""Which model outputs a metric reads, under which names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self


class Reading:
    """The part of a metric that knows its outputs and those of its children."""

    renames: tuple[tuple[str, str], ...]
    _arguments: ClassVar[Mapping[str, bool]]
    _children: ClassVar[Mapping[str, Any]]
    _reads: ClassVar[str] = ""  # the configuration that names an output of its own

    def _names(self) -> tuple[set[str], set[str]]:
        """The outputs that are needed, and those that are taken when given."""
        required, optional = set(), set()
        for argument, needed in self._own_arguments().items():
            (required if needed else optional).add(self._source(argument))
        for name in self._children:
            more = getattr(self, name)._names()
            required, optional = required | more[0], optional | more[1]
        return required, optional - required

    def _source(self, argument: str) -> str:
        """The output that an argument of `observe` is read from."""
        return dict(self.renames).get(argument, argument)

    def _all_arguments(self) -> dict[str, bool]:
        """The arguments of `observe` here and in children."""
        known = dict(self._arguments)
        for name in self._children:
            known |= getattr(self, name)._all_arguments()
        return known | ({getattr(self, self._reads): True} if self._reads else {})

    def _renamed(self, names: Mapping[str, str]) -> Self:
        """The metric and its children reading other outputs."""
        mine = {n: x for n, x in names.items() if n in self._arguments}
        renames = tuple(sorted({**dict(self.renames), **mine}.items()))
        children = {}
        for name in self._children:
            child = getattr(self, name)
            its = {n: x for n, x in names.items() if n in child._all_arguments()}
            children[name] = child._renamed(its)
        if self._reads:
            mine = getattr(self, self._reads)
            children[self._reads] = names.get(mine, mine)
        return self._with(renames=renames, **children)

    def _with(self, **fields: Any) -> Self:
        """A copy with other fields, unchecked."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.__dict__.update(fields)
        return new

    def _source_of_mask(self) -> str:
        """The output that is read as the mask, here or in the first child."""
        if "mask" in self._arguments or not self._children:
            return self._source("mask")
        return getattr(self, next(iter(self._children)))._source_of_mask()

    def _own_arguments(self) -> dict[str, bool]:
        """`weights` is needed when `weighted`, and otherwise not an argument."""
        arguments = dict(self._arguments)
        if "weights" in arguments:
            if getattr(self, "weighted", True):
                arguments["weights"] = True
            else:
                del arguments["weights"]
        return arguments

    def _given(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """What this metric and its children read, by output name."""
        required, optional = self._names()
        return {n: x for n, x in outputs.items() if n in required | optional}
