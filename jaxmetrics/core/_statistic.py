"""Base class of metrics over one output, whose name is their first argument."""

from __future__ import annotations

from jaxmetrics.core._metric import Metric


class Statistic(Metric, sources={"values": "output"}):
    """Base of metrics over the values of one output: `Mean("loss")` reads `loss`.

    A subclass calls that output `values` in `observe`.

    Args:
      output: Name of the output that `observe` receives as `values`.
    """

    output: str = "values"
