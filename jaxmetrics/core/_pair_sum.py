"""Compensated sums of arrays, as pairs of float32.

A sum of float32 in float32 loses a rounding error of up to 2^-24 at every addition,
and which errors these are depends on how the data are split over batches and devices.
Here the errors are summed as well. The array is folded by a tree of exact additions:
`two_sum(a, b)` returns s = fl(a + b) and the error e with a + b = s + e. The errors
are themselves added by `two_sum`, and only the errors of these, of order 2^-48, are
added plainly. So a node of the tree is one, two or three terms (s, c, t) of falling
size, whose sum is the value:

    values      one term   [..., n]
    first fold  two terms  [..., n / 8]     s and the plain sum c of its seven errors
    more folds  three      [..., n / 64]    exact but for terms of order 2^-72
    reduction   three      [...]            `lax.reduce` with the same node
    result      two        hi = fl(s + c + t), and the rest lo

For 8 equal numbers 0.1 the sum in float32 is 0.8, 3e-9 below 8 * float32(0.1); the
first fold returns c = 3e-9. The three errors on the way to each entry of c bound the
error of the whole by 9 * 2^-48 of the sum of magnitudes; that of random data is below
2^-48. Underflow adds at most 2^-126 for each value, since devices flush subnormals.

A fold adds eight slices of an axis. They are slices of the inner part of the axis,
after it is split in [outer, inner], so that the slices of an array that is sharded over
this axis lie on one device each: no values move, only partial results of the last
reduction. Each fold writes its terms in one stacked array, because a compiler makes one
loop of one output, but computes several outputs in several passes over the values.

A CPU sums in float64 instead, in short chains, which keeps the same bound.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxmetrics.core._arithmetic import SMALLEST_NORMAL, Pair, two_sum
from jaxmetrics.core._arrays import is_known
from jaxmetrics.core._mesh import vary, varying
from jaxmetrics.core._wide import in_float64, wide_pair, wide_sum

Terms = tuple[jax.Array, ...]

_STRIPS = 8  # slices that a fold adds
_FEW = 1 << 14  # entries that one reduction, not vectorised on CPU, adds fast enough
_SHORTEST_RUN = 8  # contiguous entries of a slice; shorter ones are not vectorised
_OUTER_OF_FIRST = 512  # length of the outer part of the first axis, at most
_OUTER_OF_OTHERS = 16
_LONGEST_CHAIN = 256  # additions in sequence, for which the terms t are exact enough


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def pair_sum(parts: Terms, axes: tuple[int, ...]) -> Pair:
    """Return the sum over axes of float32 values, as (hi, lo); hi is the nearest float.

    Infinities and NaN pass, with lo = 0. The sum can be differentiated.

    Args:
      parts: One array, or two of one shape, whose sum is the values.
      axes: Ascending axes to sum over.
    """
    return _sum(parts, axes)


@pair_sum.defjvp
def _pair_sum_jvp(axes: tuple[int, ...], primals: Any, tangents: Any) -> Any:
    """Differentiate the sum: all of the tangent is in `hi`."""
    (parts,), (tangents,) = primals, tangents
    slope = functools.reduce(jnp.add, [t.sum(axis=axes) for t in tangents])
    zero = vary(jnp.zeros_like(slope), varying(slope))
    return pair_sum(parts, axes), (slope, zero)


def as_floats(values: jax.Array) -> Terms:
    """Return float32 arrays whose sum is the values, exactly: two for integers."""
    if values.dtype == jnp.float32:
        return (values,)
    low = values & 0xFFFF
    return (values - low).astype(jnp.float32), low.astype(jnp.float32)


@functools.partial(jax.jit, static_argnames="axes", inline=True)
def _sum(parts: Terms, axes: tuple[int, ...]) -> Pair:
    folded = functools.partial(_folded_sum, axes=axes)
    wide = functools.partial(_wide_sum, axes=axes)
    return lax.platform_dependent(parts, default=folded, cpu=wide)


@in_float64
def _wide_sum(parts: Terms, axes: tuple[int, ...]) -> Pair:
    return wide_pair(functools.reduce(jnp.add, [wide_sum(x, axes) for x in parts]))


def _folded_sum(parts: Terms, axes: tuple[int, ...]) -> Pair:
    pieces = [jnp.stack(parts)]
    for axis in axes:
        most = _OUTER_OF_FIRST if axis == axes[0] else _OUTER_OF_OTHERS
        while _can_fold(pieces[0].shape[1:], axis, most):
            folded, rest = _fold(pieces[0], axis, most)
            pieces = [folded, *([rest] if rest.size else []), *pieces[1:]]
    sums = [reduced(_terms(piece), axes) for piece in pieces]
    return as_pair(functools.reduce(node, sums))


def as_pair(terms: Terms) -> Pair:
    """Return three terms as (hi, lo); their sum is not finite if the first is not."""
    s, c, t = terms
    hi, low = two_sum(s, c)
    hi, lo = two_sum(hi, low + t)
    finite = jnp.isfinite(s)
    return jnp.where(finite, hi, s), jnp.where(finite, lo, jnp.float32(0))


def _terms(stacked: jax.Array) -> Terms:
    """Return the terms, flushed as devices do, and with products in them rounded.

    A compiler may fuse a product with an addition into one operation without rounding
    in between, and each `two_sum` would then see several values of one product. It
    does not do so across a selection.
    """
    tiny = jnp.abs(stacked) < SMALLEST_NORMAL
    return tuple(jnp.where(tiny, jnp.float32(0), stacked))


def _split(length: int, most: int) -> tuple[int, int]:
    """Return outer and inner length of an axis; any number of shards divides outer.

    That holds for numbers of shards that are powers of two up to `most`.
    """
    outer = math.gcd(length, most) if is_known(length) else 1
    return outer, length // outer


def _can_fold(shape: tuple[int, ...], axis: int, most: int) -> bool:
    if not is_known(*shape) or math.prod(shape) <= _FEW:
        return False
    _, inner = _split(shape[axis], most)
    strips = min(_STRIPS, inner)
    run = inner // strips * math.prod(shape[axis + 1 :])
    return strips > 1 and run >= _SHORTEST_RUN


def _fold(terms: jax.Array, axis: int, most: int) -> tuple[jax.Array, jax.Array]:
    """Return the sums of strips of an axis, and the entries that are left over.

    Args:
      terms: Terms, stacked along a new first axis.
      axis: Axis of each term.
      most: Longest outer part of the axis.
    """
    count, *shape = terms.shape
    before, after = shape[:axis], shape[axis + 1 :]
    outer, inner = _split(shape[axis], most)
    strips = min(_STRIPS, inner)
    width = inner // strips
    terms = terms.reshape(count, *before, outer, inner, *after)

    def part(start: int, stop: int) -> jax.Array:
        return lax.slice_in_dim(terms, start, stop, axis=axis + 2)

    def joined(terms: jax.Array) -> jax.Array:
        return terms.reshape(len(terms), *before, -1, *after)

    nodes = [_terms(part(i * width, (i + 1) * width)) for i in range(strips)]
    add = _first_node if count == 1 else node
    while len(nodes) > 1:
        pairs = zip(nodes[::2], nodes[1::2])
        odd = nodes[len(nodes) // 2 * 2 :]
        nodes = [add(a, b) for a, b in pairs] + odd
    folded = lax.optimization_barrier(jnp.stack(nodes[0]))
    return joined(folded), joined(part(strips * width, inner))


def reduced(terms: Terms, axes: tuple[int, ...]) -> Terms:
    """Return three terms, summed over axes; in short chains if lengths allow it."""
    terms = _padded(terms, 3)
    if not axes:
        return terms
    first, *others = axes
    if others:
        terms = _reduce(terms, tuple(others))
    shape = terms[0].shape
    outer, inner = _split(shape[first], _OUTER_OF_FIRST)
    if outer > 1 and shape[first] > _LONGEST_CHAIN:
        split = (*shape[:first], outer, inner, *shape[first + 1 :])
        terms = _reduce(tuple(term.reshape(split) for term in terms), (first + 1,))
    return _reduce(terms, (first,))


def _reduce(terms: Terms, axes: tuple[int, ...]) -> Terms:
    zeros = (jnp.float32(0),) * len(terms)
    return tuple(lax.reduce(terms, zeros, node, axes))


def _padded(terms: Terms, length: int) -> Terms:
    return terms + (jnp.zeros_like(terms[0]),) * (length - len(terms))


def _first_node(a: Terms, b: Terms) -> Terms:
    """Return two terms: the sum, and the plain sum of the errors so far."""
    s, e = two_sum(a[0], b[0])
    return (s, e) if len(a) == len(b) == 1 else (s, sum(a[1:], sum(b[1:], e)))


def node(a: Terms, b: Terms) -> Terms:
    """Return three terms with the sum of both, exact but for the last."""
    s, e = two_sum(a[0], b[0])
    if len(a) == len(b) == 1:
        return s, e
    c, d = two_sum(_padded(a, 2)[1], _padded(b, 2)[1])
    c, f = two_sum(c, e)
    return s, c, sum(a[2:], sum(b[2:], d + f))
