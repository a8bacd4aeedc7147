"""Where else than in `metrics.jsonl` the demo's records go, and how to look at them."""

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


def writers() -> list[Writer]:
    """Those whose packages are installed; nothing leaves this machine."""
    made: list[Writer] = []
    if installed("tensorboard"):
        made.append(TensorBoard())
    if installed("wandb"):
        made.append(WandB("offline", every=1))
    return made


def ways(settings: Settings) -> Iterator[tuple[str, str]]:
    """What to type to see a run, or to have more of it the next time."""
    folder = shlex.quote(str(settings.run_dir))
    commands = {
        "tensorboard": ("TensorBoard", f"tensorboard --logdir {folder}/tensorboard"),
        "wandb": ("W&B", f"wandb sync {folder}/wandb/offline-run-*"),
    }
    for extra, (name, command) in commands.items():
        advice = f"not written; pip install jaxmetrics[{extra}] adds it"
        yield name, command if installed(extra) else advice


def installed(extra: str) -> bool:
    """Whether the packages of an extra are."""
    return all(importlib.util.find_spec(name) for name in _PACKAGES[extra])
