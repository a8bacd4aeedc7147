"""Read and write `run.json`, the description of a run.

These are the only functions that open the file, so that logger, writers and readers
agree on what it may hold:

- Without the file there is no description: `read_run_json` returns None.
- A file that is not strict JSON, not an object, larger than 16 MiB, or in which one of
  the fields below has another type is damaged: `RunJsonError`.
- `run_id`, `project` and `run_name` are strings, `attempts` is a list of objects and
  `tags` is a list. Each may be absent. Other fields hold any JSON value.
- `better` has directions of keys; see `recorded_directions`.
- Each attempt has the configuration that it was given, as `hparams`. Schema 1 has one
  for all attempts, as a field of the run. It may be any value, since a user may log
  one; `hparams_of` returns a mapping in every case.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxmetrics.record._io import WHOLE_LIMIT, atomic_write, read_whole
from jaxmetrics.record._json import dumps, loads
from jaxmetrics.record._reader import CorruptLineError
from jaxmetrics.record._run_files import RUN_JSON

_COMPACT_BYTES = 2**22
_STRINGS = ("run_id", "project", "run_name")
_LISTS = ("attempts", "tags")
_EDIT = threading.Lock()  # the logger and a writer edit the file of one run


class RunJsonError(CorruptLineError):
    """A `run.json` that is not the description of a run.

    Attributes:
      path: The file.
      line: 1, as the whole file is one line.
      reason: Description of the damage.
    """

    def __init__(
        self, path: str | os.PathLike[str], line: int = 1, reason: str = ""
    ) -> None:
        """Name the file and say what to do."""
        super().__init__(path, line, reason)
        self.args: tuple[Any, ...] = (
            f"{self.path} is not the description of a run ({reason}); expected the "
            f"JSON object that TrainingLogger writes. Repair it or move it away, "
            f"read with errors='skip', or start the run again with overwrite=True.",
        )


def read_run_json(
    run_dir: str | os.PathLike[str],
    required: Sequence[str] = (),
    follow_links: bool = False,
) -> dict[str, Any] | None:
    """Return the description of a run, or None if it has no `run.json`.

    Args:
      run_dir: The run directory.
      required: Fields that must be present, beyond the types that all fields have.
      follow_links: Read the target of a symbolic link, for those who write nothing
        there. Default False.

    Raises:
      RunJsonError: The file is damaged, or lacks a required field.
      OSError: The file cannot be read, or is not a regular file.
    """
    path = os.path.join(run_dir, RUN_JSON)
    try:
        run = loads(read_whole(path, follow_links=follow_links))
        if not isinstance(run, dict):
            raise ValueError(f"it holds a JSON {type(run).__name__}")
        _check_fields(run, required)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunJsonError(path, reason=str(error)) from None
    return run


def write_run_json(run_dir: str | os.PathLike[str], run: Mapping[str, Any]) -> None:
    """Replace `run.json` atomically.

    Of a file beyond 4 MiB, as after hundreds of attempts, each attempt keeps only the
    values of its configuration that differ from those of the attempts before it.

    Args:
      run_dir: The run directory, which exists.
      run: All fields, as plain values.

    Raises:
      ValueError: Readers would refuse the file, as it is too large; it is as before.
      OSError: The directory cannot be written; the file is as before.
    """
    text = dumps(run)
    if len(text) > _COMPACT_BYTES:
        text = dumps(_without_repeats(run))
    if len(text) >= WHOLE_LIMIT:
        raise ValueError(
            f"{Path(run_dir) / RUN_JSON} would have {len(text):,} bytes; expected "
            f"fewer than {WHOLE_LIMIT:,}, which readers take. Record a smaller "
            f"configuration or description."
        )
    atomic_write(Path(run_dir) / RUN_JSON, f"{text}\n".encode())


def edit_run_json(
    run_dir: str | os.PathLike[str],
    edit: Callable[[dict[str, Any]], object],
    required: Sequence[str] = (),
) -> None:
    """Read `run.json`, change it, and write it; one thread of a process at a time.

    Args:
      run_dir: The run directory, which exists.
      edit: Function that changes the fields in place; they are empty without a file.
      required: As in `read_run_json`.

    Raises:
      RunJsonError: The file is damaged.
      ValueError: As in `write_run_json`.
      OSError: The directory cannot be read or written; the file is as before.
    """
    with _EDIT:
        run = read_run_json(run_dir, required) or {}
        edit(run)
        write_run_json(run_dir, run)


def hparams_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a run: the union of those of its attempts.

    Later values win. A configuration that is not a mapping is returned under the name
    `hparams`.

    >>> attempts = [{"hparams": {"lr": 0.1, "width": 8}}, {"hparams": {"lr": 0.2}}]
    >>> hparams_of({"attempts": attempts})
    {'lr': 0.2, 'width': 8}
    >>> hparams_of({"hparams": {"lr": 0.1}}), hparams_of({"hparams": [1]})
    ({'lr': 0.1}, {'hparams': [1]})
    """
    union: dict[str, Any] = {}
    for hparams in hparams_by_attempt(run).values():
        union |= hparams
    return union | _named(run.get("hparams"))


def hparams_by_attempt(run: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the configuration that each attempt was given, by number of the attempt.

    Attempts without one are left out.
    """
    attempts = run.get("attempts")
    listed = attempts if isinstance(attempts, list) else []
    return {
        number: hparams
        for number, attempt in enumerate(listed, 1)
        if isinstance(attempt, dict) and (hparams := _named(attempt.get("hparams")))
    }


def _named(hparams: object) -> dict[str, Any]:
    if isinstance(hparams, dict):
        return hparams
    return {"hparams": hparams} if hparams else {}


def _without_repeats(run: Mapping[str, Any]) -> dict[str, Any]:
    attempts, union = [dict(attempt) for attempt in run.get("attempts", ())], {}
    for number, hparams in hparams_by_attempt(run).items():
        attempts[number - 1]["hparams"] = {
            name: value
            for name, value in hparams.items()
            if name not in union or union[name] != value
        }
        union |= hparams
    return {**run, "attempts": attempts}


def _check_fields(run: Mapping[str, Any], required: Sequence[str]) -> None:
    if missing := [name for name in required if name not in run]:
        raise ValueError(f"it has no {' and no '.join(missing)}")
    for names, kind in ((_STRINGS, str), (_LISTS, list)):
        for name in names:
            if name in run and not isinstance(run[name], kind):
                raise ValueError(
                    f"its {name!r} is of type {type(run[name]).__name__}, expected "
                    f"{kind.__name__}"
                )
    if not all(isinstance(attempt, dict) for attempt in run.get("attempts", ())):
        raise ValueError("its 'attempts' has an entry that is not an object")
