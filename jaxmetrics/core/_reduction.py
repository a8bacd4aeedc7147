"""Reduction over mesh axes: what all leaves ask for, in one collective of each kind."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._arithmetic import bits, floats
from jaxmetrics.core._kinds import Ask
from jaxmetrics.core._mesh import as_axes, tracks_variance, vary, varying

Job = Generator[list[Ask], list[jax.Array], Any]
Rebuild = Callable[[Iterator[Any]], Any]

_ROUNDS = 2  # maxima, then sums that may depend on them
_COLLECTIVES = {"max": lax.pmax, "sum": lax.psum}


class _Part(NamedTuple):
    """A leaf's kind and state, its parts first; or a whole metric, without a kind."""

    kind: Any
    axes: tuple[str, ...]
    state: Any


def is_metric(x: Any) -> bool:
    """Whether a node of a tree is a metric."""
    return getattr(type(x), "_leaves", None) is not None


def reduce(tree: Any, axis: str | Iterable[str] | None = None) -> Any:
    """The total of every metric in a tree, over mesh axes or the leading axis.

    At most three collectives for any tree: max of uint32, sums of uint32 and of
    float32. With `check_vma` a metric is summed only over the axes that it varies
    over, so that one already reduced is not counted twice; without it, and in pmap
    and vmap, reducing twice cannot be seen and multiplies.
    """
    if axis is None:
        return fold(tree)
    axes = as_axes(axis)
    tracked = all([_bound(a) for a in axes])
    parts: list[_Part] = []
    rebuild = _plan(tree, axes, tracked, parts)
    job = _grouped(parts)
    asks = next(job)
    for _ in range(_ROUNDS):
        try:
            asks = job.send(_packed(asks, axes, tracked))
        except StopIteration as done:
            return rebuild(iter(done.value))
    raise RuntimeError("a leaf asked for more than two rounds of collectives")


def fold(tree: Any, over_time: bool = False) -> Any:
    """Merge along the leading axis, in its order: that of shards, or of updates."""
    first = jax.tree.map(lambda x: x[0], tree)
    rest = jax.tree.map(lambda x: x[1:], tree)

    def join(a: Any, b: Any) -> Any:
        return a.merge(b) if over_time else a._reduce_merge(b)

    def step(total: Any, more: Any) -> tuple[Any, None]:
        return jax.tree.map(join, total, more, is_leaf=is_metric), None

    return lax.scan(step, first, rest)[0]


def _bound(axis: str) -> bool:
    try:
        return tracks_variance(axis)
    except NameError as error:
        raise ValueError(
            f"reduce: axis {axis!r} is not bound here. Use it inside shard_map, pmap "
            "or vmap over that axis; under plain jit with global arrays leave it out."
        ) from error


def _plan(
    tree: Any, axes: tuple[str, ...], tracked: bool, parts: list[_Part]
) -> Rebuild:
    """Note the parts of a tree; what is returned makes the tree of their totals."""
    metrics, treedef = jax.tree.flatten(tree, is_leaf=is_metric)
    plans = [_plan_metric(metric, axes, tracked, parts) for metric in metrics]
    return lambda totals: jax.tree.unflatten(treedef, [plan(totals) for plan in plans])


def _plan_metric(
    metric: Any, axes: tuple[str, ...], tracked: bool, parts: list[_Part]
) -> Rebuild:
    if tracked:
        seen = varying(metric)
        axes = tuple(axis for axis in axes if axis in seen)
        metric = vary(metric, axes)
    if not axes:
        return lambda totals: metric
    if any(declared.name == "free" for declared in metric._leaves.values()):
        parts.append(_Part(None, axes, metric))
        return lambda totals: next(totals)
    for name, declared in metric._leaves.items():
        state = declared.front(metric, getattr(metric, name))
        parts.append(_Part(declared.kind(metric), axes, jnp.asarray(state)))
    children = {
        name: _plan(getattr(metric, name), axes, tracked, parts)
        for name in metric._children
    }

    def rebuild(totals: Iterator[Any]) -> Any:
        fields = {n: d.back(metric, next(totals)) for n, d in metric._leaves.items()}
        fields |= {name: child(totals) for name, child in children.items()}
        return metric._with(**fields)

    return rebuild


