"""The state of a logger, as it comes back from somewhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaxmetrics.record import number


def checked_state(state: Any) -> dict[str, Any]:
    """What `TrainingLogger.state` returned, itself or as JSON made it.

    Raises:
      ValueError: It is of another version, or anything else.
    """
    if not isinstance(state, Mapping) or state.get("schema") != 1:
        schema = state.get("schema") if isinstance(state, Mapping) else None
        raise ValueError(
            f"load_state() got schema {schema!r}, expected 1. Restore it with the "
            f"version of jaxmetrics that saved it."
        )
    checked = {"step": 0, **state}
    for name, is_right in _FIELDS.items():
        if name not in checked or not is_right(checked[name]):
            kind = type(checked[name]).__name__ if name in checked else "nothing"
            raise ValueError(
                f"load_state() got {kind} as {name!r}, where state() has something "
                f"else. Restore what state() returned, unchanged."
            )
    return dict(state)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 2**63


def _is_number(value: object) -> bool:
    return isinstance(number(value), int | float)


def _is_mapping(of: Callable[[object], bool]) -> Callable[[object], bool]:
    def is_right(value: object) -> bool:
        return isinstance(value, Mapping) and all(
            isinstance(name, str) and of(part) for name, part in value.items()
        )

    return is_right


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "run_id": lambda value: isinstance(value, str),
    "step": _is_count,
    "time": _is_time,
    "next_step": _is_count,
    "last_steps": _is_mapping(_is_count),
    "writers": _is_mapping(lambda value: isinstance(value, Mapping)),
    "latest": _is_mapping(_is_number),
}
