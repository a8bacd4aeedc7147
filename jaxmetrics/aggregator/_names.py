"""Which datasets and metrics there may be."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from jaxmetrics.record import key

Name = tuple[str, str]
"""A dataset and a metric."""

_LONGEST = 100


def check(name: Name, datasets: Collection[str] | None = None) -> None:
    """Refuse a dataset and a metric that would not have a key of their own.

    Raises:
      TypeError: One is not a string.
      ValueError: One cannot be part of a key, both are too long together, or the
        metric's key does not hold the dataset.
      KeyError: The dataset is not one of those there are.
    """
    dataset, metric = name
    at = key(metric, "train", dataset)
    if "/" in dataset or at != f"train_{dataset}/{metric}":
        raise ValueError(
            f"MetricsAggregator got {shown(name)}; expected a dataset without '/' and "
            "a metric that is no key of its own, as 'grad/norm' is. Rename it."
        )
    if len(dataset) + len(metric) > _LONGEST:
        raise ValueError(
            f"MetricsAggregator got {shown(name)} of {len(dataset) + len(metric)} "
            f"characters; expected up to {_LONGEST} in all. Choose shorter names."
        )
    if datasets is not None and dataset not in datasets:
        raise KeyError(
            f"MetricsAggregator knows no dataset {dataset!r}; it was made for "
            f"{sorted(datasets)}. Add it to datasets=, or mend the name."
        )


def shown(name: Any) -> str:
    """A dataset and a metric, for an error."""
    return "/".join(str(part) for part in name)
