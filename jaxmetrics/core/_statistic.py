"""Base class of metrics over one output, whose name is their first argument."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from jaxmetrics.core._metric import Metric


class Statistic(Metric):
    """Base of metrics over the values of one output: `Mean("loss")` reads `loss`.

    A subclass calls that output `values` in `observe`.

    Args:
      output: Name of the output that `observe` receives as `values`.
    """

    output: str = "values"

    def _renamed(self, names: Mapping[str, str]) -> Self:
        new = super()._renamed(names)
        renames = tuple(pair for pair in new.renames if pair[0] != "values")
        return new._with(output=names.get("values", self.output), renames=renames)

    def _source(self, argument: str) -> str:
        return self.output if argument == "values" else super()._source(argument)
