"""Schedules: every N steps, every T seconds, or at given steps."""

from __future__ import annotations

from collections.abc import Iterable

from jaxmetrics.record import require_integers, require_numbers, scalar


class Schedule:
    """Decide after a step whether an action is due; calls may skip steps.

    Args:
      action: Name of the action, for errors.
      every_steps: Due when a multiple was reached since the previous call.
      every_secs: Due when this many seconds have passed since the action was last due.
      on_steps: Due when one of these steps was reached since the previous call.
      last_step: Due when this step was reached since the previous call; or None.

    Raises:
      TypeError: A period is not a number, or a step not an integer.
      ValueError: A period is not positive.
    """

    def __init__(
        self,
        action: str,
        every_steps: int | None = None,
        every_secs: float | None = None,
        on_steps: Iterable[int] = (),
        last_step: int | None = None,
    ) -> None:
        if not isinstance(on_steps, Iterable):
            raise TypeError(
                f"{action} got on_steps={on_steps!r}; expected several steps. Pass a "
                f"list, or every_steps= for multiples of a number."
            )
        steps = [*on_steps] if last_step is None else [*on_steps, last_step]
        for step in steps:
            require_integers(action, on_steps=step)
        periods = {"every_steps": every_steps, "every_secs": every_secs}
        for name, period in periods.items():
            if period is not None:
                require_numbers(action, **{name: period})
            if period is not None and period <= 0:
                raise ValueError(
                    f"{action} got {name}={period!r}, expected a positive number. "
                    f"Leave it out, or pass None, for no such period."
                )
        # Numbers of Python: those of NumPy may overflow.
        self._every_steps = None if every_steps is None else scalar(every_steps)
        self._every_secs = every_secs
        self._on_steps = frozenset(map(int, steps))

    def start(self, step: int, t: float) -> None:
        """Start to count, after a step and at a time in seconds."""
        self._step, self._last_due = step, t

    def due(self, step: int, t: float) -> bool:
        """Return whether the action is due after a step, at a time in seconds."""
        previous, self._step = self._step, step
        due = any(previous < listed <= step for listed in self._on_steps)
        if self._every_steps is not None:
            due |= step // self._every_steps > previous // self._every_steps
        if self._every_secs is not None:
            due |= t - self._last_due >= self._every_secs
        if due:
            self._last_due = t
        return due
