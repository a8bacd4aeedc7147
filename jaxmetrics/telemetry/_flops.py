"""Floating-point operations of a function, counted from its trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax

from jaxmetrics.core import (
    Equation,
    equations,
    require_known_programs,
    traced_program,
)
from jaxmetrics.telemetry._flops_rules import OPAQUE, RULES, kernel_flops

__all__ = ["FlopCount", "count_flops"]


@dataclass(frozen=True)
class FlopCount:
    """Floating-point operations; a multiplication with its addition is two.

    Attributes:
      model: Operations that the mathematics of the model needs; used for MFU.
      hardware: Operations that the program executes, recomputation included; used for
        HFU.
      unknown: Names of primitives and kernels that could not be counted; the counts
        are then lower bounds.
      palm: Model operations as PaLM counts them, with attention over all pairs of
        positions; None if unknown.
      source: Origin of the counts: `"traced"`, `"analytic"`, `"given"`, `"6N"`.
    """

    model: float
    hardware: float
    unknown: tuple[str, ...] = ()
    palm: float | None = None
    source: str = "given"

    def __mul__(self, times: float) -> FlopCount:
        """Multiply the counts, as in `transformer_flops(...) * tokens_per_step`."""
        return replace(
            self,
            model=self.model * times,
            hardware=self.hardware * times,
            palm=None if self.palm is None else self.palm * times,
        )


def count_flops(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> FlopCount:
    """Count the operations of one call of `fn`, summed over all devices.

    The function is traced and not run, so arrays may be `ShapeDtypeStruct`s. Matrix
    products, convolutions and kernels with a declared cost count; elementwise work does
    not. Unlike in XLA's `cost_analysis`, the body of a scan counts once per iteration.

    - `cond` counts as its largest branch.
    - The body of a `while` is left out and named in `unknown`, because the number of
      iterations is not in the program. A `fori_loop` with static bounds is a scan.
    - A `pallas_call` counts its `cost_estimate`; without one it is named in `unknown`,
      as are decompositions, Fourier transforms and calls of foreign code.
    - The body of `shard_map` counts once per device, even if several devices compute
      the same.
    - `model` leaves out the recomputation of `jax.checkpoint` in the backward pass.
      Recomputation written by hand in a custom gradient counts.
    - Attention written with masks counts all pairs, which it computes. For causal
      attention use `transformer_flops`, which also gives the figure used in papers.
    - Unused results count too, although a compiler would drop them.

    Args:
      fn: A pure function, jitted or not, such as a training step.
      args: Positional arguments of `fn`. Other values than arrays are passed on as
        they are.
      kwargs: Keyword arguments of `fn`.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jax.ShapeDtypeStruct((4, 8), jnp.float32)
      >>> w = jax.ShapeDtypeStruct((8, 16), jnp.float32)
      >>> count_flops(jnp.matmul, x, w).model
      1024
    """
    leaves, structure = jax.tree.flatten((args, kwargs))
    arrays = {i: leaf for i, leaf in enumerate(leaves) if _is_array(leaf)}

    def call(arrays: dict[int, Any]) -> Any:
        filled = [arrays.get(i, leaf) for i, leaf in enumerate(leaves)]
        positional, named = jax.tree.unflatten(structure, filled)
        return fn(*positional, **named)

    require_known_programs()
    count = _count_program(traced_program(call, arrays))
    names = tuple(sorted(count.unknown))
    return FlopCount(count.model, count.hardware, names, source="traced")


class _Count(NamedTuple):
    model: int = 0
    hardware: int = 0
    unknown: frozenset[str] = frozenset()

    def plus(self, other: _Count) -> _Count:
        return _Count(
            self.model + other.model,
            self.hardware + other.hardware,
            self.unknown | other.unknown,
        )

    def repeated(self, times: int) -> _Count:
        return _Count(self.model * times, self.hardware * times, self.unknown)


def _count_program(program: Any) -> _Count:
    total = _Count()
    for equation in equations(program):
        count = _count_equation(equation)
        if equation.recomputed:
            count = count._replace(model=0)
        total = total.plus(count)
    return total


def _count_equation(equation: Equation) -> _Count:
    name = equation.name
    if rule := RULES.get(name):
        flops = rule(equation)
        return _Count(flops, flops)
    if name == "pallas_call":
        label, flops = kernel_flops(equation)
        if flops is None:
            return _Count(unknown=frozenset([label]))
        return _Count(flops, flops)
    if name in OPAQUE:
        return _Count(unknown=frozenset([name]))
    if name == "cond":
        return _largest([_count_program(x) for x in equation.param("branches")])
    if name == "custom_linear_solve":  # the other programs are for gradients
        return _count_program(equation.param("jaxprs").solve)
    total = _Count()
    for inner in equation.programs():
        total = total.plus(_count_program(inner))
    if name == "while":
        if not total.hardware and not total.unknown:
            return total
        return _Count(unknown=total.unknown | {"while"})
    if name == "scan":
        return total.repeated(equation.param("length"))
    if name == "shard_map":
        return total.repeated(equation.shard_count())
    return total


def _largest(branches: list[_Count]) -> _Count:
    return _Count(
        max(branch.model for branch in branches),
        max(branch.hardware for branch in branches),
        frozenset[str]().union(*(branch.unknown for branch in branches)),
    )


def _is_array(leaf: object) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")
