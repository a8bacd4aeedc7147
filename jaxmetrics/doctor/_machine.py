"""Checks of what is installed, and of the devices."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from importlib import metadata

from jaxmetrics.doctor._check import ensure

_OPTIONAL = ("tensorboardX", "wandb", "matplotlib", "pandas", "pyarrow")
_ACCELERATORS = ("/dev/nvidia0", "/dev/accel0", "/dev/vfio/0", "/dev/kfd")


def versions(needed: Sequence[str] | None = None) -> str:
    """The versions of what is needed, and which of the rest is installed.

    Args:
      needed: Such as `["numpy>=2.0"]`; None takes what the package asks for.
    """
    told = [
        f"python {platform.python_version()}",
        f"jaxmetrics {metadata.version('jaxmetrics')}",
    ]
    for line in needed or metadata.requires("jaxmetrics") or ():
        match = re.fullmatch(r"([\w-]+)>=([\d.]+)", line.strip())
        if match is None:
            continue
        name, least = match.groups()
        found = version(name)
        ensure(found is not None, f"{name} is not installed")
        told.append(f"{name} {found}")
        new_enough = _numbers(str(found)) >= _numbers(least)
        ensure(new_enough, f"{name} is {found}, and {least} is needed")
    missing = [name for name in _OPTIONAL if version(name) is None]
    return ", ".join(told) + (f"; without {', '.join(missing)}" if missing else "")


def devices(accelerators: Sequence[str] = _ACCELERATORS) -> str:
    """What jax computes on; a failure when an accelerator lies idle.

    Args:
      accelerators: The files that a machine with one has.
    """
    import jax

    first, count = jax.devices()[0], len(jax.devices())
    told = f"{count} x {first.device_kind} ({first.platform})"
    idle = [path for path in accelerators if os.path.exists(path)]
    chosen = getattr(jax.config, "jax_platforms", None)
    wrong = first.platform == "cpu" and idle and not chosen
    ensure(not wrong, f"{told}, but there is an accelerator, {', '.join(idle)}")
    return told


def version(name: str) -> str | None:
    """The version of a package; None when it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """The first three numbers of a version, to compare it by."""
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])
