"""Queries whose items are sorted by score, and the mean of a value of each query."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import (
    Array,
    MeanMetric,
    check_choice,
    count_leaf,
    count_where,
    mask_like,
    positions,
)

_EMPTY = {"zero": 0.0, "one": 1.0, "drop": 0.0}


class Items(NamedTuple):
    """Items of queries, in the order of the arrays.

    Attributes:
      relevance: Float32 `[..., items]`, 0 where masked or invalid.
      is_item: Bool `[..., items]`, False where masked.
      scores: Float32 `[..., items]`, 0 where masked or invalid.
    """

    relevance: Any
    is_item: Any
    scores: Any

    def sorted(self) -> Ranked:
        """Return the items by score, those with equal scores by their index."""
        absent = (~self.is_item).astype(jnp.int32)
        keys = (absent, -self.scores, self._index)
        absent, negated, _, relevance = lax.sort((*keys, self.relevance), num_keys=3)
        return Ranked(relevance, absent == 0, -negated)

    def first_relevant(self) -> tuple[Any, Any]:
        """Return the position of the first relevant item, and whether there is one.

        The position is float32 `[...]`, the same as in `sorted`, but needs no sort.
        """
        relevant, key, index = self.relevance > 0, _sort_key(self.scores), self._index
        lowest, last = jnp.iinfo(jnp.int32).min, index.shape[-1]
        best = jnp.where(relevant, key, lowest).max(axis=-1, keepdims=True)
        is_best = relevant & (key == best)
        first = jnp.where(is_best, index, last).min(axis=-1, keepdims=True)
        earlier = self.is_item & ((key > best) | ((key == best) & (index < first)))
        return _number(earlier) + 1, relevant.any(axis=-1)

    @property
    def _index(self) -> Any:
        shape = self.scores.shape
        return lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1)


class Ranked(NamedTuple):
    """Items of queries, the highest score first; masked ones come last.

    Attributes:
      relevance: Float `[..., items]`, 0 where masked.
      is_item: Bool `[..., items]`, False where masked.
      scores: Float `[..., items]`.
    """

    relevance: Any
    is_item: Any
    scores: Any

    @property
    def position(self) -> np.ndarray:
        """Return 1, 2, 3, ... `[..., items]`, float32, with leading axes of 1."""
        order = positions(self.relevance.shape[-1], self.relevance.ndim)
        return (order + 1).astype(np.float32)

    def first(self, k: int | None) -> Ranked:
        """Return the queries with the items behind the first k positions masked."""
        if k is None:
            return self
        counted = self.position <= k
        relevance = jnp.where(counted, self.relevance, 0)
        return Ranked(relevance, self.is_item & counted, self.scores)

    def is_relevant(self, k: int | None = None) -> Any:
        """Return where the relevance is above 0, among the first k positions."""
        relevant = self.relevance > 0
        return relevant if k is None else relevant & (self.position <= k)

    def relevant(self, k: int | None = None) -> Any:
        """Return the number of relevant items, among the first k positions."""
        return _number(self.is_relevant(k))

    def items(self, k: int | None = None) -> Any:
        """Return the number of items, among the first k positions."""
        return _number(self.is_item if k is None else self.is_item[..., :k])


class MeanOverQueries(MeanMetric):
    """Base of the ranking metrics: the mean over queries of a value of each.

    A subclass returns the values and where they are defined from `_value`, or from
    `_value_unsorted` if it needs no sorted items.
    """

    k: int | None = None
    empty_queries: str = "zero"
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse k below 1, and unknown treatments of queries without a value."""
        name = type(self).__name__
        check_choice(name, "empty_queries", self.empty_queries, tuple(_EMPTY))
        if self.k is not None and self.k < 1:
            raise ValueError(
                f"{name}: k is {self.k}, but must be at least 1. Leave it out to use "
                "all items."
            )

    def observe(
        self, *, scores: Any, relevance: Any, mask: Any = None, weights: Any = None
    ) -> dict[str, Any]:
        """Return the batch's summed values, and numbers of queries."""
        items, counted, valid = _items(scores, relevance, mask)
        value, defined = self._value_unsorted(items)
        value = jnp.where(defined, value, _EMPTY[self.empty_queries])
        scored = counted & valid
        if self.empty_queries == "drop":
            scored = scored & defined
        return dict(
            **self.mean_leaves(value, scored, weights),
            invalid=count_where(~valid, counted),
        )

    def _value_unsorted(self, items: Items) -> tuple[Any, Any]:
        return self._value(items.sorted())

    def _value(self, ranked: Ranked) -> tuple[Any, Any]:
        """Return the value of each query, and where it is defined."""
        raise NotImplementedError(f"{type(self).__name__} defines no value")


