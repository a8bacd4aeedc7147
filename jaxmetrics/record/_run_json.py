"""What a run directory says of its run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxmetrics.record._io import read_whole
from jaxmetrics.record._json import loads


def description(run_dir: Path) -> dict[str, Any]:
    """The contents of `run.json`; empty without one."""
    try:
        run = loads(read_whole(run_dir / "run.json"))
    except FileNotFoundError:
        return {}
    return run if isinstance(run, dict) else {}


def hparams_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration in a description; one without names is called `hparams`.

    >>> hparams_of({"hparams": {"lr": 0.1}}), hparams_of({"hparams": [1]})
    ({'lr': 0.1}, {'hparams': [1]})
    """
    hparams = run.get("hparams") or {}
    return hparams if isinstance(hparams, dict) else {"hparams": hparams}
