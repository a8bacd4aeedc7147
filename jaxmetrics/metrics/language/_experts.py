"""Load of the experts of a mixture, its balance, and what exceeds their capacity."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    MeanMetric,
    Metric,
    as_class_numbers,
    as_scores,
    both,
    check_stderr_of_counts,
    child,
    count_at,
    count_leaf,
    count_where,
    divide,
    fraction_of,
    in_range,
    kl_divergence,
    namespace,
    not_ignored,
    positions,
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
        _require_experts(self)

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

    higher_is_better: ClassVar[Direction] = True

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
        return (0 - (share * logs).sum(-1)) / math.log(self.experts)


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

    higher_is_better: ClassVar[Direction] = False

    experts: int = 1
    ignore_index: int | tuple[int, ...] | None = None
    weighted: bool = False
    load: ExpertLoad = child(
        lambda m: ExpertLoad(m.experts, m.ignore_index, m.weighted)
    )

    def validate(self) -> None:
        """Refuse fewer than one expert."""
        _require_experts(self)

    def compute(self) -> Any:
        """Return the ratio of the largest to the mean load."""
        return self.load.compute().max(-1) * np.float32(self.experts)


class CapacityOverflow(Metric):
    """Fraction of routed choices beyond the capacity of their expert; in [0, 1].

    Each expert takes `capacity = ceil(capacity_factor * tokens * k / experts)` choices
    of each group of tokens; the rest overflows, and is dropped or sent on (Lepikhin et
    al. 2020, GShard; Fedus et al. 2021, Switch Transformers, equation 3). Lower is
    better; nan without data.

    Reads `experts`, the numbers of the experts that the router chose before any were
    dropped, integers `[..., tokens, k]`; the leading axes are groups. Masked tokens
    take no place, but do count in the capacity, whose shape is fixed. Numbers out of
    range are counted in `invalid` and left out.

    Args:
      experts: Number of experts.
      capacity_factor: Capacity relative to an even load.
      ignore_index: Number, or tuple of numbers, that stand for no expert. Default none.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.CapacityOverflow(experts=2)  # 2 of 4 tokens each
      >>> float(jm.evaluate(metric, experts=[[[0], [0], [0], [1]]]))
      0.25
    """

    higher_is_better: ClassVar[Direction] = False

    experts: int = 1
    capacity_factor: float = 1.0
    ignore_index: int | tuple[int, ...] | None = None
    overflow: Array = count_leaf()
    choices: Array = count_leaf()
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse fewer than one expert, and a capacity of nothing."""
        if self.experts < 1 or not self.capacity_factor > 0:
            raise ValueError(
                f"CapacityOverflow: experts is {self.experts} and capacity_factor "
                f"{self.capacity_factor}, but both must be positive. Pass those of the "
                "router."
            )

    def capacity(self, tokens: int, k: int) -> int:
        """Return the choices that an expert takes of a group of tokens."""
        # Rounded first: 1.1 * 100 is 110.00000000000001, whose capacity is 110.
        return math.ceil(round(self.capacity_factor * tokens * k / self.experts, 9))

    def observe(self, *, experts: Any, mask: Any = None) -> dict[str, Any]:
        """Return the batch's choices beyond the capacity, all, and invalid ones."""
        require_ids("CapacityOverflow", "experts", experts)
        numbers = as_class_numbers(experts)
        if numbers.ndim < 2:
            raise ValueError(
                f"CapacityOverflow: experts have shape {numbers.shape}, but must be "
                "[..., tokens, k]. Add an axis for one choice per token: "
                "experts[..., None]."
            )
        valid = in_range(numbers, self.experts)
        kept = both(not_ignored(experts, self.ignore_index), mask)
        scored = both(valid, kept)
        chosen = numbers[..., None] == positions(self.experts, numbers.ndim + 1)
        chosen = chosen & scored[..., None]
        load = chosen.sum(axis=(-3, -2), dtype=jnp.uint32)
        capacity = np.uint32(self.capacity(*numbers.shape[-2:]))
        beyond = jnp.where(load > capacity, load - capacity, 0)
        return dict(
            overflow=beyond.sum(dtype=jnp.uint32),
            choices=count_where(scored),
            invalid=count_where(~valid, kept),
        )

    def compute(self) -> Any:
        """Return the fraction of the choices that overflow."""
        return divide(self.overflow, self.choices)


