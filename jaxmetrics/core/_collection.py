"""`Collection`: named metrics that are fed the same model outputs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    ValuesView,
)
from typing import TYPE_CHECKING, Any, Self, cast

import jax
import numpy as np
from jax.tree_util import DictKey

from jaxmetrics._other_names import (
    ATTRIBUTES,
    Absent,
    attribute_error,
    explains_reading,
)
from jaxmetrics.core import _calls, _reduction
from jaxmetrics.core._arrays import is_deleted
from jaxmetrics.core._decoding import (
    computed,
    describe,
    fetch,
    fetch_arrays,
    is_fresh,
    on_host,
)
from jaxmetrics.core._display import value_table
from jaxmetrics.core._inputs import called_in_the_name_of, refuse_misspelt
from jaxmetrics.core._jax import is_tracer
from jaxmetrics.core._merging import refuse_other_shapes
from jaxmetrics.core._metric import Metric
from jaxmetrics.core._placement import Placed
from jaxmetrics.core._protocol import Reads
from jaxmetrics.core._serialization import register_for_export, register_with_flax
from jaxmetrics.core._unscored import warn_of_invalid
from jaxmetrics.core._wrapper import Wrapper
from jaxmetrics.figures import Bars, Chart, draw_charts
from jaxmetrics.record import flatten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Collection(Placed):
    """Named metrics, an immutable pytree that is updated, merged and computed as one.

    Configure each metric before it is put in: `.on(...)` is a method of metrics only.
    Metrics that are equal in class, configuration and names are stored once, children
    of metrics included: precision and recall count only once. It reads like a mapping:
    `[...]`, `in`, `len`, `keys`, `values`, `items`, `get` and `**collection`. `a | b`
    holds the metrics of both, each with its state; either may be a plain mapping.

    Args:
      metrics: Metrics by name, where names are no identifiers, such as `"top-5"`; a
        mapping or a collection, whose metrics keep their state. A nested one gives
        names with a slash: `{"val": {"loss": ...}}` is `"val/loss"`.
      **named: Metrics by name; a class stands for its default configuration.

    Raises:
      TypeError: A name is no string, or what it names is no metric.
      ValueError: One name stands for two metrics, or two equal metrics, which share a
        state, hold different ones. An empty metric takes the state of its equal.

    Example:
      >>> import jaxmetrics as jm, numpy as np
      >>> metrics = jm.Collection(loss=jm.Mean("loss"), accuracy=jm.Accuracy())
      >>> metrics = metrics | {"top-2": jm.TopKAccuracy(k=2)}
      >>> logits, labels = np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0])
      >>> metrics = metrics.update(loss=0.5, logits=logits, labels=labels)
      >>> {name: float(value) for name, value in metrics.compute().items()}
      {'loss': 0.5, 'accuracy': 0.5, 'top-2': 1.0}
    """

    # The plan says how each named metric is put together from the stored nodes: its
    # name, its treedef, and the indices of the nodes that hold its leaves in order.
    _keys: tuple[str, ...]
    _plan: tuple[tuple[str, Any, tuple[int, ...]], ...]
    _nodes: tuple[Metric, ...]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse subclasses, by which clu and flax declare the metrics."""
        fields = [n for n in inspect.get_annotations(cls) if not n.startswith("_")]
        name = fields[0] if fields else "accuracy"
        raise TypeError(
            f"{cls.__name__} derives from Collection, which is made by a call, not by "
            f"a class. Write metrics = jm.Collection({name}=jm.Accuracy(), ...)."
        )

    if not TYPE_CHECKING:  # for a type checker these would exist
        create = Absent()
        single_from_model_output = Absent()
        gather_from_model_output = Absent()

        def __getattr__(self, name: str) -> Any:
            """Raise the error of a missing attribute, and name what replaces it."""
            if name in ATTRIBUTES:
                raise attribute_error(type(self).__name__, name)
            return object.__getattribute__(self, name)  # raises

    def __init__(
        self,
        metrics: Mapping[str, Any] | Collection | None = None,
        /,
        **named: Metric | type[Metric],
    ) -> None:
        """Name the metrics, and store equal ones once."""
        given: Any = {} if metrics is None else metrics
        if not isinstance(given, Mapping | Collection):
            raise TypeError(
                f"Collection takes metrics by name, got a {type(given).__name__}. Pass "
                "a mapping, or name each metric: jm.Collection(loss=jm.Mean())."
            )
        self._store([*_pairs(given), *_pairs(named)])

    def _store(self, pairs: Iterable[tuple[str, Metric]]) -> None:
        index: dict[Any, int] = {}
        keys: list[str] = []
        stored: list[Metric] = []
        plan: dict[str, tuple[Any, tuple[int, ...]]] = {}
        for name, metric in pairs:
            places = []
            for path, node in _stored_nodes(metric, name):
                treedef = jax.tree.structure(node)
                if treedef not in index:
                    index[treedef] = len(stored)
                    stored.append(node)
                    keys.append(path)
                i = index[treedef]
                stored[i] = _one_state(keys[i], stored[i], path, node)
                places.append(i)
            entry = jax.tree.structure(metric), tuple(places)
            if plan.setdefault(name, entry) != entry:
                raise ValueError(
                    f"Collection: {name!r} names two metrics, the second "
                    f"{describe(metric, state=False)}. Give one of them another name."
                )
        self._keys, self._nodes = tuple(keys), tuple(stored)
        self._plan = tuple((name, *entry) for name, entry in plan.items())

    @property
    def higher_is_better(self) -> dict[str, Any]:
        """Declared `higher_is_better` of each metric, by name."""
        return {name: metric.higher_is_better for name, metric in self.items()}

    def __or__(self, other: Mapping[str, Any] | Collection) -> Self:
        """Return the metrics of both, with their states.

        A name in both stands for one metric, equal in both.
        """
        return self._joined(self, other)

    def __ror__(self, other: Mapping[str, Any]) -> Self:
        """Return the metrics of a mapping and of this collection."""
        return self._joined(other, self)

    def _joined(self, first: Any, second: Any) -> Self:
        for side in (first, second):
            if not isinstance(side, Mapping | Collection):
                return NotImplemented
        new = object.__new__(type(self))
        new._store([*_pairs(first), *_pairs(second)])
        return new

    def __getitem__(self, name: str) -> Metric:
        """Return one metric with its state."""
        for known, treedef, places in self._plan:
            if known == name:
                leaves = [x for i in places for x in jax.tree.leaves(self._nodes[i])]
                return jax.tree.unflatten(treedef, leaves)
        raise KeyError(
            f"Collection has no metric {name!r}; it has {list(self)}. Name one of "
            "these."
        )

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order of construction."""
        return iter([name for name, *_ in self._plan])

    def __len__(self) -> int:
        """Return the number of metrics."""
        return len(self._plan)

    def __contains__(self, name: object) -> bool:
        """Return whether a metric has this name."""
        return name in list(self)

    def keys(self) -> KeysView[str]:
        """Return a view of the names."""
        return KeysView(cast(Any, self))

    def values(self) -> ValuesView[Metric]:
        """Return a view of the metrics with their states."""
        return ValuesView(cast(Any, self))

    def items(self) -> ItemsView[str, Metric]:
        """Return a view of the pairs of name and metric."""
        return ItemsView(cast(Any, self))

    def get(self, name: str, default: Any = None) -> Any:
        """Return one metric with its state, or the default if it is not there."""
        return self[name] if name in self else default

    def empty(self, axis: str | tuple[str, ...] | None = None) -> Self:
        """Return the identity of `merge`, placed as this state is.

        See `Metric.empty`.
        """
        return self._map(lambda node: node.empty(axis))

    @_calls.by_name
    def from_model_output(self, **outputs: Any) -> Self:
        """Return the state of one batch; see `Metric.from_model_output`."""
        refuse_misspelt(_calls.reads_of(self), outputs)
        return _calls.contribution(self, outputs)

    @_calls.by_name
    def update(self, **outputs: Any) -> Self:
        """Return the state with one batch more."""
        refuse_misspelt(_calls.reads_of(self), outputs)
        return _calls.updated(self, outputs)

    @_calls.compiled_merge
    def merge(self, other: Self) -> Self:
        """Return the state of both samples.

        Raises:
          TypeError: The other holds other metrics, names or configurations.
        """
        return self._merged(other, lambda a, b: a.merge(b))

    def reduce(self, axis: str | tuple[str, ...] | None = None) -> Self:
        """Return the total over a mesh axis, in at most three collectives."""
        return self._with_nodes(_reduction.reduce(list(self._nodes), axis))

    def compute(self) -> dict[str, Any]:
        """Return the values by name.

        The values of a metric with several get flat names: `"confusion/recall"`.
        """
        values: dict[str, Any] = {}
        for name, value_of_metric in self._computed():
            for path, value in flat(name, value_of_metric).items():
                if path in values:
                    raise ValueError(
                        f"Collection: two values are named {path!r}, one of them of "
                        f"metric {name!r}. Give that metric another name."
                    )
                values[path] = value
        return values

    def _computed(self) -> Iterator[tuple[str, Any]]:
        """Return the computed value of each metric by name."""
        of_node = [jax.tree.leaves(node) for node in self._nodes]
        leaves = [x for leaves in of_node for x in leaves]
        if any(is_tracer(x) for x in leaves):
            for name, metric in self._members():
                yield name, metric.compute()
            return
        fetched = iter(fetch_arrays(leaves))
        of_node = [[next(fetched) for _ in leaves] for leaves in of_node]
        members: dict[str, Any] = {}
        for name, treedef, places in self._plan:
            own = [x for i in places for x in of_node[i]]
            members[name] = jax.tree.unflatten(treedef, own)
        if not all(isinstance(x, np.ndarray) for x in leaves):
            warn_of_invalid(members)
        for name, metric in members.items():
            yield name, computed(metric)

    def diagnostics(self) -> dict[str, float]:
        """Return what was wrong with the data, such as `"invalid/accuracy"`.

        See `Metric.diagnostics`; empty if nothing was.
        """
        state = self._with_nodes(fetch(list(self._nodes)))
        return {
            f"{what}/{name}": value
            for name, metric in state._members()
            for what, value in metric.diagnostics().items()
        }

    def plain(self) -> dict[str, Any]:
        """Return every stored leaf as `compute` sees it: `"accuracy/total"`."""
        leaves: dict[str, Any] = {}
        for key, node in zip(self._keys, self._nodes):
            leaves |= {f"{key}/{name}": value for name, value in node.plain().items()}
        return leaves

    @explains_reading
    def plot(self) -> Figure:
        """Draw the computed values, and return the matplotlib figure.

        Single numbers share a chart; every other value has a chart of its own.

        Raises:
          ImportError: matplotlib is not installed.
        """
        state = self._with_nodes(fetch(list(self._nodes))) if on_host(self) else self
        numbers: dict[str, float] = {}
        charts: dict[str, Chart] = {}
        for name, metric in state.items():
            for title, chart in metric.charts(name).items():
                if isinstance(chart, Bars) and len(chart.values) == 1:
                    numbers[title] = next(iter(chart.values.values()))
                else:
                    charts[title] = chart
        if numbers:
            charts = {"values": Bars(numbers), **charts}
        return draw_charts(charts, "metrics")

    def __repr__(self) -> str:
        """Show the metrics by name, with what they counted."""
        return self._described(state=True)

    def _repr_html_(self) -> str:
        """Return a table of the values, for notebooks."""
        return value_table(self)

    # The protocol of metrics within metrics; see _protocol.py.

    def reads(self) -> Reads:
        """Return the names of the outputs that the metrics read."""
        reads = Reads()
        for node in self._nodes:
            reads = reads | node.reads()
        return reads

    def contribution(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state of one batch, without a check of the outputs' names."""
        return self._each(lambda node: node.contribution(outputs))

    def updated(self, outputs: Mapping[str, Any]) -> Self:
        """Return the state with one more batch, without a check of the names."""
        return self._each(lambda node: node.updated(outputs))

    def reproducible(self) -> Self:
        """Return the empty metrics with exact sums; see `Metric.reproducible`."""
        return type(self)({name: x.reproducible() for name, x in self.items()})

    def identity(self) -> Self:
        """Return the empty state with host arrays: the identity of `merge`."""
        return self._map(lambda node: node.identity())

    def renamed(self, names: Mapping[str, str]) -> Self:
        """Return the metrics reading other outputs; unknown arguments are ignored."""
        return type(self)(**{n: metric.renamed(names) for n, metric in self.items()})

    def merge_shards(self, other: Self) -> Self:
        """Return the state of two shards of the same batches; see `Windowed`."""
        return self._merged(other, lambda a, b: a.merge_shards(b))

    def _described(self, state: bool) -> str:
        shown = {name: describe(metric, state) for name, metric in self.items()}
        if all(name.isidentifier() for name in shown):
            return (
                f"Collection({', '.join(f'{n}={text}' for n, text in shown.items())})"
            )
        entries = ", ".join(f"{name!r}: {text}" for name, text in shown.items())
        return f"Collection({{{entries}}})"

    def _merged(self, other: Self, join: Callable[[Metric, Metric], Metric]) -> Self:
        if jax.tree.structure(self) != jax.tree.structure(other):
            ours, theirs = describe(self, state=False), describe(other, state=False)
            raise TypeError(
                f"Cannot merge {ours} with {theirs}: only states of one collection add "
                "up. Make both from the same collection."
            )
        refuse_other_shapes(self, other)
        pairs = zip(self._nodes, other._nodes)
        return self._with_nodes([join(a, b) for a, b in pairs])

    def _each(self, function: Callable[[Metric], Metric]) -> Self:
        """Apply a function that observes; errors name the metric that the user gave."""
        nodes = []
        for i, node in enumerate(self._nodes):
            metric = functools.partial(self._metric_of_node, i)
            call = functools.partial(function, node)
            nodes.append(called_in_the_name_of(metric, call))
        return self._with_nodes(nodes)

    def _members(self) -> Iterator[tuple[str, Metric]]:
        """Return what `items` does, in one pass over the nodes."""
        of_node = [jax.tree.leaves(node) for node in self._nodes]
        for name, treedef, places in self._plan:
            leaves = [x for i in places for x in of_node[i]]
            yield name, jax.tree.unflatten(treedef, leaves)

    def _aliases(self) -> dict[str, str]:
        """Return by further path of a shared node the key under which it is stored."""
        aliases = {}
        for (name, metric), (*_, places) in zip(self._members(), self._plan):
            for (path, _), i in zip(_stored_nodes(metric, name), places):
                if path != self._keys[i]:
                    aliases[path] = self._keys[i]
        return aliases

    def _metric_of_node(self, index: int) -> Metric | None:
        """Return the metric that is stored as a node among others; None if it is it."""
        users = [self[name] for name, _, places in self._plan if index in places]
        node = type(self._nodes[index])
        return None if node in map(type, users) else users[0]

    def _map(self, function: Callable[[Metric], Metric]) -> Self:
        return self._with_nodes([function(node) for node in self._nodes])

    def _with_nodes(self, nodes: list[Any]) -> Self:
        return rebuilt_collection((self._keys, self._plan), nodes)


