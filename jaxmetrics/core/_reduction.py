"""Reduction over mesh axes: the requests of all leaves, packed into few collectives.

Each leaf kind reduces itself by a generator that yields requests for collectives and
is sent their results (see `_kinds`). A job is such a generator, or one made of several.
`reduce` runs all of them in step, so that a tree of any size costs at most three
collectives: one maximum of uint32 in round one, one sum of uint32 and one of float32 in
round two. For a mean (a float sum and a count) over the axis "data":

    tree          Mean(total, count)
    parts         (Sum, total), (Count, count)          _plan: a flat list
    groups        {Sum: [total]}, {Count: [count]}      _group_jobs: one array a kind
    round one     Sum yields [("max", keys)], Count yields []
                  -> pmax(keys)                         _packed: one collective
    round two     Sum yields [("sum", digits), ("sum", special)],
                  Count yields [("sum", digits)]
                  -> psum(digits of both), psum(special)
    result        [total, count]                        rebuild: back into the tree

A metric with a free leaf, whose own `merge` combines it, is gathered as a whole in
round two and folded. `rebuild` takes the totals in the order of the parts.

Marks of processes ride along: words of which each shard holds those of its own process
and zeros elsewhere, so that their maximum, or their sum, has those of all. They join
the first collective of uint32 that takes place anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._arithmetic import bits, floats
from jaxmetrics.core._kinds import Request
from jaxmetrics.core._mesh import as_axes, tracks_variance, vary, varying

Job = Generator[list[Request], list[jax.Array], Any]
Rebuild = Callable[[Iterator[Any]], Any]

_ROUNDS = ("max", "sum")  # the sums may depend on the maxima
_COLLECTIVES = {"max": lax.pmax, "sum": lax.psum}


class _Part(NamedTuple):
    """A leaf with the axis of its parts first; or, without a kind, a whole metric."""

    kind: Any
    axes: tuple[str, ...]
    state: Any


def is_metric(x: Any) -> bool:
    """Return whether a node of a tree is a metric."""
    return getattr(type(x), "_leaves", None) is not None


def reduce(
    tree: Any, axis: str | Iterable[str] | None = None, marks: Any = None
) -> Any:
    """Return the total of every metric in a tree, over mesh axes or the leading axis.

    At most three collectives for any tree: max of uint32, sums of uint32 and of
    float32. With `check_vma` a metric is summed only over the axes that it varies
    over, so that one already reduced is not counted twice; without it, and in pmap
    and vmap, reducing twice cannot be seen and multiplies.

    Args:
      tree: Metrics, and containers of them.
      axis: Mesh axes; None reduces the leading axis.
      marks: Array of uint32, in which each shard has entries of its own and zeros. If
        passed, the result is a pair: the totals, and the entries of all shards.
    """
    if axis is None:
        _refuse_single(tree)
        return fold(tree)
    axes = as_axes(axis)
    tracked = all([_bound(a) for a in axes])
    parts: list[_Part] = []
    rebuild = _plan(tree, axes, tracked, parts)
    job = _group_jobs(parts)
    requests, gathered = next(job), None
    for op in _ROUNDS:
        ride = marks is not None and gathered is None and (requests or op == "sum")
        if ride:
            requests = [*requests, (op, marks)]
        results = _packed(requests, axes, tracked)
        if ride:
            gathered = results.pop()
        try:
            requests = job.send(results)
        except StopIteration as done:
            total = rebuild(iter(done.value))
            return total if marks is None else (total, gathered)
    raise RuntimeError("a leaf asked for more than two rounds of collectives")


def fold(tree: Any, over_time: bool = False) -> Any:
    """Merge along the leading axis.

    Args:
      tree: Metrics, stacked.
      over_time: The axis holds consecutive states; by default it holds shards.
    """
    first = jax.tree.map(lambda x: x[0], tree)
    rest = jax.tree.map(lambda x: x[1:], tree)

    def join(a: Any, b: Any) -> Any:
        return a.merge(b) if over_time else a.merge_shards(b)

    def step(total: Any, more: Any) -> tuple[Any, None]:
        return jax.tree.map(join, total, more, is_leaf=is_metric), None

    return lax.scan(step, first, rest)[0]


def _refuse_single(tree: Any) -> None:
    """Refuse a metric that is one state and no stack of them."""
    for metric in jax.tree.leaves(tree, is_leaf=is_metric):
        state, empty = jax.tree.leaves(metric), jax.tree.leaves(metric.identity())
        if np.ndim(state[0]) <= np.ndim(empty[0]):
            raise ValueError(
                f"reduce: {type(metric).__name__} is a single state, without a leading "
                "axis of states to be reduced: it is the total already. Inside "
                "shard_map, pmap or vmap name their axis, such as .reduce('data')."
            )


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
    """Append the parts of a tree; return a function that rebuilds it from totals."""
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
    if _is_gathered(metric):
        parts.append(_Part(None, axes, metric))
        return lambda totals: next(totals)
    layouts = metric._layout.leaves
    for name, layout in layouts.items():
        state = layout.front(getattr(metric, name))
        parts.append(_Part(layout.kind, axes, jnp.asarray(state)))
    children = {
        name: _plan(getattr(metric, name), axes, tracked, parts)
        for name in metric._children
    }

    def rebuild(totals: Iterator[Any]) -> Any:
        fields = {name: leaf.back(next(totals)) for name, leaf in layouts.items()}
        fields |= {name: child(totals) for name, child in children.items()}
        return metric.with_fields(**fields)

    return rebuild


def _is_gathered(metric: Any) -> bool:
    """Return whether a metric is folded as a whole.

    That is one with a free leaf, and one that stacks metrics with free leaves: only
    its own merge knows how to merge a stack.
    """
    if any(declared.name == "free" for declared in metric._leaves.values()):
        return True
    if not metric._stacks_children:
        return False
    children = [getattr(metric, name) for name in metric._children]
    return any(map(_is_gathered, jax.tree.leaves(children, is_leaf=is_metric)))


def _group_jobs(parts: list[_Part]) -> Job:
    """Reduce the leaves of one kind as one array: hundreds compile like a few."""
    groups: dict[Any, list[int]] = {}
    for i, (kind, axes, _) in enumerate(parts):
        group = (kind, axes) if kind else i
        groups.setdefault(group, []).append(i)
    jobs = [_group_job([parts[i] for i in members]) for members in groups.values()]
    totals: list[Any] = [None] * len(parts)
    for members, results in zip(groups.values(), (yield from _in_step(jobs))):
        for i, total in zip(members, results):
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
    """Gather a metric by a sum in which each shard fills its own slot, and fold it.

    jax knows that a sum is the same on all devices, of an all_gather it does not.
    """
    yield []
    shards, shard = lax.axis_size(axes), lax.axis_index(axes)
    leaves, treedef = jax.tree.flatten(metric)
    words = [bits(x) if x.dtype != jnp.uint32 else x for x in map(jnp.asarray, leaves)]
    slots = [jnp.zeros((shards, *w.shape), jnp.uint32).at[shard].set(w) for w in words]
    gathered = yield [("sum", slot) for slot in slots]
    stacked = [
        floats(g) if x.dtype == np.float32 else lax.bitcast_convert_type(g, x.dtype)
        for g, x in zip(gathered, leaves)
    ]
    return fold(jax.tree.unflatten(treedef, stacked))


def _in_step(jobs: list[Job]) -> Job:
    """Run several jobs as one: their requests in one list, the results handed out."""
    results: list[Any] = [None] * len(jobs)
    for _ in _ROUNDS:
        requests = [job.send(result) for job, result in zip(jobs, results)]
        flat = iter((yield [request for of_job in requests for request in of_job]))
        results = [[next(flat) for _ in of_job] for of_job in requests]
    return [_result(job, result) for job, result in zip(jobs, results)]


def _result(job: Job, results: list[jax.Array]) -> Any:
    try:
        job.send(results)
    except StopIteration as done:
        return done.value
    raise RuntimeError("a leaf asked for more than two rounds of collectives")


def _packed(
    requests: list[Request], axes: tuple[str, ...], tracked: bool
) -> list[jax.Array]:
    """Run one collective for each operation, type and set of axes of the requests."""
    groups: dict[tuple[str, Any, tuple[str, ...]], list[int]] = {}
    for i, (op, x) in enumerate(requests):
        over = tuple(a for a in axes if a in varying(x)) if tracked else axes
        groups.setdefault((op, x.dtype, over), []).append(i)
    results: list[Any] = [None] * len(requests)
    for (op, _, over), members in groups.items():
        arrays = [requests[i][1] for i in members]
        flat = jnp.concatenate([x.ravel() for x in arrays])
        flat = _COLLECTIVES[op](flat, over) if over else flat
        ends = np.cumsum([x.size for x in arrays])
        for i, x, end in zip(members, arrays, ends):
            results[i] = flat[end - x.size : end].reshape(x.shape)
    return results
