"""Configuration of `TrainingTelemetry`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any, Literal

from jaxmetrics._lazy import optional
from jaxmetrics.record import read_whole

_LOG = logging.getLogger("jaxmetrics")


@dataclass
class TelemetryConfig:
    """Statistics that `TrainingTelemetry` collects, and how often.

    Fields may be set before a `TrainingTelemetry` is created, which copies them:
    `config.output_dir = folder`.

    Attributes:
      enabled: False to collect nothing.
      collect_every_n: Number of updates from one collection to the next.
      output_dir: Directory of `telemetry.jsonl`. Default: in the run directory of the
        logger.
      track_gradients: True to record norms of the gradients.
      track_weight_delta: True to record the distance of the weights from those of the
        previous collection.
      track_learning_rates: True to record the learning rates of the optimizer.
      track_holdout_logits: True to record predictions for the examples of
        `set_holdout_data`.
      track_batch_stats: True to record the batch size and the shares of the labels.
      holdout_size: Maximum number of holdout examples.
      label_field: Name of the labels in a batch and in the record.
      label_classes: Number of classes of the labels.
      weights_on: Location of the previous weights: `"disk"` (needs orbax, takes no
        memory of devices, and up to three times the size of the weights on disk;
        without orbax the host, with one warning), `"host"`, or `"device"`. Only those
        on disk survive a restart.

    Raises:
      ValueError: A count is not a positive integer, or `weights_on` is another word.
    """

    enabled: bool = True
    collect_every_n: int = 200
    output_dir: str | os.PathLike[str] | None = None
    track_gradients: bool = True
    track_weight_delta: bool = True
    track_learning_rates: bool = True
    track_holdout_logits: bool = True
    track_batch_stats: bool = True
    holdout_size: int = 50
    label_field: str = "winner"
    label_classes: int = 2
    weights_on: Literal["disk", "host", "device"] = "disk"

    def __post_init__(self) -> None:
        """Validate counts and the location of the weights."""
        for name in ("collect_every_n", "holdout_size", "label_classes"):
            value = getattr(self, name)
            is_integer = isinstance(value, Integral) and not isinstance(value, bool)
            if not is_integer or value < 1:
                raise ValueError(
                    f"TelemetryConfig got {name}={value!r}, expected a positive "
                    f"integer. Set enabled=False to collect nothing."
                )
            setattr(self, name, int(value))
        if self.weights_on not in ("disk", "host", "device"):
            raise ValueError(
                f"TelemetryConfig got weights_on={self.weights_on!r}, expected 'disk', "
                f"'host' or 'device'. Choose one of them."
            )

    @classmethod
    def from_dict(
        cls, settings: Mapping[str, Any], **overrides: Any
    ) -> TelemetryConfig:
        """Create a configuration; unknown names are ignored with one warning.

        Args:
          settings: Fields by name.
          overrides: Fields that take precedence, such as `output_dir=`.

        Raises:
          TypeError: An override is not a field.
          ValueError: As for the configuration itself.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(str(name) for name in settings.keys() - known)
        if unknown:
            _LOG.warning("TelemetryConfig ignores unknown settings: %s", unknown)
        given = {name: settings[name] for name in settings if name in known}
        return cls(**given | overrides)

    @classmethod
    def from_yaml(
        cls, path: str | os.PathLike[str], **overrides: Any
    ) -> TelemetryConfig:
        """Read the `telemetry:` block of a YAML file; plain values only.

        Args:
          path: The file.
          overrides: Fields that take precedence over the file, such as `output_dir=`.

        Raises:
          TypeError: An override is not a field.
          ImportError: PyYAML is not installed (`pip install jaxmetrics[telemetry]`).
          ValueError: The file is not YAML of plain values, has no such block, or is
            larger than 16 MiB.
          OSError: The file cannot be read, or is not a regular file.
        """
        with optional("TelemetryConfig.from_yaml()", "telemetry"):
            import yaml

        try:
            document: Any = yaml.safe_load(read_whole(path, follow_links=True).decode())
        except (yaml.YAMLError, ValueError) as error:
            raise ValueError(
                f"{os.fspath(path)} is not YAML of plain values ({error}). Fix it."
            ) from None
        block = document.get("telemetry") if isinstance(document, Mapping) else None
        if not isinstance(block, Mapping):
            raise ValueError(
                f"{os.fspath(path)} has no block 'telemetry:'; expected a mapping with "
                f"the fields of TelemetryConfig. Add it, or use from_dict()."
            )
        return cls.from_dict(block, **overrides)
