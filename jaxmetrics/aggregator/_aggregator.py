"""Totals per dataset and metric: over samples, processes and restarts."""

from __future__ import annotations

import sys
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from jaxmetrics.aggregator._categories import LIMIT
from jaxmetrics.aggregator._given import Given, grouped, spread
from jaxmetrics.aggregator._kinds import Kinds, saved
from jaxmetrics.aggregator._names import Name, check, shown
from jaxmetrics.aggregator._observation import AggregationType, Observation
from jaxmetrics.aggregator._registered import Handler
from jaxmetrics.aggregator._totals import Total
from jaxmetrics.record import key, pack, unpack

_SCHEMA = 1
_TAG = "aggregator"
_PATIENCE = 300.0  # as hosts.PATIENCE, without loading jax for it


class MetricsAggregator:
    """Totals of what was observed of each sample, per dataset and metric.

    Integers add up exactly and floats in compensated float64, on the host. Values
    that are not finite are left out and counted, `{name}_nonfinite`. Every process
    updates its own; `get_metrics_for_logging` and `state_dict` bring them together.
    Threads may share one.

    Args:
      datasets: The datasets there are; another one is then an error. None takes any.
      max_categories: How many categories of one metric are told apart; observations
        of more are counted together, `{name}_overflow`.

    Example:
      >>> import jaxmetrics as jm
      >>> aggregator = jm.MetricsAggregator()
      >>> aggregator.update("alpaca", jm.AggregationType.SUM, tokens_seen=[100, 100])
      >>> aggregator.get_metrics_for_logging(prefix="train")
      {'train_alpaca/tokens_seen': 200.0, 'train_alpaca/avg_tokens_seen': 100.0}
    """

    def __init__(
        self, *, datasets: Sequence[str] | None = None, max_categories: int = LIMIT
    ) -> None:
        """Begin with no totals."""
        if max_categories < 1:
            raise ValueError(
                f"MetricsAggregator got max_categories={max_categories}; expected at "
                "least 1. Leave it out for 1,000."
            )
        self._datasets = None if datasets is None else frozenset(datasets)
        self._kinds = Kinds(max_categories)
        self._base: dict[Name, Total] = {}  # what a restore brought, on all processes
        self._mine: dict[Name, Total] = {}  # what this process has seen since
        self._lock = threading.Lock()

    def register_handler(self, agg_type: AggregationType | str, metric: Any) -> None:
        """Let a metric do the arithmetic of an aggregation type, yours or ours.

        Every process registers the same, before the first value of that type comes
        and before `load_state_dict`. Values come in bulk, in 32 bits, NaN too; to a
        `Windowed` or `BestOf` one at a time, so that a window is one of values.

        Args:
          agg_type: A string of your own, or a member, which it then replaces.
          metric: A `Metric` of one output (its class will do) that takes a mask.

        Raises:
          TypeError: It is no metric.
          ValueError: It reads more than values, or the type is in use.
        """
        if not isinstance(agg_type, str):
            raise TypeError(
                f"register_handler() got a type of {type(agg_type).__name__}; expected "
                "an AggregationType or a str. Pass a name."
            )
        handler = Handler(str(agg_type), metric)
        with self._lock:
            for name, total in [*self._base.items(), *self._mine.items()]:
                if total.agg_type == agg_type:
                    raise ValueError(
                        f"register_handler({str(agg_type)!r}) came after values of "
                        f"that type, of {shown(name)}. Register before the first."
                    )
            self._kinds.register(handler)

    @overload
    def update(self, observations: Iterable[Observation], /) -> None: ...

    @overload
    def update(
        self,
        dataset: str,
        agg_type: AggregationType | str,
        /,
        *,
        mask: Any = None,
        weights: Any = None,
        **arrays: Any,
    ) -> None: ...

    def update(
        self,
        observations: Any,
        agg_type: Any = None,
        /,
        *,
        mask: Any = None,
        weights: Any = None,
        **arrays: Any,
    ) -> None:
        """Take in observations, or arrays of them; if it fails nothing has changed.

        Args:
          observations: A list of `Observation`; or a dataset, and then the type.
          agg_type: How the arrays add up.
          mask: Which entries count, bool, of the arrays' leading axes.
          weights: Of a MEAN, of the arrays' shape, at least 0.
          **arrays: By metric, host values of any shape; each entry is an observation.

        Raises:
          TypeError: Values of a kind that the type does not take.
          ValueError: A metric that came with another type before, an unknown type, or
            values, weights or names that cannot be.
          KeyError: A dataset that was not announced.
        """
        if agg_type is not None:
            given = spread(observations, agg_type, mask, weights, arrays)
        elif isinstance(observations, str) or arrays:
            raise TypeError(
                "MetricsAggregator.update() got arrays without a type; expected "
                "update(dataset, agg_type, name=array), or a list of Observation. Name "
                "the AggregationType."
            )
        else:
            given = grouped(observations)
        with self._lock:
            fresh: dict[Name, Total] = {}
            ready = [self._read(each, fresh) for each in given]
            self._mine |= fresh
            for total, values, its_weights in ready:
                total.add(values, its_weights)

    def get_metrics_for_logging(
        self, prefix: str = "train", *, timeout: float = _PATIENCE
    ) -> dict[str, Any]:
        """The totals of all processes by key, the same on each; all of them call it.

        A key is `{prefix}_{dataset}/{name}`. SUM has `avg_{name}` too, unless that is
        a metric of its own; DISTRIBUTION `{name}_stat_{mean,min,max,p05,p50,p95,p99,
        std}`; CATEGORICAL_COUNT `{name}_count_{category}`.

        Args:
          prefix: The split.
          timeout: Seconds to wait for other processes.

        Raises:
          MissingHostError: A process did not come in time.
          ValueError: A metric has another type on another process, or two metrics
            give one key.
        """
        totals = self._reduced(timeout)
        found: dict[str, Any] = {}
        for (dataset, name), total in totals.items():
            for part, value in total.results(name).items():
                if part == f"avg_{name}" and (dataset, part) in totals:
                    continue
                at = key(part, prefix, dataset)
                if at in found:
                    raise ValueError(
                        f"MetricsAggregator: {dataset}/{name} and another metric both "
                        f"give {at!r}. Rename one of them."
                    )
                found[at] = value
        return found

    def state_dict(self, *, timeout: float = _PATIENCE) -> dict[str, Any]:
        """The totals of all processes, to save with the model; all of them call it.

        Plain Python values and NumPy arrays, the same on each process. It is reduced:
        any number of processes may load it.
        """
        totals = self._reduced(timeout)
        entries = [
            {"dataset": name[0], "name": name[1], **saved(total)}
            for name, total in totals.items()
        ]
        return {"schema": _SCHEMA, "totals": entries}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`; what was observed here before is dropped.

        Every process loads the same state, and it counts once.

        Raises:
          ValueError: It is of another schema, or of metrics not registered here.
        """
        if state.get("schema") != _SCHEMA:
            raise ValueError(
                f"MetricsAggregator got a state of schema {state.get('schema')}; this "
                f"version reads {_SCHEMA}. Load it with the version that saved it."
            )
        with self._lock:
            base = {
                (entry["dataset"], entry["name"]): self._kinds.loaded(entry)
                for entry in state["totals"]
            }
            self._base, self._mine = base, {}

    def _read(self, given: Given, fresh: dict[Name, Total]) -> tuple[Total, Any, Any]:
        """The total that an update belongs to, and what is to be added to it."""
        name, agg_type, values, weights = given
        total = self._mine.get(name) or fresh.get(name)
        if total is None:
            known = self._base.get(name)
            if known is None:
                check(name, self._datasets)
            total = fresh[name] = self._kinds.empty(
                known.agg_type if known else agg_type
            )
        if total.agg_type != agg_type:
            raise ValueError(
                f"MetricsAggregator.update() got {shown(name)} as {agg_type!s}; it has "
                f"been {total.agg_type} so far. Give one of them another name."
            )
        return total, *total.read(f"MetricsAggregator: {shown(name)}", values, weights)

    def _reduced(self, timeout: float) -> dict[Name, Total]:
        """The totals of all processes, and of what a restore brought, in order."""
        jax = sys.modules.get("jax")
        if jax is None or jax.process_count() == 1:
            with self._lock:
                return self._kinds.in_turn(self._base, self._mine)
        from jaxmetrics.processes import exchange

        with self._lock:
            mine = [[*name, saved(total)] for name, total in self._mine.items()]
        said = zlib.compress(pack(mine), 1)
        told = [
            unpack(zlib.decompress(x)) for x in exchange(_TAG, said, timeout).values()
        ]
        processes = [{(name[0], name[1]): its for *name, its in each} for each in told]
        since = self._kinds.joined(processes)
        with self._lock:
            return self._kinds.in_turn(self._base, since)
