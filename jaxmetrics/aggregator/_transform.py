"""Transforms that add observations to the samples of a data pipeline."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from typing import Any

from jaxmetrics.aggregator._observation import AggregationType, Observation
from jaxmetrics.record import key


class MetricTransform(abc.ABC):
    """Add observations to each sample, under `"metrics"`.

    Subclass it and define `observations`. A transform is a callable that can be pickled
    and loads no jax, for grain's `.map`, generators, `map` over tf.data's NumPy
    iterator, and their worker processes. Several transforms can be applied in turn.

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
        """Dataset of the samples.

        Raises:
          RuntimeError: `set_dataset_name` was not called.
        """
        if self._dataset_name is None:
            raise RuntimeError(
                f"{type(self).__name__} has no dataset name; expected one before the "
                "first sample. Call set_dataset_name() first."
            )
        return self._dataset_name

    def set_dataset_name(self, dataset_name: str) -> None:
        """Set the dataset of the samples that follow.

        Raises:
          TypeError: The name is not a string.
          ValueError: The name cannot be part of a key.
        """
        key("name", "train", dataset_name)
        self._dataset_name = dataset_name

    @abc.abstractmethod
    def observations(self, sample: Mapping[str, Any]) -> Iterable[Observation]:
        """Return the observations of one sample; each transform defines it."""

    def __call__(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        """Return the sample with the observations appended to those it has."""
        observations = [*sample.get("metrics", ()), *self.observations(sample)]
        return {**sample, "metrics": observations}


class DefaultTrainingMetricTransform(MetricTransform):
    """Observe `samples_seen` and `tokens_seen` (SUM) and `seq_len` (DISTRIBUTION).

    Args:
      tokens: Field of a sample with its tokens.

    Example:
      >>> import jaxmetrics as jm
      >>> transform = jm.DefaultTrainingMetricTransform()
      >>> transform.set_dataset_name("alpaca")
      >>> observations = transform({"tokens": [1, 2, 3, 4, 5]})["metrics"]
      >>> [(x.name, x.value) for x in observations]
      [('samples_seen', 1), ('tokens_seen', 5), ('seq_len', 5)]
    """

    def __init__(self, tokens: str = "tokens") -> None:
        """Store the name of the field."""
        self.tokens = tokens

    def observations(self, sample: Mapping[str, Any]) -> list[Observation]:
        """Return the three observations of a sample.

        Raises:
          KeyError: The sample does not have the field.
        """
        name = self.dataset_name
        if self.tokens not in sample:
            raise KeyError(
                f"{type(self).__name__} needs the field {self.tokens!r}; got a sample "
                f"with {sorted(sample)}. Pass the field with the tokens: "
                f"{type(self).__name__}(tokens=...)."
            )
        tokens = len(sample[self.tokens])
        return [
            Observation(name, "samples_seen", 1, AggregationType.SUM),
            Observation(name, "tokens_seen", tokens, AggregationType.SUM),
            Observation(name, "seq_len", tokens, AggregationType.DISTRIBUTION),
        ]
