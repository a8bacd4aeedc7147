"""The floating-point operations of a function, counted from its trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax

from jaxmetrics.telemetry._flops_rules import OPAQUE, RULES, kernel

__all__ = ["FlopCount", "count_flops"]


@dataclass(frozen=True)
class FlopCount:
    """Floating-point operations; a multiplication with its addition is two.

    Attributes:
      model: What the mathematics of the model needs: MFU divides these.
      hardware: What the program does, recomputation included: HFU divides these.
      unknown: What could not be counted, by name; the counts are then lower bounds.
      palm: The model's as PaLM counts them, with attention over all pairs of
        positions; None where that is not known.
      source: How they were found: `"traced"`, `"analytic"`, `"given"`, `"6N"`.
    """

    model: float
    hardware: float
    unknown: tuple[str, ...] = ()
    palm: float | None = None
    source: str = "given"

    def __mul__(self, times: float) -> FlopCount:
        """As many times: `transformer_flops(...) * tokens_per_step`."""
        return replace(
            self,
            model=self.model * times,
            hardware=self.hardware * times,
            palm=None if self.palm is None else self.palm * times,
        )


def count_flops(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> FlopCount:
    """What one call of `fn` computes, over all devices together.

    The function is traced and not run, so arrays may be `ShapeDtypeStruct`s. Matrix
    products, convolutions and kernels with a declared cost count; elementwise work does
    not. Unlike XLA's `cost_analysis`, a scan counts as often as it runs.

    - Of `cond` the largest branch counts, whichever is taken.
    - What a `while` computes is left out and named in `unknown`: how often it runs is
      not in the program. A `fori_loop` with static bounds is a scan.
    - A `pallas_call` counts its `cost_estimate`, and without one is named. So are
      decompositions, Fourier transforms and calls of foreign code.
    - The body of `shard_map` is what one device does: it counts once for each device,
      also where some of them do the same.
    - `model` leaves out what `jax.checkpoint` recomputes in the backward pass. What a
      custom gradient recomputes by hand counts.
    - Attention written with masks computes all pairs, and so it counts: for the causal
      figure use `transformer_flops`, which also gives the one to compare with papers.
    - What is computed and not used counts too, although a compiler would drop it.

    Args:
      fn: A pure function, jitted or not: a training step, say.
      args: Its arguments. What is no array is passed on as it is.
      kwargs: Its arguments by name.

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

    found = _program(jax.make_jaxpr(call)(arrays))
    names = tuple(sorted(found.unknown))
    return FlopCount(found.model, found.hardware, names, source="traced")


class _Found(NamedTuple):
    model: int = 0
    hardware: int = 0
    unknown: frozenset[str] = frozenset()

    def plus(self, other: _Found) -> _Found:
        return _Found(
            self.model + other.model,
            self.hardware + other.hardware,
            self.unknown | other.unknown,
        )

    def repeated(self, times: int) -> _Found:
        return _Found(self.model * times, self.hardware * times, self.unknown)


def _program(jaxpr: Any) -> _Found:
    """What all equations of a jaxpr compute."""
    total = _Found()
    for equation in jaxpr.eqns:
        found = _equation(equation)
        # JAX marks what the backward pass of a checkpoint computes again.
        if "rematted_computation" in str(equation.source_info.name_stack):
            found = found._replace(model=0)
        total = total.plus(found)
    return total


def _equation(equation: Any) -> _Found:
    name, params = equation.primitive.name, equation.params
    if rule := RULES.get(name):
        flops = rule(equation)
        return _Found(flops, flops)
    if name == "pallas_call":
        label, flops = kernel(equation)
        if flops is None:
            return _Found(unknown=frozenset([label]))
        return _Found(flops, flops)
    if name in OPAQUE:
        return _Found(unknown=frozenset([name]))
    if name == "cond":
        return _largest([_program(branch) for branch in params["branches"]])
    if name == "custom_linear_solve":  # its other jaxprs are for gradients
        return _program(params["jaxprs"].solve)
    total = _Found()
    for inner in _inner(params):
        total = total.plus(_program(inner))
    if name == "while":
        if not total.hardware and not total.unknown:
            return total
        return _Found(unknown=total.unknown | {"while"})
    if name == "scan":
        return total.repeated(params["length"])
    if name == "shard_map":
        return total.repeated(_devices(params))
    return total


def _largest(branches: list[_Found]) -> _Found:
    return _Found(
        max(branch.model for branch in branches),
        max(branch.hardware for branch in branches),
        frozenset[str]().union(*(branch.unknown for branch in branches)),
    )


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs that an equation calls, whatever the primitive calls them."""
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            jaxpr = getattr(item, "jaxpr", item)
            if hasattr(jaxpr, "eqns"):
                yield jaxpr


def _devices(params: dict[str, Any]) -> int:
    """How many devices run the body of a shard_map, where the outside has one value."""
    mesh = params["mesh"]
    names = params.get("newly_manual_axes", params.get("manual_axes", mesh.axis_names))
    return math.prod(mesh.shape[name] for name in names)


def _is_array(leaf: object) -> bool:
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")
