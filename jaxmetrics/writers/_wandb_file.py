"""`wandb.json`: the W&B run of a run directory, and the bytes charged to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from jaxmetrics.record import loads, read_whole, set_aside, states

_ID = re.compile(r"[\w-][\w.-]{0,127}", re.ASCII)


def read_state(file: Path) -> dict[str, Any]:
    """Return the state that an earlier attempt saved; empty without one.

    A damaged file is renamed to `wandb.json.damaged`, with a warning.

    Raises:
      OSError: The file cannot be read, or is not a regular file.
    """
    try:
        return states.fields_of(**_READERS)(_with_defaults(loads(read_whole(file))))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        set_aside(file, str(error))
        return {}


def checked_state(state: object) -> dict[str, Any]:
    """Return the id of a W&B run and the bytes charged, from a state of the writer.

    Raises:
      ValueError: It is not such a state.
    """
    return states.read("WandB", _with_defaults(state), **_READERS)


def is_run_id(text: object) -> bool:
    """Return whether W&B and file systems take a text as the id of a run."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def _run_id(value: object) -> str:
    text = states.text(value)
    if not is_run_id(text):
        raise ValueError(
            f"{ascii(text[:80])} is not 1 to 128 letters, digits, '-', '_' and '.'"
        )
    return text


def _with_defaults(state: object) -> object:
    return {"estimated_upload_bytes": 0, **state} if isinstance(state, dict) else state


_READERS = {"id": _run_id, "estimated_upload_bytes": states.count}
