"""Check the state of a logger that comes back from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaxmetrics.record import number


def checked_state(state: Any) -> dict[str, Any]:
    """Return a state of `TrainingLogger.state` as a dict.

    Args:
      state: The state itself, or its round trip through JSON.

    Raises:
      ValueError: The state is of another version, or not a state.
    """
    if not isinstance(state, Mapping) or state.get("schema") != 1:
        schema = state.get("schema") if isinstance(state, Mapping) else None
        raise ValueError(
            f"load_state() got schema {schema!r}, expected 1. Restore it with the "
            f"version of jaxmetrics that saved it."
        )
    checked = {"step": 0, "latest_steps": {}, "absent_writers": _NONE_ABSENT, **state}
    for name, is_valid in _FIELDS.items():
        if name not in checked:
            raise ValueError(
                f"load_state() got a state without {name!r}. Restore what state() "
                f"returned, unchanged."
            )
        if not is_valid(checked[name]):
            raise ValueError(
                f"load_state() got {type(checked[name]).__name__} as {name!r}, which "
                f"is not what state() returns. Restore what state() returned, "
                f"unchanged."
            )
    return dict(state)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 2**63


def _is_number(value: object) -> bool:
    return isinstance(number(value), int | float)


def _is_mapping_of(is_valid: Callable[[object], bool]) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        return isinstance(value, Mapping) and all(
            isinstance(name, str) and is_valid(part) for name, part in value.items()
        )

    return check


def _is_absent(value: object) -> bool:
    if not isinstance(value, Mapping) or value.keys() != _NONE_ABSENT.keys():
        return False
    step = value["step"]
    is_step = step in (None, -1) or _is_count(step)
    return is_step and _is_writers(value["writers"])


_is_writers = _is_mapping_of(lambda value: isinstance(value, Mapping))
_NONE_ABSENT: dict[str, Any] = {"step": None, "writers": {}}
_FIELDS: dict[str, Callable[[Any], bool]] = {
    "run_id": lambda value: isinstance(value, str),
    "step": _is_count,
    "time": _is_seconds,
    "next_step": _is_count,
    "last_steps": _is_mapping_of(_is_count),
    "writers": _is_writers,
    "absent_writers": _is_absent,
    "latest": _is_mapping_of(_is_number),
    "latest_steps": _is_mapping_of(_is_count),
}
