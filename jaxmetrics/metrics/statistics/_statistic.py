"""What the statistics of one output share: they take its name first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from jaxmetrics.core import Metric


class Statistic(Metric):
    """Base of metrics over the values of one output: `Mean("loss")` reads `loss`."""

    output: str = "values"

    def _renamed(self, names: Mapping[str, str]) -> Self:
        new = super()._renamed(names)
        renames = tuple(pair for pair in new.renames if pair[0] != "values")
        return new._with(output=names.get("values", self.output), renames=renames)

    def _source(self, argument: str) -> str:
        return self.output if argument == "values" else super()._source(argument)
