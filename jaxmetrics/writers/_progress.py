"""How far a run is, how fast it goes, and how long it still takes."""

from __future__ import annotations

from jaxmetrics.record import duration, rate


class Progress:
    """Follows a run to its last step; rates are those from one record to the next.

    Args:
      total_steps: The step at which the run ends.
    """

    def __init__(self, total_steps: int) -> None:
        self.total_steps = total_steps
        self._last: tuple[int, float] | None = None

    def reset(self) -> None:
        """Take no rate from what was seen before, as after a restart."""
        self._last = None

    def advance(self, step: int, time: float, compact: bool = False) -> list[str]:
        """The texts of a step: the share that is done, the rate, the time that is left.

        The latter two need an earlier step.

        Args:
          step: Optimizer updates completed.
          time: Training seconds.
          compact: The short form.

        >>> progress = Progress(4000)
        >>> progress.advance(1000, 60.0), progress.advance(1096, 90.0)
        (['25.0%'], ['27.4%', '3.2 steps/s', 'eta 15m08s'])
        """
        last, self._last = self._last, (step, time)
        # Rounded down: only a whole run has 100 %.
        texts = [f"{1000 * step // self.total_steps / 10:.1f}%"]
        if last is not None and step > last[0] and time > last[1]:
            per_second = (step - last[0]) / (time - last[1])
            texts.append(rate(per_second, compact))
            if step < self.total_steps:
                left = duration((self.total_steps - step) / per_second)
                texts.append(left if compact else f"eta {left}")
        return texts
