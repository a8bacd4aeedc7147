"""`Collection`: named metrics that are fed the same model outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import jax
from jax.tree_util import DictKey

from jaxmetrics.core import _inputs, _reduction
from jaxmetrics.core._decoding import describe, fetch, on_host
from jaxmetrics.core._metric import Metric
from jaxmetrics.core._placement import Placed
from jaxmetrics.record import flatten


class Collection(Placed):
    """Named metrics, an immutable pytree with the methods of one metric.

    Metrics that are equal in class, configuration and names are stored once, children
    of metrics included: precision and recall count only once.

    Example:
      >>> import jaxmetrics as jm, numpy as np
      >>> metrics = jm.Collection(loss=jm.Mean("loss"), accuracy=jm.Accuracy())
      >>> logits, labels = np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0])
      >>> metrics = metrics.update(loss=0.5, logits=logits, labels=labels)
      >>> {name: float(value) for name, value in metrics.compute().items()}
      {'loss': 0.5, 'accuracy': 0.5}
    """

    def __init__(self, /, **metrics: Metric | type[Metric]) -> None:
        """Name the metrics; a class stands for its default configuration."""
        nodes: dict[Any, int] = {}
        keys: list[str] = []
        stored: list[Metric] = []
        plan = []
        for name, metric in metrics.items():
            metric = metric() if isinstance(metric, type) else metric
            _refuse_stranger(name, metric)
            places = []
            for path, node in _stored_nodes(metric, name):
                treedef = jax.tree.structure(node)
                if treedef not in nodes:
                    nodes[treedef] = len(stored)
                    stored.append(node)
                    keys.append(path)
                places.append(nodes[treedef])
            plan.append((name, jax.tree.structure(metric), tuple(places)))
        self._keys, self._plan, self._nodes = tuple(keys), tuple(plan), tuple(stored)

    def __getitem__(self, name: str) -> Metric:
        """One metric with its state."""
        for known, treedef, places in self._plan:
            if known == name:
                leaves = [x for i in places for x in jax.tree.leaves(self._nodes[i])]
                return jax.tree.unflatten(treedef, leaves)
        raise KeyError(f"No metric {name!r} here; there are {list(self)}.")

    def __iter__(self) -> Iterator[str]:
        """The names, in the order given."""
        return iter([name for name, *_ in self._plan])

    def __len__(self) -> int:
        """How many metrics there are."""
        return len(self._plan)

    def __contains__(self, name: object) -> bool:
        """Whether a metric has this name."""
        return name in list(self)

    def items(self) -> Iterator[tuple[str, Metric]]:
        """Pairs of name and metric."""
        return ((name, self[name]) for name in self)

    def empty(self, axis: str | tuple[str, ...] | None = None) -> Self:
        """The identity of `merge`, placed as this state is; see `Metric.empty`."""
        return self._map(lambda node: node.empty(axis))

    def from_model_output(self, **outputs: Any) -> Self:
        """The state of one batch; see `Metric.from_model_output`."""
        _inputs.refuse_misspelt(*self._names(), outputs)
        return self._contribution(outputs)

    def update(self, **outputs: Any) -> Self:
        """The state with one batch more."""
        _inputs.refuse_misspelt(*self._names(), outputs)
        return self._updated(outputs)

    def merge(self, other: Self) -> Self:
        """The state of both samples.

        Raises:
          TypeError: if the other holds other metrics, names or configurations.
        """
        if jax.tree.structure(self) != jax.tree.structure(other):
            mine, its = describe(self, state=False), describe(other, state=False)
            raise TypeError(
                f"Cannot merge {mine} with {its}: only states of one collection add "
                "up. Make both from the same collection."
            )
        return self._with([a.merge(b) for a, b in zip(self._nodes, other._nodes)])

    def reduce(self, axis: str | tuple[str, ...] | None = None) -> Self:
        """The total over a mesh axis, in at most three collectives."""
        return self._with(_reduction.reduce(list(self._nodes), axis))

    def compute(self) -> dict[str, Any]:
        """The values by name, flat: `"confusion/recall"` where a metric has several."""
        here = self._with(fetch(list(self._nodes))) if on_host(self) else self
        values: dict[str, Any] = {}
        for name, metric in here.items():
            values.update(flat(name, metric.compute()))
        return values

    def plain(self) -> dict[str, Any]:
        """Every stored leaf as `compute` sees it: `"accuracy/total"`."""
        found: dict[str, Any] = {}
        for key, node in zip(self._keys, self._nodes):
            found |= {f"{key}/{name}": value for name, value in node.plain().items()}
        return found

    def __repr__(self) -> str:
        """The metrics by name, with what they counted."""
        return self._described(state=True)

    def _described(self, state: bool) -> str:
        shown = [f"{name}={describe(metric, state)}" for name, metric in self.items()]
        return f"Collection({', '.join(shown)})"

    def _names(self) -> tuple[set[str], set[str]]:
        required, optional = set(), set()
        for node in self._nodes:
            more = node._names()
            required, optional = required | more[0], optional | more[1]
        return required, optional - required

    def _contribution(self, outputs: Mapping[str, Any]) -> Self:
        return self._map(lambda node: node._contribution(outputs))

    def _given(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        required, optional = self._names()
        return {n: x for n, x in outputs.items() if n in required | optional}

    def _all_arguments(self) -> dict[str, bool]:
        known: dict[str, bool] = {}
        for node in self._nodes:
            known |= node._all_arguments()
        return known

    def _renamed(self, names: Mapping[str, str]) -> Self:
        renamed = {}
        for name, metric in self.items():
            its = {n: x for n, x in names.items() if n in metric._all_arguments()}
            renamed[name] = metric._renamed(its)
        return type(self)(**renamed)

    def _source_of_mask(self) -> str:
        return self._nodes[0]._source_of_mask()

    def _identity(self) -> Self:
        return self._map(lambda node: node._identity())

    def _updated(self, outputs: Mapping[str, Any]) -> Self:
        return self._map(lambda node: node._updated(outputs))

    def _map(self, function: Callable[[Metric], Metric]) -> Self:
        return self._with([function(node) for node in self._nodes])

    def _with(self, nodes: list[Any]) -> Self:
        return _rebuilt((self._keys, self._plan), nodes)


def flat(name: str, value: Any) -> dict[str, Any]:
    """Return a computed value by name; a mapping's entries get the name as prefix."""
    parts = flatten(value, name)
    return {path: part for path, part in parts if not isinstance(part, Mapping)}


def _stored_nodes(metric: Metric, path: str) -> list[tuple[str, Metric]]:
    """A metric that only computes from children is stored as these."""
    if isinstance(metric, Collection):
        return [(f"{path}.{k}", node) for k, node in zip(metric._keys, metric._nodes)]
    if metric._leaves or type(metric)._contribution is not Metric._contribution:
        return [(path, metric)]
    nodes = []
    for name in metric._children:
        nodes += _stored_nodes(getattr(metric, name), f"{path}.{name}")
    return nodes


def _refuse_stranger(name: str, metric: Any) -> None:
    if not isinstance(metric, Metric):
        raise TypeError(
            f"Collection: {name} is a {type(metric).__name__}, not a metric. Pass an "
            "instance such as jm.Accuracy()."
        )


def _rebuilt(structure: tuple[Any, Any], nodes: Any) -> Any:
    new = object.__new__(Collection)
    new._keys, new._plan = structure
    new._nodes = tuple(nodes)
    return new


jax.tree_util.register_pytree_with_keys(
    Collection,
    lambda c: (tuple(zip(map(DictKey, c._keys), c._nodes)), (c._keys, c._plan)),
    _rebuilt,
    lambda c: (c._nodes, (c._keys, c._plan)),
)
