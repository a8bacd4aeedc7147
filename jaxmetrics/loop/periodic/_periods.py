"""When something that is done now and then in a training loop is due."""

from __future__ import annotations

from collections.abc import Iterable


class Periods:
    """Is asked after every step, or after some, which may lie on several.

    Args:
      who: Who asks, for the errors.
      every_steps: Due when a multiple of it was reached since the step before.
      every_secs: Due when so many seconds have passed since it was due last.
      on_steps: Due when one of these was reached.

    Raises:
      ValueError: A period is not positive.
    """

    def __init__(
        self,
        who: str,
        every_steps: int | None = None,
        every_secs: float | None = None,
        on_steps: Iterable[int] = (),
    ) -> None:
        for name, period in {
            "every_steps": every_steps,
            "every_secs": every_secs,
        }.items():
            if period is not None and period <= 0:
                raise ValueError(
                    f"{who} got {name}={period!r}, expected a positive number. Leave "
                    f"it out, or give None, for no such period."
                )
        self._every_steps = every_steps
        self._every_secs = every_secs
        self._on_steps = frozenset(on_steps)

    def start(self, step: int, t: float) -> None:
        """Begin to count, after a step and at a time in seconds."""
        self._step, self._since = step, t

    def due(self, step: int, t: float) -> bool:
        """Whether it is due after a step, at a time in seconds of any origin."""
        before, self._step = self._step, step
        due = any(before < chosen <= step for chosen in self._on_steps)
        if self._every_steps is not None:
            due |= step // self._every_steps > before // self._every_steps
        if self._every_secs is not None:
            due |= t - self._since >= self._every_secs
        if due:
            self._since = t
        return due
