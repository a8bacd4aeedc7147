"""Reduction over mesh axes: what all leaves ask for, in one collective of each kind."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core._arithmetic import bits, floats
from jaxmetrics.core._kinds import Ask
from jaxmetrics.core._mesh import as_axes, tracks_variance, vary, varying

Job = Generator[list[Ask], list[jax.Array], Any]

_ROUNDS = 2  # maxima, then sums that may depend on them
_COLLECTIVES = {"max": lax.pmax, "sum": lax.psum}


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
    job = _tree_job(tree, axes, tracked)
    asks = next(job)
    for _ in range(_ROUNDS):
        try:
            asks = job.send(_packed(asks, axes, tracked))
        except StopIteration as done:
            return done.value
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


def _metric_job(metric: Any, axes: tuple[str, ...], tracked: bool) -> Job:
    if tracked:
        seen = varying(metric)
        axes = tuple(axis for axis in axes if axis in seen)
        metric = vary(metric, axes)
    if not axes:
        return _nothing(metric)
    if any(declared.name == "free" for declared in metric._leaves.values()):
        return _gather_job(metric, axes)
    return _leaves_job(metric, axes, tracked)


def _tree_job(tree: Any, axes: tuple[str, ...], tracked: bool) -> Job:
    metrics, treedef = jax.tree.flatten(tree, is_leaf=is_metric)
    jobs = [_metric_job(metric, axes, tracked) for metric in metrics]
    return jax.tree.unflatten(treedef, (yield from _together(jobs)))


def _leaves_job(metric: Any, axes: tuple[str, ...], tracked: bool) -> Job:
    jobs = [
        declared.reduce(metric, getattr(metric, name), axes)
        for name, declared in metric._leaves.items()
    ]
    for name in metric._children:
        jobs.append(_tree_job(getattr(metric, name), axes, tracked))
    reduced = yield from _together(jobs)
    return metric._with(**dict(zip((*metric._leaves, *metric._children), reduced)))


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


def _nothing(metric: Any) -> Job:
    yield []
    yield []
    return metric


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