def _grouped(parts: list[_Part]) -> Job:
    """Leaves of one kind are reduced as one array: hundreds compile like a few."""
    groups: dict[Any, list[int]] = {}
    for i, (kind, axes, _) in enumerate(parts):
        alike = (type(kind), *vars(kind).items(), axes) if kind else i
        groups.setdefault(alike, []).append(i)
    jobs = [_group_job([parts[i] for i in members]) for members in groups.values()]
    totals: list[Any] = [None] * len(parts)
    for members, found in zip(groups.values(), (yield from _together(jobs))):
        for i, total in zip(members, found):
            totals[i] = total
    return totals


def _group_job(parts: list[_Part]) -> Job:
    kind, axes, metric = parts[0]
    if kind is None:
        return [(yield from _gather_job(metric, axes))]
    states = [part.state for part in parts]
    parts_axis = states[0].shape[:1] if kind.parts else ()
    flat = [state.reshape(*parts_axis, -1) for state in states]
    total = yield from kind.reduce(jnp.concatenate(flat, axis=-1), axes)
    total = jnp.stack(total) if isinstance(total, tuple) else total
    ends = np.cumsum([x.shape[-1] for x in flat])
    pieces = jnp.split(total, ends[:-1], axis=-1)
    return [piece.reshape(state.shape) for piece, state in zip(pieces, states)]


def _gather_job(metric: Any, axes: tuple[str, ...]) -> Job:
    """Each shard fills its slot of a sum, which jax knows to be the same everywhere."""
    yield []
    shards, me = lax.axis_size(axes), lax.axis_index(axes)
    leaves, treedef = jax.tree.flatten(metric)
    words = [bits(x) if x.dtype != jnp.uint32 else x for x in map(jnp.asarray, leaves)]
    slots = [jnp.zeros((shards, *w.shape), jnp.uint32).at[me].set(w) for w in words]
    gathered = yield [("sum", slot) for slot in slots]
    stacked = [
        floats(g) if x.dtype == np.float32 else lax.bitcast_convert_type(g, x.dtype)
        for g, x in zip(gathered, leaves)
    ]
    return fold(jax.tree.unflatten(treedef, stacked))


def _together(jobs: list[Job]) -> Job:
    """Several jobs as one: their asks in one list, each given its own answers."""
    answers: list[Any] = [None] * len(jobs)
    for _ in range(_ROUNDS):
        asks = [job.send(answer) for job, answer in zip(jobs, answers)]
        flat = yield [ask for some in asks for ask in some]
        given = iter(flat)
        answers = [[next(given) for _ in some] for some in asks]
    return [_result(job, answer) for job, answer in zip(jobs, answers)]


def _result(job: Job, answer: list[jax.Array]) -> Any:
    try:
        job.send(answer)
    except StopIteration as done:
        return done.value
    raise RuntimeError("a leaf asked for more than two rounds of collectives")


def _packed(asks: list[Ask], axes: tuple[str, ...], tracked: bool) -> list[jax.Array]:
    """Answer all asks with one collective for each operation, type and set of axes."""
    groups: dict[tuple[str, Any, tuple[str, ...]], list[int]] = {}
    for i, (op, x) in enumerate(asks):
        over = tuple(a for a in axes if a in varying(x)) if tracked else axes
        groups.setdefault((op, x.dtype, over), []).append(i)
    answers: list[Any] = [None] * len(asks)
    for (op, _, over), members in groups.items():
        arrays = [asks[i][1] for i in members]
        flat = jnp.concatenate([x.ravel() for x in arrays])
        flat = _COLLECTIVES[op](flat, over) if over else flat
        ends = np.cumsum([x.size for x in arrays])
        for i, x, end in zip(members, arrays, ends):
            answers[i] = flat[end - x.size : end].reshape(x.shape)
    return answers
