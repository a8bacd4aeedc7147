"""Whether a machine and what is installed on it do what the package relies on.

`jaxmetrics doctor` prints what `checks` finds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from jaxmetrics.doctor._arithmetic import (
    counts_are_exact,
    reductions_agree,
    sums_are_compensated,
    two_sum_is_exact,
)
from jaxmetrics.doctor._check import Check, run_check
from jaxmetrics.doctor._files import checkpoints_come_back, writers_read_back
from jaxmetrics.doctor._machine import devices, versions

__all__ = ["Check", "checks"]


def checks(root: str | os.PathLike[str] | None = None) -> Iterator[Check]:
    """Check one thing after the other.

    Args:
      root: A folder in which the writers are tried; if not given, one for temporary
        files.
    """
    yield run_check("versions", versions, "Run `pip install --upgrade jaxmetrics`.")
    yield run_check(
        "devices",
        devices,
        "Install the jax of this accelerator, `pip install jax[cuda13]` or "
        "`pip install jax[tpu]`, and look at JAX_PLATFORMS.",
    )
    yield run_check(
        "two-sum",
        two_sum_is_exact,
        "Take flags that allow inexact arithmetic, such as fast-math, out of "
        "XLA_FLAGS; until then sums are as inexact as float32.",
    )
    yield run_check(
        "counts",
        counts_are_exact,
        "Report this with the versions above: integers of 32 bits are wrong here.",
    )
    yield run_check(
        "sums",
        sums_are_compensated,
        "See two-sum; with that intact, report this with the versions above.",
    )
    yield run_check(
        "reduce",
        reductions_agree,
        "Look at the collectives: run the program on one device, then on two. With "
        "NCCL, NCCL_DEBUG=INFO tells more.",
    )
    yield run_check(
        "writers",
        lambda: writers_read_back(root),
        "Choose another folder for the runs, with room, that you may write to and that "
        "has file locks; some network file systems have none.",
    )
    yield run_check(
        "orbax",
        checkpoints_come_back,
        "Run `pip install --upgrade orbax-checkpoint`, and look at the free space of "
        "the folder for temporary files.",
    )
