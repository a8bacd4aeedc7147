"""Names for the entries of an array value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxmetrics.core._wrapper import Wrapper


class Classwise(Wrapper):
    """Names for the values of classes: an array of rank 1 becomes a mapping.

    In a collection they are flat names, and each is logged as a scalar of its own:
    `train/f1/cat`. Of a metric whose value is a mapping, each array in it is named, and
    single numbers stay as they are. The state is that of the metric, and is shared with
    an equal one in a collection.

    Args:
      metric: A metric that computes a value for each class, as `average="none"` does.
      names: Names of the classes in order. Default their numbers: "0", "1", ...

    Raises:
      ValueError: When computed: the number of names is not that of the values, or the
        value is one number or a matrix.

    Example:
      >>> import jaxmetrics as jm
      >>> recall = jm.Recall(classes=2, average="none")
      >>> metrics = jm.Collection(recall=jm.Classwise(recall, names=("cat", "dog")))
      >>> logits = [[2.0, 1.0], [0.0, 1.0], [0.0, 3.0]]
      >>> metrics = metrics.update(logits=logits, labels=[0, 0, 1])
      >>> {name: float(value) for name, value in metrics.compute().items()}
      {'recall/cat': 0.5, 'recall/dog': 1.0}
    """

    names: tuple[str, ...] | None = None

    def validate(self) -> None:
        """Refuse a name that is given twice, and no names."""
        if self.names is None:
            return
        if not self.names:
            raise ValueError(
                "Classwise: names is (). Name each class, or leave names out for their "
                "numbers."
            )
        for name in self.names:
            if self.names.count(name) > 1:
                raise ValueError(
                    f"Classwise: name {name!r} is given twice. Give each class a name "
                    "of its own."
                )

    def present(self, value: Any) -> Any:
        """Name the entries of the value, or of each array in a mapping."""
        named = self._named(value, "")
        if jax.tree.structure(named) == jax.tree.structure(value):
            several = isinstance(value, Mapping)
            raise ValueError(
                f"Classwise names values of rank 1, but {type(self.metric).__name__} "
                f"computes {'single numbers' if several else 'one number'}. Configure "
                'it for a value of each class, as with average="none", or use it '
                "without Classwise."
            )
        return named

    def _named(self, value: Any, where: str) -> Any:
        if isinstance(value, Mapping):
            parts = value.items()
            return {n: self._named(x, f"{where}[{n!r}]") for n, x in parts}
        if isinstance(value, list | tuple):
            count, rank = len(value), 1
        else:
            rank = np.ndim(value) - self._leading_axes(self.metric)
            count = np.shape(value)[-1] if rank else 0
        metric = type(self.metric).__name__
        if rank == 0:
            return value
        if rank > 1:
            raise ValueError(
                f"Classwise names values of rank 1, but {metric}{where} computes an "
                f"array of shape {np.shape(value)}. Use it without Classwise: matrices "
                "are logged as they are."
            )
        names = self.names or tuple(str(i) for i in range(count))
        if len(names) != count:
            raise ValueError(
                f"Classwise has {len(names)} names, but {metric}{where} computes "
                f"{count} values. Give one name for each: names={self.names!r}."
            )
        if isinstance(value, list | tuple):
            return dict(zip(names, value))
        if np.ndim(value) == 1:
            return {name: value[i] for i, name in enumerate(names)}
        return {name: value[..., i] for i, name in enumerate(names)}