def flat(name: str, value: Any) -> dict[str, Any]:
    """Return a computed value by name; a mapping's entries get the name as prefix."""
    if not isinstance(value, Mapping):
        return {name: value}
    parts = flatten(value, name)
    return {path: part for path, part in parts if not isinstance(part, Mapping)}


def _stored_nodes(metric: Metric, path: str) -> list[tuple[str, Metric]]:
    """Return the metrics to store, by path.

    A metric that only computes from children is stored as these, so that another
    metric with equal children shares them.
    """
    if isinstance(metric, Collection):
        return [(f"{path}.{k}", node) for k, node in zip(metric._keys, metric._nodes)]
    if not _only_computes(metric):
        return [(path, metric)]
    nodes = []
    for name in metric._children:
        nodes += _stored_nodes(getattr(metric, name), f"{path}.{name}")
    return nodes


def _only_computes(metric: Metric) -> bool:
    """Return whether the state is that of the children, and changed by them alone."""
    cls = type(metric)
    if metric._leaves or cls._stacks_children or metric._not_deferred:
        return False
    base = Metric
    hooks = ["reads", "contribution", "updated", "identity", "merge", "merge_shards"]
    if isinstance(metric, Wrapper):
        if metric._reads:
            return False
        base, hooks = Wrapper, [*hooks, "transform"]
    return all(getattr(cls, name) is getattr(base, name) for name in hooks)


