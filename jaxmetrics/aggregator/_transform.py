"""What a data pipeline notes of each sample."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from typing import Any

from jaxmetrics.aggregator._observation import AggregationType, Observation
from jaxmetrics.record import key


class MetricTransform(abc.ABC):
    """Adds observations to each sample, under `"metrics"`.

    A plain callable that can be pickled and loads no jax: grain's `.map`, a generator,
    `map` over tf.data's NumPy iterator, and their worker processes take it. Several
    add up. Subclass it and define `observations`.

    Example:
      >>> import jaxmetrics as jm
      >>> class Languages(jm.MetricTransform):
      ...     def observations(self, sample):
      ...         count = jm.AggregationType.CATEGORICAL_COUNT
      ...         lang = sample["lang"]
      ...         yield jm.Observation(self.dataset_name, "language", lang, count)
      >>> languages = Languages()
      >>> languages.set_dataset_name("wiki")
      >>> languages({"lang": "sv"})["metrics"][0].value
      'sv'
    """

    _dataset_name: str | None = None

    @property
    def dataset_name(self) -> str:
        """The dataset whose samples it sees.

        Raises:
          RuntimeError: `set_dataset_name` was not called.
        """
        if self._dataset_name is None:
            raise RuntimeError(
                f"{type(self).__name__} knows no dataset yet; expected a name before "
                "the first sample. Call set_dataset_name() first."
            )
        return self._dataset_name

    def set_dataset_name(self, dataset_name: str) -> None:
        """Name the dataset that the following samples are of.

        Raises:
          TypeError: The name is not a string.
          ValueError: It cannot be part of a key.
        """
        key("name", "train", dataset_name)
        self._dataset_name = dataset_name

    @abc.abstractmethod
    def observations(self, sample: Mapping[str, Any]) -> Iterable[Observation]:
        """What there is to note of one sample; each transform defines it."""

    def __call__(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """The sample with its observations added to those it has; a new mapping."""
        noted = [*sample.get("metrics", ()), *self.observations(sample)]
        return {**sample, "metrics": noted}


class DefaultTrainingMetricTransform(MetricTransform):
    """Notes `samples_seen` and `tokens_seen` (SUM) and `seq_len` (DISTRIBUTION).

    Args:
      tokens: The field of a sample that holds its tokens.

    Example:
      >>> import jaxmetrics as jm
      >>> transform = jm.DefaultTrainingMetricTransform()
      >>> transform.set_dataset_name("alpaca")
      >>> noted = transform({"tokens": [1, 2, 3, 4, 5]})["metrics"]
      >>> [(o.name, o.value) for o in noted]
      [('samples_seen', 1), ('tokens_seen', 5), ('seq_len', 5)]
    """

    def __init__(self, tokens: str = "tokens") -> None:
        """Name the field."""
        self.tokens = tokens

    def observations(self, sample: Mapping[str, Any]) -> list[Observation]:
        """Three observations.

        Raises:
          KeyError: The sample has no such field.
        """
        name = self.dataset_name
        if self.tokens not in sample:
            raise KeyError(
                f"{type(self).__name__} needs the field {self.tokens!r}; the sample "
                f"has {sorted(sample)}. Name the one with the tokens: "
                f"{type(self).__name__}(tokens=...)."
            )
        tokens = len(sample[self.tokens])
        return [
            Observation(name, "samples_seen", 1, AggregationType.SUM),
            Observation(name, "tokens_seen", tokens, AggregationType.SUM),
            Observation(name, "seq_len", tokens, AggregationType.DISTRIBUTION),
        ]
