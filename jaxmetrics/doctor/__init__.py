"""Check that this machine, and the packages on it, work as jaxmetrics needs.

`jaxmetrics doctor` prints the results of `checks`.
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
from jaxmetrics.doctor._files import checkpoints_restore, writers_read_back
from jaxmetrics.doctor._machine import devices, undocumented_jax, version, versions

__all__ = ["Check", "checks"]


def checks(root: str | os.PathLike[str] | None = None) -> Iterator[Check]:
    """Run the checks one after another, and yield each result.

    Args:
      root: Folder in which the writers are tried. Default: the one for temporary
        files.
    """
    yield run_check("versions", versions, "Run `pip install --upgrade jaxmetrics`.")
    yield run_check(
        "devices",
        devices,
        "Install the jax of this accelerator, `pip install jax[cuda13]` or "
        "`pip install jax[tpu]`, and check JAX_PLATFORMS.",
    )
    yield from undocumented_jax()
    yield run_check(
        "two-sum",
        two_sum_is_exact,
        "Remove flags that allow inexact arithmetic, such as fast-math, from "
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
        "See two-sum; if that passed, report this with the versions above.",
    )
    yield run_check(
        "reduce",
        reductions_agree,
        "Check the collectives: run the program on one device, then on two. With "
        "NCCL, NCCL_DEBUG=INFO logs more.",
    )
    yield run_check(
        "writers",
        lambda: writers_read_back(root),
        "Choose another folder for the runs: it needs free space, permission to write "
        "and file locks, which some network file systems lack.",
    )
    if version("orbax-checkpoint") is not None:
        yield run_check(
            "orbax",
            checkpoints_restore,
            "Run `pip install --upgrade orbax-checkpoint`, and check the free space of "
            "the folder for temporary files.",
        )