def _pairs(metrics: Any, prefix: str = "") -> Iterator[tuple[str, Metric]]:
    """Yield metrics by name, those of nested mappings too."""
    for name, metric in metrics.items():
        if not isinstance(name, str) or not name:
            raise TypeError(
                f"Collection: name {name!r} is a {type(name).__name__}; names are "
                "strings, not empty. Convert it with str()."
            )
        if isinstance(metric, Mapping | Collection):
            yield from _pairs(metric, f"{prefix}{name}/")
            continue
        metric = metric() if isinstance(metric, type) else metric
        if not isinstance(metric, Metric):
            raise TypeError(
                f"Collection: {prefix}{name} is a {type(metric).__name__}, not a "
                "metric. Pass an instance such as jm.Accuracy()."
            )
        yield f"{prefix}{name}", metric


def _one_state(path: str, node: Metric, other_path: str, other: Metric) -> Metric:
    """Return the state of two equal metrics, of which one may be new and empty."""
    if is_fresh(other) or _holds_same(node, other):
        return node
    if is_fresh(node):
        return other
    raise ValueError(
        f"Collection: {path} and {other_path} are equal metrics, which share one "
        "state, but hold different ones. Merge the two, or start one with empty()."
    )


def _holds_same(node: Metric, other: Metric) -> bool:
    """Return whether two states of one structure are the same arrays, or equal."""
    pairs = list(zip(jax.tree.leaves(node), jax.tree.leaves(other)))
    if all(a is b for a, b in pairs):
        return True
    if not on_host((node, other)) or not all(_is_readable(x) for p in pairs for x in p):
        return False
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


def _is_readable(leaf: Any) -> bool:
    if not isinstance(leaf, jax.Array):
        return True
    if is_deleted(leaf):
        return False
    return leaf.is_fully_addressable or leaf.is_fully_replicated


def rebuilt_collection(structure: tuple[Any, Any], nodes: Any) -> Any:
    """Return a collection of its keys and plan, and its nodes."""
    register_with_flax(Collection)
    new = object.__new__(Collection)
    new._keys, new._plan = structure
    new._nodes = tuple(nodes)
    return new


jax.tree_util.register_pytree_with_keys(
    Collection,
    lambda c: (tuple(zip(map(DictKey, c._keys), c._nodes)), (c._keys, c._plan)),
    rebuilt_collection,
    lambda c: (c._nodes, (c._keys, c._plan)),
)
register_for_export(Collection)
