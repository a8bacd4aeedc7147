"""Checks of installed packages, of jax, and of the devices."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Sequence
from importlib import metadata

from jaxmetrics.doctor._check import Check, ensure, run_check

_OPTIONAL = (
    "flax",
    "optax",
    "orbax-checkpoint",
    "clu",
    "tensorboardX",
    "wandb",
    "matplotlib",
    "pandas",
    "pyarrow",
)
_ACCELERATORS = ("/dev/nvidia0", "/dev/accel0", "/dev/vfio/0", "/dev/kfd")


def versions(required: Sequence[str] | None = None) -> str:
    """Return the versions of required packages, and the optional ones not installed.

    Args:
      required: Requirements such as `["numpy>=2.0"]`. Default: those of jaxmetrics.
    """
    installed = [
        f"python {platform.python_version()}",
        f"jaxmetrics {metadata.version('jaxmetrics')}",
    ]
    for line in required or metadata.requires("jaxmetrics") or ():
        match = re.fullmatch(r"([\w-]+)>=([\d.]+)", line.strip())
        if match is None:
            continue
        name, minimum = match.groups()
        found = version(name)
        ensure(found is not None, f"{name} is not installed")
        installed.append(f"{name} {found}")
        new_enough = _numbers(str(found)) >= _numbers(minimum)
        ensure(new_enough, f"{name} is {found}, expected at least {minimum}")
    missing = [name for name in _OPTIONAL if version(name) is None]
    return ", ".join(installed) + (f"; without {', '.join(missing)}" if missing else "")


def devices(accelerators: Sequence[str] = _ACCELERATORS) -> str:
    """Return the devices of jax; fail if it does not use an accelerator.

    Args:
      accelerators: Device files of machines with an accelerator.
    """
    import jax

    first, count = jax.devices()[0], len(jax.devices())
    summary = f"{count} x {first.device_kind} ({first.platform})"
    files = [path for path in accelerators if os.path.exists(path)]
    chosen = getattr(jax.config, "jax_platforms", None)
    unused = first.platform == "cpu" and files and not chosen
    ensure(not unused, f"{summary}, but there is an accelerator, {', '.join(files)}")
    return summary


def undocumented_jax() -> Iterator[Check]:
    """Check each use of jax that its documentation does not promise."""
    from jaxmetrics.core import JaxUse, jax_uses

    def run(use: JaxUse) -> str:
        use.check()
        return f"{use.name} ({use.purpose})"

    for use in jax_uses():
        advice = f"Do not rely on this until then: {use.purpose}."
        yield run_check("jax", lambda use=use: run(use), advice)


def version(name: str) -> str | None:
    """Return the version of a package, or None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """Return the first three numbers of a version."""
    return tuple(int(n) for n in re.findall(r"\d+", version)[:3])
