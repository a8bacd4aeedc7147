"""What a run directory says of its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jaxmetrics.record import loads


def description(run_dir: Path) -> dict[str, Any]:
    """The contents of `run.json`; empty without one."""
    try:
        run = loads((run_dir / "run.json").read_bytes())
    except FileNotFoundError:
        return {}
    return run if isinstance(run, dict) else {}
