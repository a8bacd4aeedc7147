"""What an update was given, by dataset and metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmetrics.aggregator._names import Name, shown
from jaxmetrics.aggregator._observation import Observation


class Given(NamedTuple):
    """Values of one metric of one dataset."""

    name: Name
    agg_type: Any
    values: Any
    weights: Any


def grouped(observations: Iterable[Observation]) -> list[Given]:
    """Observations by metric, in lists.

    Raises:
      TypeError: Something else is among them.
    """
    groups: dict[Any, list[Observation]] = {}
    for one in observations:
        if not isinstance(one, Observation):
            raise TypeError(
                f"MetricsAggregator.update() got a {type(one).__name__} among the "
                "observations; expected Observation. Join the lists of several samples."
            )
        group = one.dataset_name, one.name, one.agg_type
        try:
            groups[group].append(one)
        except KeyError:
            groups[group] = [one]
    found = []
    for (dataset, name, agg_type), group in groups.items():
        weights = None
        if any([one.weight is not None for one in group]):
            weights = [1.0 if one.weight is None else one.weight for one in group]
        values = [one.value for one in group]
        found.append(Given((dataset, name), agg_type, values, weights))
    return found


def spread(
    dataset: Any, agg_type: Any, mask: Any, weights: Any, arrays: Mapping[str, Any]
) -> list[Given]:
    """Arrays by metric, where a mask is true.

    Raises:
      TypeError: The mask is not of bools.
      ValueError: Shapes do not fit.
    """
    found = []
    for metric, values in arrays.items():
        name = dataset, metric
        values, its_weights = _masked(name, values, weights, mask)
        found.append(Given(name, agg_type, values, its_weights))
    return found


def _masked(name: Name, values: Any, weights: Any, mask: Any) -> tuple[Any, Any]:
    if weights is None and mask is None:
        return values, None
    where = f"MetricsAggregator: {shown(name)}"
    values = np.asarray(values)
    if weights is not None:
        weights = np.asarray(weights)
        if weights.shape != values.shape:
            raise ValueError(
                f"{where} got values of shape {values.shape} and weights of shape "
                f"{weights.shape}; expected the same shape. Broadcast the weights."
            )
    if mask is None:
        return values, weights
    mask = np.asarray(mask)
    if mask.dtype != bool:
        raise TypeError(
            f"{where} got a mask of {mask.dtype}; expected bool (True counts). Use "
            "mask > 0."
        )
    if mask.shape != values.shape[: mask.ndim]:
        raise ValueError(
            f"{where} got values of shape {values.shape} and a mask of shape "
            f"{mask.shape}; expected the leading axes of the values. Mend the mask."
        )
    return values[mask], None if weights is None else weights[mask]
