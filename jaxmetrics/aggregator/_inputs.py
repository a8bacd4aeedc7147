"""Inputs of an update: names, and values as NumPy arrays, checked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxmetrics.aggregator._observation import Observation
from jaxmetrics.record import key, refuse_masked

Name = tuple[str, str]
"""Name of a dataset and name of a metric."""

_MAX_NAME_LENGTH = 100


class Batch(NamedTuple):
    """Values of one metric of one dataset.

    Attributes:
      name: Dataset and metric.
      agg_type: An `AggregationType`, or the name of a registered metric.
      values: Numbers or categories, without those that are masked out.
      weights: Weights in the shape of the values, or None.
    """

    name: Name
    agg_type: Any
    values: Any
    weights: Any


def require_valid_name(name: Name, datasets: Collection[str] | None = None) -> None:
    """Raise an error if a dataset and a metric do not have a key of their own.

    Raises:
      TypeError: One is not a string.
      ValueError: One cannot be part of a key, both are too long together, or the key
        of the metric does not contain the dataset.
      KeyError: The dataset is not one of `datasets`.
    """
    dataset, metric = name
    full_key = key(metric, "train", dataset)
    if "/" in dataset or full_key != f"train_{dataset}/{metric}":
        raise ValueError(
            f"MetricsAggregator got {name_text(name)}; expected a dataset without '/' "
            "and a metric that is not a full key, as 'grad/norm' is. Rename it."
        )
    length = len(dataset) + len(metric)
    if length > _MAX_NAME_LENGTH:
        raise ValueError(
            f"MetricsAggregator got {name_text(name)} of {length} characters; expected "
            f"at most {_MAX_NAME_LENGTH} in total. Choose shorter names."
        )
    if datasets is not None and dataset not in datasets:
        raise KeyError(
            f"MetricsAggregator got dataset {dataset!r}; expected one of "
            f"{sorted(datasets)}. Add it to datasets=, or correct the name."
        )


def name_text(name: Any) -> str:
    """Return a dataset and a metric as text for an error."""
    return "/".join(map(str, name))


def from_observations(observations: Iterable[Observation]) -> list[Batch]:
    """Group observations by dataset, metric and type.

    If one observation of a group has a weight, those without one count 1.

    Raises:
      TypeError: They are not iterable, or one of them is not an `Observation`.
    """
    if not isinstance(observations, Iterable):
        raise TypeError(
            f"MetricsAggregator.update() got {type(observations).__name__}, expected "
            "a list of Observation. Pass [observation], or sample['metrics']."
        )
    groups: dict[Any, list[Observation]] = {}
    for observation in observations:
        if not isinstance(observation, Observation):
            raise TypeError(
                f"MetricsAggregator.update() got a {type(observation).__name__} among "
                "the observations; expected Observation. Join the lists of several "
                "samples."
            )
        group = observation.dataset_name, observation.name, observation.agg_type
        try:
            groups[group].append(observation)
        except KeyError:
            groups[group] = [observation]
    batches = []
    for (dataset, name, agg_type), group in groups.items():
        weights = None
        if any([x.weight is not None for x in group]):
            weights = [1.0 if x.weight is None else x.weight for x in group]
        values = [x.value for x in group]
        batches.append(Batch((dataset, name), agg_type, values, weights))
    return batches


def from_arrays(
    dataset: Any, agg_type: Any, mask: Any, weights: Any, arrays: Mapping[str, Any]
) -> list[Batch]:
    """Return the entries of each array where the mask is True.

    Raises:
      TypeError: The mask is not bool.
      ValueError: Shapes do not fit.
    """
    batches = []
    for metric, values in arrays.items():
        name = dataset, metric
        batches.append(Batch(name, agg_type, *_unmasked(name, values, weights, mask)))
    return batches


def as_numbers(where: str, values: Any) -> np.ndarray:
    """Return values as a flat int64 or float64 array, without a copy if possible.

    Args:
      where: Subject of the error.
      values: Real numbers of any shape.

    Raises:
      TypeError: They are not real numbers.
      ValueError: They are integers beyond 64 bits.
    """
    array = as_array(where, values)
    if array.dtype.kind == "O":  # such as a column of a DataFrame
        plain = as_array(where, array.tolist())
        array = array if plain.dtype.kind == "O" else plain
    kind, dtype = array.dtype.kind, array.dtype
    if kind in "bi" or kind == "u" and (not array.size or array.max() < 2**63):
        return array.astype(np.int64, copy=False).ravel()
    if kind == "f" or kind == "V" and np.can_cast(dtype, np.float64):
        return array.astype(np.float64, copy=False).ravel()
    if kind in "uO" and all(isinstance(x, int) for x in array.ravel().tolist()):
        raise ValueError(
            f"{where} got integers beyond 64 bits; expected smaller ones. Convert them "
            "to floats."
        )
    raise TypeError(
        f"{where} got values of type {_type_name(array)}; expected real numbers. "
        "Convert them, or count categories with CATEGORICAL_COUNT."
    )


def as_array(where: str, values: Any) -> np.ndarray:
    """Return values as an array.

    Raises:
      TypeError: They are a masked array.
      ValueError: They are lists of unequal lengths.
    """
    refuse_masked(where, values)
    try:
        return np.asarray(values)
    except ValueError as error:
        raise ValueError(
            f"{where} got a {type(values).__name__} that is no array ({error}); "
            "expected numbers, or lists of equal lengths. Concatenate lists of samples."
        ) from None


def as_weights(where: str, values: np.ndarray, weights: Any) -> np.ndarray:
    """Return the weights of values as a flat array.

    Raises:
      TypeError: They are not real numbers.
      ValueError: Their number differs from that of the values, or one is negative or
        not finite.
    """
    weights = as_numbers(f"{where}, weights,", weights)
    if weights.size != values.size:
        raise ValueError(
            f"{where} got {values.size} values and {weights.size} weights; expected "
            "one weight per value. Pass weights in the shape of the values."
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(
            f"{where} got negative or not finite weights; expected finite weights of "
            "at least 0. Correct them, or mask them out."
        )
    return weights


def split_finite(
    values: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Return the finite values, the number of others, and the weights of the finite."""
    if values.dtype == np.int64:
        return values, 0, weights
    finite = np.isfinite(values)
    count = int(np.count_nonzero(finite))
    if count == values.size:
        return values, 0, weights
    finite_weights = None if weights is None else weights[finite]
    return values[finite], values.size - count, finite_weights


def _unmasked(name: Name, values: Any, weights: Any, mask: Any) -> tuple[Any, Any]:
    if weights is None and mask is None:
        return values, None
    where = f"MetricsAggregator: {name_text(name)}"
    values = as_array(where, values)
    if weights is not None:
        weights = as_array(f"{where}, weights,", weights)
        if weights.shape != values.shape:
            raise ValueError(
                f"{where} got values of shape {values.shape} and weights of shape "
                f"{weights.shape}; expected the same shape. Broadcast the weights."
            )
    if mask is None:
        return values, weights
    mask = as_array(f"{where}, mask,", mask)
    if mask.dtype != bool:
        raise TypeError(
            f"{where} got a mask of {mask.dtype}; expected bool (True counts). Use "
            "mask > 0."
        )
    if mask.shape != values.shape[: mask.ndim]:
        raise ValueError(
            f"{where} got values of shape {values.shape} and a mask of shape "
            f"{mask.shape}; expected the leading axes of the values. Fix the mask "
            "shape."
        )
    return values[mask], None if weights is None else weights[mask]


def _type_name(array: np.ndarray) -> str:
    if array.dtype.kind != "O" or not array.size:
        return str(array.dtype)
    return type(array.ravel()[0]).__name__