def safe_ratio(numerator: Any, denominator: Any) -> tuple[Any, Any]:
    """Return a ratio, and where it is defined: where the denominator is above 0."""
    defined = denominator > 0
    return numerator / jnp.where(defined, denominator, 1), defined


def shared_by_ties(gains: Any, ranked: Ranked) -> Any:
    """Return the mean gain of the items with an equal score, masked ones apart.

    Sums of the gains before and up to an item do not fall, so that the sum before its
    group is the largest of those at first items up to here, and the sum up to the end
    of the group is the smallest of those at last items from here on.
    """
    scores, is_item = ranked.scores, ranked.is_item
    differs = (scores[..., 1:] != scores[..., :-1]) | (
        is_item[..., 1:] != is_item[..., :-1]
    )
    end = jnp.ones_like(is_item[..., :1])
    is_first = jnp.concatenate([end, differs], axis=-1)
    is_last = jnp.concatenate([differs, end], axis=-1)
    axis = gains.ndim - 1

    def over_group(up_to: Any, each: Any) -> Any:
        before = lax.cummax(jnp.where(is_first, up_to - each, 0), axis=axis)
        until = jnp.where(is_last, up_to, jnp.inf)
        return lax.cummin(until, axis=axis, reverse=True) - before

    total = over_group(lax.cumsum(gains, axis=axis), gains)
    number = over_group(jnp.broadcast_to(ranked.position, gains.shape), 1)
    return jnp.where(number > 1, total / number, gains)


def _items(scores: Any, relevance: Any, mask: Any) -> tuple[Items, Any, Any]:
    """Return the items, and bools of queries: not masked, and valid."""
    scores, relevance = (
        jnp.asarray(x).astype(jnp.float32) for x in (scores, relevance)
    )
    if scores.shape != relevance.shape or scores.ndim == 0:
        raise ValueError(
            f"scores have shape {scores.shape} and relevance {relevance.shape}; both "
            "must be [..., items], the items of a query on the last axis. Pad queries "
            "to one length and mask the padding."
        )
    is_item = mask_like(scores, mask)
    wrong = jnp.isnan(scores) | ~(relevance >= 0) | jnp.isinf(relevance)
    valid = ~(wrong & is_item).any(axis=-1)
    usable = is_item & ~wrong
    relevance = jnp.where(usable, relevance, 0)
    scores = jnp.where(usable, scores, 0)
    return Items(relevance, is_item, scores), is_item.any(axis=-1), valid


def _sort_key(x: Any) -> Any:
    """Return int32 numbers in the order of float32 numbers, which `lax.sort` has.

    Both zeros, and numbers below 1.2e-38 (subnormal ones), are equal.
    """
    bits = lax.bitcast_convert_type(x, jnp.int32)
    positive = bits & jnp.int32(0x7FFFFFFF)
    positive = jnp.where(positive < jnp.int32(0x00800000), 0, positive)
    return jnp.where(bits < 0, -positive, positive)


def _number(where: Any) -> Any:
    return where.sum(axis=-1, dtype=jnp.int32).astype(jnp.float32)
