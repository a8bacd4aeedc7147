"""A metric of each entry of the last axis of its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxmetrics.core._inside import outputs_of
from jaxmetrics.core._wrapper import Wrapper


class MultiOutput(Wrapper):
    """A metric of each target of a model with several: entries of the last axis.

    `preds` and `targets` of shape `[batch, outputs]` become one state for each output,
    which sees `[batch]`. The values are stacked: `[outputs]` for a metric that computes
    one number, and likewise for each entry of a mapping. NaN in one output leaves the
    others alone. `mask` and `weights` have the leading axes and hold for all outputs.

    Args:
      metric: The metric of one output.
      outputs: Size of the last axis; the state is that many times larger.
      split: Names of the outputs that are split. Default all that the metric reads but
        masks and weights.

    Example:
      >>> import jaxmetrics as jm
      >>> errors = jm.MultiOutput(jm.MeanSquaredError(), outputs=2)
      >>> preds, targets = [[1.0, 5.0], [2.0, 9.0]], [[1.0, 4.0], [4.0, 9.0]]
      >>> jm.evaluate(errors, preds=preds, targets=targets)
      array([2. , 0.5])
    """

    outputs: int = 1
    split: tuple[str, ...] | None = None

    @property
    def copies(self) -> int:
        """Number of outputs."""
        return self.outputs

    def validate(self) -> None:
        """Refuse a number below 1, and names that the metric does not read."""
        if self.outputs < 1:
            raise ValueError(
                f"MultiOutput: outputs is at least 1, got {self.outputs}. Pass the "
                "size of the last axis."
            )
        read = self.metric.reads().names
        unread = [name for name in self.split or () if name not in read]
        if unread:
            raise ValueError(
                f"MultiOutput: {type(self.metric).__name__} does not read "
                f"{unread[0]!r}; it reads {sorted(read)}. Name some of these in split."
            )

    def transform(self, outputs: Mapping[str, Any], copy: Any) -> Mapping[str, Any]:
        """Take one entry of the last axis of each output that is split."""
        names = self._split_names()
        return {
            name: self._entry(name, x, copy) if name in names else x
            for name, x in outputs.items()
        }

    def present(self, value: list[Any]) -> Any:
        """Stack the values along a new axis, in front of those of one value."""
        axis = self._leading_axes(self.metric) - 1
        on_device = any(isinstance(x, jax.Array) for x in jax.tree.leaves(value))
        xp = jnp if on_device else np
        return jax.tree.map(lambda *x: xp.stack(x, axis), *value)

    def renamed(self, names: Mapping[str, str]) -> Self:
        """Return the metric reading other outputs, those in `split` too."""
        new = super().renamed(names)
        if self.split is None:
            return new
        current = {
            old: output
            for argument, output in names.items()
            for old in outputs_of(self.metric, argument)
        }
        split = tuple(current.get(name, name) for name in self.split)
        return new.with_fields(split=split)

    def _split_names(self) -> frozenset[str]:
        if self.split is not None:
            return frozenset(self.split)
        kept = outputs_of(self.metric, "mask") | outputs_of(self.metric, "weights")
        return self.metric.reads().names - kept

    def _entry(self, name: str, output: Any, copy: Any) -> Any:
        shape = np.shape(output)
        if not shape or shape[-1] != self.outputs:
            raise ValueError(
                f"MultiOutput: output {name!r} has shape {shape}, but its last axis "
                f"needs {self.outputs} entries, one for each output. Pass it as "
                f"[..., {self.outputs}], or name in split= the outputs to be split."
            )
        return jnp.take(jnp.asarray(output), copy, axis=-1)
