"""The settings of `TrainingTelemetry`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from jaxmetrics._lazy import optional

_LOG = logging.getLogger("jaxmetrics")


@dataclass(frozen=True)
class TelemetryConfig:
    """What `TrainingTelemetry` collects, and how often.

    Attributes:
      enabled: Whether anything is collected.
      collect_every_n: Updates between two collections.
      output_dir: The folder of `telemetry.jsonl`; None is that of the logger's run.
      track_gradients: Norms of the gradients.
      track_weight_delta: How far the weights went since the last collection.
      track_learning_rates: Those that the optimizer used.
      track_holdout_logits: Predictions for the examples of `set_holdout_data`.
      track_batch_stats: The size of the batch and the shares of its labels.
      holdout_size: Most examples that are kept.
      label_field: The labels' name in a batch, and in the record.
      label_classes: How many classes the labels have.
      weights_on: Where the last weights are kept: `"disk"` (with orbax, costing no
        memory), `"host"`, or `"device"`.
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
        """Refuse counts that are none, and places that there are not."""
        for name in ("collect_every_n", "holdout_size", "label_classes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(
                    f"TelemetryConfig got {name}={value!r}, expected a positive "
                    f"integer. Set enabled=False to collect nothing."
                )
        if self.weights_on not in ("disk", "host", "device"):
            raise ValueError(
                f"TelemetryConfig got weights_on={self.weights_on!r}, expected 'disk', "
                f"'host' or 'device'. Choose one of them."
            )

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> TelemetryConfig:
        """Settings by name; unknown ones are left out, with one warning."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(str(name) for name in settings.keys() - known)
        if unknown:
            _LOG.warning(
                "TelemetryConfig leaves out what it does not know: %s", unknown
            )
        return cls(**{name: settings[name] for name in settings if name in known})

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> TelemetryConfig:
        """The `telemetry:` block of a YAML file, of plain values only.

        Raises:
          ValueError: The file is no YAML of plain values, or has no such block.
        """
        with optional("TelemetryConfig.from_yaml()", "telemetry"):
            import yaml

        try:
            read: Any = yaml.safe_load(Path(path).read_text())
        except yaml.YAMLError as error:
            raise ValueError(
                f"{os.fspath(path)} is not YAML of plain values ({error}). Repair it."
            ) from None
        block = read.get("telemetry") if isinstance(read, Mapping) else None
        if not isinstance(block, Mapping):
            raise ValueError(
                f"{os.fspath(path)} has no block 'telemetry:', expected one with the "
                f"fields of TelemetryConfig. Add it, or use from_dict()."
            )
        return cls.from_dict(block)
