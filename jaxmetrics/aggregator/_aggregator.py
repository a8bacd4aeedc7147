"""Totals per dataset and metric, over samples, processes and restarts."""

from __future__ import annotations

import contextlib
import sys
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from jaxmetrics._other_names import explains_arguments
from jaxmetrics.aggregator._categories import DEFAULT_MAX_CATEGORIES
from jaxmetrics.aggregator._inputs import (
    Batch,
    Name,
    from_arrays,
    from_observations,
    name_text,
    require_valid_name,
)
from jaxmetrics.aggregator._metric_total import MetricHandler
from jaxmetrics.aggregator._observation import AggregationType, Observation
from jaxmetrics.aggregator._totals import Total
from jaxmetrics.aggregator._types import AggregationTypes, to_state
from jaxmetrics.processes import (
    EXCHANGE_TIMEOUT,
    exchange,
    identity_is_known,
    process_count,
)
from jaxmetrics.record import (
    key,
    one_or_many,
    pack,
    require_integers,
    require_texts,
    states,
    unpack,
)

_SCHEMA = 1
_TAG = "aggregator"


class MetricsAggregator:
    """Totals of the observations of each sample, per dataset and metric.

    Integers add up exactly and floats in compensated float64, on the host. Values
    that are not finite are left out and counted in `{name}_nonfinite`. Every process
    updates its own aggregator; `get_metrics_for_logging` and `state_dict` combine
    them. Threads may share one.

    Args:
      datasets: Names of the datasets; any other is an error. Default: any name.
      max_categories: Maximum number of categories of one metric with a count of their
        own; further ones are counted together in `{name}_overflow`.

    Example:
      >>> import jaxmetrics as jm
      >>> aggregator = jm.MetricsAggregator()
      >>> aggregator.update("alpaca", jm.AggregationType.SUM, tokens_seen=[100, 100])
      >>> aggregator.get_metrics_for_logging(prefix="train")
      {'train_alpaca/tokens_seen': 200.0, 'train_alpaca/avg_tokens_seen': 100.0}
    """

    @explains_arguments
    def __init__(
        self,
        *,
        datasets: Sequence[str] | None = None,
        max_categories: int = DEFAULT_MAX_CATEGORIES,
    ) -> None:
        """Start without totals."""
        require_integers("MetricsAggregator", max_categories=max_categories)
        require_texts(
            "MetricsAggregator", datasets=() if datasets is None else datasets
        )
        if max_categories < 1:
            raise ValueError(
                f"MetricsAggregator got max_categories={max_categories}; expected at "
                "least 1. Leave it out for 1,000."
            )
        self._datasets = None if datasets is None else frozenset(one_or_many(datasets))
        self._types = AggregationTypes(max_categories)
        self._restored: dict[Name, Total] = {}  # totals of all processes
        self._observed: dict[Name, Total] = {}  # later totals of this process
        self._lock = threading.Lock()

    def register_handler(self, agg_type: AggregationType | str, metric: Any) -> None:
        """Compute the totals of an aggregation type with a metric.

        Every process registers the same metric, before the first value of that type
        and before `load_state_dict`. The metric gets many values at a time, in 32 bits
        and including NaN; `Windowed` and `BestOf` get one at a time, so that a window
        is a number of values.

        Args:
          agg_type: A new name, or an `AggregationType`, which the metric replaces.
          metric: A `Metric`, or its class, that reads one output and a mask.

        Raises:
          TypeError: It is not a metric.
          ValueError: It reads other outputs, or the type has values already.
        """
        if not isinstance(agg_type, str):
            raise TypeError(
                f"register_handler() got a type of {type(agg_type).__name__}; expected "
                "an AggregationType or a str. Pass a name."
            )
        handler = MetricHandler(str(agg_type), metric)
        with self._lock:
            for name, total in [*self._restored.items(), *self._observed.items()]:
                if total.agg_type == agg_type:
                    raise ValueError(
                        f"register_handler({str(agg_type)!r}) was called after values "
                        f"of that type, of {name_text(name)}. Register before the "
                        f"first."
                    )
            self._types.register(handler)

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
        """Add observations, or arrays of values; an update that fails adds nothing.

        Args:
          observations: List of `Observation`; or a dataset, followed by the type.
          agg_type: How the values are aggregated.
          mask: Entries that count, bool, in the shape of the leading axes of the
            arrays. Default: all.
          weights: Weights for MEAN; same shape as the arrays, non-negative.
          **arrays: Host values by metric, of any shape; each entry is an observation.

        Raises:
          TypeError: There are no values, or some of a kind that the type does not take.
          ValueError: A metric has another type already, the type is unknown, or
            values, weights or names are not valid.
          KeyError: The dataset is not one of `datasets`.
        """
        if agg_type is not None:
            if not arrays:
                raise TypeError(
                    f"MetricsAggregator.update() got no arrays of {observations!r} as "
                    f"{agg_type!s}; expected update(dataset, agg_type, name=array). "
                    "Pass the values by name."
                )
            batches = from_arrays(observations, agg_type, mask, weights, arrays)
        elif (
            isinstance(observations, str)
            or arrays
            or mask is not None
            or weights is not None
        ):
            raise TypeError(
                "MetricsAggregator.update() got arrays, a mask or weights without a "
                "type; expected update(dataset, agg_type, name=array), or a list of "
                "Observation. Name the AggregationType, or pass weights in each "
                "Observation."
            )
        else:
            batches = from_observations(observations)
        with self._lock:
            self._continue_restored()
            new: dict[Name, Total] = {}
            ready = [self._read(batch, new) for batch in batches]
            self._observed |= new
            for total, values, checked_weights in ready:
                total.add(values, checked_weights)

    def get_metrics_for_logging(
        self, prefix: str = "train", *, timeout: float = EXCHANGE_TIMEOUT
    ) -> dict[str, Any]:
        """Return the totals of all processes by key; every process calls it.

        A key is `{prefix}_{dataset}/{name}`. SUM has `avg_{name}` too, unless that is
        another metric; DISTRIBUTION `{name}_stat_{mean,min,max,p05,p50,p95,p99,std}`;
        CATEGORICAL_COUNT `{name}_count_{category}`. All processes get the same values.

        Args:
          prefix: Split of the keys.
          timeout: Seconds to wait for other processes.

        Raises:
          MissingHostError: A process did not take part in time.
          ValueError: The type of a metric differs between processes, or two metrics
            have the same key.
        """
        totals = self._reduced(timeout)
        values: dict[str, Any] = {}
        for (dataset, name), total in totals.items():
            for part, value in total.results(name).items():
                if part == f"avg_{name}" and (dataset, part) in totals:
                    continue
                full_key = key(part, prefix, dataset)
                if full_key in values:
                    raise ValueError(
                        f"MetricsAggregator: {dataset}/{name} and another metric both "
                        f"have the key {full_key!r}. Rename one of them."
                    )
                values[full_key] = value
        return values

    def state_dict(self, *, timeout: float = EXCHANGE_TIMEOUT) -> dict[str, Any]:
        """Return the totals of all processes for a checkpoint; every process calls it.

        Plain Python values and NumPy arrays, the same on each process, so that any
        number of processes may load them.

        Args:
          timeout: Seconds to wait for other processes.

        Raises:
          MissingHostError: A process did not take part in time.
          ValueError: The type of a metric differs between processes.
        """
        totals = self._reduced(timeout)
        entries = [
            {"dataset": name[0], "name": name[1], **to_state(total)}
            for name, total in totals.items()
        ]
        return {"schema": _SCHEMA, "totals": entries}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`; earlier observations are dropped.

        Every process loads the same state, also after a round trip through JSON or
        orbax; it is counted once.

        Raises:
          ValueError: The state has another schema, types that are not registered, or
            is not a state; nothing is changed.
        """
        schema = None
        with contextlib.suppress(TypeError, ValueError):
            schema = states.fields_of(schema=states.integer)(state)["schema"]
        if schema != _SCHEMA:
            raise ValueError(
                f"MetricsAggregator got a state of schema {schema}; this version reads "
                f"{_SCHEMA}. Load it with the version that saved it."
            )
        entry = states.fields_of(
            dataset=states.text, name=states.text, type=states.text, state=dict
        )
        saved = states.read("MetricsAggregator", state, totals=states.list_of(entry))
        with self._lock:
            restored = {}
            for total in saved["totals"]:
                name = total["dataset"], total["name"]
                restored[name] = self._types.from_state(name, total)
            self._restored, self._observed = restored, {}

    def state(self) -> dict[str, Any]:
        """Return the `state_dict`, for `checkpoint.args`; every process calls it."""
        return self.state_dict()

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state`, as `load_state_dict`."""
        self.load_state_dict(state)

    def reset(self) -> None:
        """Begin without totals; registered metrics stay. Every process calls it."""
        with self._lock:
            self._restored, self._observed = {}, {}

    def _continue_restored(self) -> None:
        """Let a process that is alone add later values to the restored totals.

        Merging them as a second total would round differently than an uninterrupted
        run. Whether there are other processes is known once JAX has started.
        """
        if self._restored and identity_is_known() and process_count() == 1:
            for name, total in [*self._restored.items()]:
                if total.continues and name not in self._observed:
                    self._observed[name] = self._restored.pop(name)

    def _read(self, batch: Batch, new: dict[Name, Total]) -> tuple[Total, Any, Any]:
        """Return the total that a batch belongs to, and its values and weights."""
        name, agg_type, values, weights = batch
        total = self._observed.get(name) or new.get(name)
        if total is None:
            restored = self._restored.get(name)
            if restored is None:
                require_valid_name(name, self._datasets)
            total = new[name] = self._types.empty(
                restored.agg_type if restored else agg_type
            )
        if total.agg_type != agg_type:
            raise ValueError(
                f"MetricsAggregator.update() got {name_text(name)} as {agg_type!s}; it "
                f"has been {total.agg_type} so far. Give one of them another name."
            )
        where = f"MetricsAggregator: {name_text(name)}"
        return total, *total.read(where, values, weights)

    def _reduced(self, timeout: float) -> dict[Name, Total]:
        """Return restored totals and those of all processes, sorted by name."""
        jax = sys.modules.get("jax")
        if jax is None or jax.process_count() == 1:
            with self._lock:
                return self._types.combine(self._restored, self._observed)
        with self._lock:
            own = [[*name, to_state(total)] for name, total in self._observed.items()]
        payloads = exchange(_TAG, zlib.compress(pack(own), 1), timeout)
        processes = [
            {
                (dataset, name): state
                for dataset, name, state in unpack(zlib.decompress(payload))
            }
            for payload in payloads.values()
        ]
        observed = self._types.join_processes(processes)
        with self._lock:
            return self._types.combine(self._restored, observed)
