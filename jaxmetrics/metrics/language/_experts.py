"""Load of the experts of a mixture, and its balance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jaxmetrics.core import (
    Array,
    Metric,
    as_class_numbers,
    both,
    child,
    count_at,
    count_leaf,
    count_where,
    divide,
    in_range,
    namespace,
    not_ignored,
)
from jaxmetrics.metrics.language._ids import require_ids


class ExpertLoad(Metric):
    """Share of the routed tokens that each expert of a mixture receives, `[experts]`.

    The shares sum to 1; nan without data. `1 / experts` each is a perfect balance
    (Shazeer et al. 2017; Fedus et al. 2021, Switch Transformers: `f_i` of equation 5).

    Reads `experts`, the chosen experts' numbers, integers `[..., k]`: for each token
    its k experts, so that a token counts k times. Numbers out of range are counted in
    `invalid` and left out.

    Args:
      experts: Number of experts.
      ignore_index: Number, or tuple of numbers, that stand for no expert, such as -1
        for a token dropped at the capacity. Default none.
      weighted: Require `weights`, such as the gates `[..., k]`, and count those.

    Example:
      >>> import jaxmetrics as jm
      >>> jm.evaluate(jm.ExpertLoad(experts=4), experts=[[0, 1], [0, 3]])
      array([0.5 , 0.25, 0.  , 0.25])
    """

    experts: int = 1
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    load: Array = count_leaf("experts", weighted="weighted")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse fewer than one expert."""
        if self.experts < 1:
            raise ValueError(
                f"ExpertLoad: experts is {self.experts}, but must be at least 1. Set "
                "it to the number of experts of a layer."
            )

    def observe(
        self, *, experts: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's tokens by expert and invalid numbers."""
        require_ids("ExpertLoad", "experts", experts)
        numbers = as_class_numbers(experts)
        valid = in_range(numbers, self.experts)
        kept = both(not_ignored(experts, self.ignore_index), mask)
        scored = both(valid, kept)
        return dict(
            load=count_at(numbers, (self.experts,), scored, weights),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the shares, `[experts]`."""
        load = namespace(self).asarray(self.load)
        return divide(load, load.sum(-1)[..., None])


class ExpertBalance(Metric):
    """Entropy of the experts' load, relative to that of an even load; in [0, 1].

    `-sum(f log f) / log(experts)` with f the shares of `ExpertLoad`, which holds the
    state and says what is read: 1 if all experts get the same number of tokens, 0 if
    one expert gets all. Higher is better; nan without data.

    Args:
      experts: Number of experts, at least 2.
      ignore_index: Number, or tuple of numbers, that stand for no expert. Default none.
      weighted: Require `weights`, such as the gates `[..., k]`, and count those.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.ExpertBalance(experts=4)
      >>> float(jm.evaluate(metric, experts=[[0, 1], [0, 1]]))
      0.5
    """

    experts: int = 2
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    load: ExpertLoad = child(
        lambda m: ExpertLoad(m.experts, m.ignore_index, m.weighted)
    )

    def validate(self) -> None:
        """Refuse fewer than two experts, which have no balance."""
        if self.experts < 2:
            raise ValueError(
                f"ExpertBalance: experts is {self.experts}, but must be at least 2. "
                "Set it to the number of experts of a layer."
            )

    def compute(self) -> Any:
        """Return the relative entropy."""
        xp, share = namespace(self), self.load.compute()
        logs = xp.log(xp.where(share > 0, share, 1))
        return -(share * logs).sum(-1) / math.log(self.experts)


class ExpertPeakLoad(Metric):
    """Load of the busiest expert relative to the mean load; in [1, experts].

    `max(f) * experts` with f the shares of `ExpertLoad`, which holds the state and says
    what is read. Lower is better, 1 is a perfect balance; nan without data. An expert's
    capacity factor must be at least this for no token to be dropped.

    Args:
      experts: Number of experts.
      ignore_index: Number, or tuple of numbers, that stand for no expert. Default none.
      weighted: Require `weights`, such as the gates `[..., k]`, and count those.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.ExpertPeakLoad(experts=4)
      >>> float(jm.evaluate(metric, experts=[[0, 1], [0, 3]]))
      2.0
    """

    experts: int = 1
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    load: ExpertLoad = child(
        lambda m: ExpertLoad(m.experts, m.ignore_index, m.weighted)
    )

    def compute(self) -> Any:
        """Return the ratio of the largest to the mean load."""
        return self.load.compute().max(-1) * np.float32(self.experts)
