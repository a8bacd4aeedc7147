"""How often a test repeats: in CI, and in `make soak`."""

import os
import secrets


def figure(ci: int, soak: int) -> int:
    """The number for CI, or with SOAK set in the environment the one for the soak."""
    return soak if os.environ.get("SOAK") else ci


def seed() -> int:
    """Where random numbers begin: the same in CI, drawn in the soak.

    It is printed, which is shown beside a failure; SEED in the environment repeats it.
    """
    drawn = figure(1, secrets.randbits(32))
    number = int(os.environ.get("SEED", drawn))
    print(f"SEED={number}")
    return number
