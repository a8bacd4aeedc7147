"""Progress of a run: share done, rate, time left."""

from __future__ import annotations

from jaxmetrics.record import duration, rate


class Progress:
    """Follows a run to its last step, with rates between consecutive records.

    Args:
      total_steps: Step at which the run ends.
    """

    def __init__(self, total_steps: int) -> None:
        self.total_steps = total_steps
        self._last: tuple[int, float] | None = None

    def reset(self) -> None:
        """Forget the last record, so that no rate spans a restart."""
        self._last = None

    def advance(self, step: int, time: float, compact: bool = False) -> list[str]:
        """Return the share done, the rate and the time left, as texts.

        The latter two need an earlier record.

        Args:
          step: Number of completed optimizer updates.
          time: Training seconds.
          compact: If true, use the short form. Default False.

        >>> progress = Progress(4000)
        >>> progress.advance(1000, 60.0), progress.advance(1096, 90.0)
        (['25.0%'], ['27.4%', '3.2 steps/s', 'eta 15m08s'])
        """
        last, self._last = self._last, (step, time)
        # Rounded down: 100 % means that the last step is done.
        texts = [f"{1000 * step // self.total_steps / 10:.1f}%"]
        if last is not None and step > last[0] and time > last[1]:
            per_second = (step - last[0]) / (time - last[1])
            texts.append(rate(per_second, compact))
            if step < self.total_steps:
                left = duration((self.total_steps - step) / per_second)
                texts.append(left if compact else f"eta {left}")
        return texts