class DroppedTokens(Metric):
    """Fraction of tokens that no expert processes; in [0, 1], lower is better.

    A token is dropped if all its k choices are; the residual connection alone carries
    it on (Fedus et al. 2021, Switch Transformers, section 2.2). nan without data. The
    fraction of dropped choices is `jm.Mean("dropped")`.

    Reads `dropped`, bool `[..., k]`: True for a choice that was not processed, as
    `experts < 0` where dropped choices are marked by -1.

    Args:
      weighted: Require `weights` `[...]`, of the tokens.
      stderr: Compute fraction and standard error, as `Mean(stderr=True)`; not with
        weights. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> dropped = [[True, True], [True, False], [False, False], [False, False]]
      >>> float(jm.evaluate(jm.DroppedTokens(), dropped=dropped))
      0.25
    """

    higher_is_better: ClassVar[Direction] = False

    weighted: bool = False
    stderr: bool = dataclasses.field(default=False, kw_only=True)
    dropped: Array = count_leaf(weighted="weighted")
    tokens: Array = count_leaf(weighted="weighted")

    def validate(self) -> None:
        """Refuse a standard error with weights."""
        check_stderr_of_counts(self)

    def observe(
        self, *, dropped: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's number of dropped tokens, and of all."""
        dropped = jnp.asarray(dropped)
        if dropped.dtype != bool or not dropped.ndim:
            raise TypeError(
                f"DroppedTokens: dropped are {dropped.dtype}{list(dropped.shape)}, but "
                "must be bool [..., k]. Pass experts < 0, or ~kept."
            )
        whole = dropped.all(axis=-1)
        return dict(
            dropped=count_where(whole, mask, weights),
            tokens=count_where(jnp.ones_like(whole), mask, weights),
        )

    def compute(self) -> Any:
        """Return the fraction of the tokens."""
        return fraction_of(self.dropped, self.tokens, self.stderr)


class RouterEntropy(MeanMetric, narrow=("router_logits",)):
    """Mean entropy of the router's distributions over the experts; in [0, 1].

    `-sum(p log p) / log(experts)` with `p = softmax(router_logits)` of each token:
    exactly 1 if all experts are equally likely, 0 if the router is certain. It is low
    for a router that has specialized, and for one that has collapsed; `ExpertBalance`
    tells which. nan without data. `PredictiveEntropy` has it in nats.

    Reads `router_logits` `[..., experts]`. A logit of -inf masks its expert out. Rows
    without a largest logit (see `jaxmetrics.metrics`) are counted in `invalid`, never
    scored. Leave padding out with `mask`.

    Args:
      weighted: Require `weights` and weight each token by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jaxmetrics as jm
      >>> logits = [[0.0, 0.0, 0.0], [100.0, 0.0, 0.0]]
      >>> round(float(jm.evaluate(jm.RouterEntropy(), router_logits=logits)), 4)
      0.5
    """

    invalid: Array = count_leaf()

    def observe(
        self, *, router_logits: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed entropies, scored tokens and invalid ones."""
        logits = as_scores(router_logits)
        if logits.shape[-1:] < (2,):
            raise ValueError(
                f"RouterEntropy: router_logits have shape {logits.shape}, but their "
                "last axis must be at least two experts. Pass the logits of the router."
            )
        # The entropy is log(experts) less the divergence from even shares, all whose
        # terms vanish there: rounding leaves exactly 1.
        below, valid = kl_divergence(logits, jnp.zeros_like(logits))
        entropy = 1 - below / np.float32(math.log(logits.shape[-1]))
        scored = both(valid, mask)
        return dict(
            **self.mean_leaves(jnp.maximum(entropy, 0), scored, weights),
            invalid=count_where(~valid, mask),
        )


def _require_experts(metric: Any) -> None:
    if metric.experts < 1:
        raise ValueError(
            f"{type(metric).__name__}: experts is {metric.experts}, but must be at "
            "least 1. Set it to the number of experts of a layer."
        )
