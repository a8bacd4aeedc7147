"""Writers of the demo besides JSONL, and commands that show their files."""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Iterator

from jaxmetrics.demo._settings import Settings
from jaxmetrics.writers import TensorBoard, WandB, Writer

_PACKAGES = {
    "tensorboard": ("tensorboardX", "google_crc32c"),
    "wandb": ("wandb",),
}


def installed_writers() -> list[Writer]:
    """Return the writers whose packages are installed; W&B stays offline."""
    writers: list[Writer] = []
    if is_installed("tensorboard"):
        writers.append(TensorBoard())
    if is_installed("wandb"):
        writers.append(WandB("offline", every=1))
    return writers


def viewing_commands(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield each viewer and the command that opens the run in it.

    Where a package is missing, the command that installs it.
    """
    folder = shlex.quote(str(settings.run_dir))
    commands = {
        "tensorboard": ("TensorBoard", f"tensorboard --logdir {folder}/tensorboard"),
        "wandb": ("W&B", f"wandb sync {folder}/wandb/offline-run-*"),
    }
    for extra, (name, command) in commands.items():
        advice = f"not written; pip install jaxmetrics[{extra}] adds it"
        yield name, command if is_installed(extra) else advice


def is_installed(extra: str) -> bool:
    """Return whether all packages of an extra are installed."""
    return all(importlib.util.find_spec(name) for name in _PACKAGES[extra])
