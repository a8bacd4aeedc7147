"""How often a test repeats: in CI, in `make test`, and in `make soak`."""

import os
import secrets


def is_quick() -> bool:
    """Whether QUICK is set in the environment, as it is in CI."""
    return bool(os.environ.get("QUICK"))


def figure(usual: int, soak: int) -> int:
    """The number for `make test`, or with SOAK set that for the soak.

    With QUICK set it is a quarter of the number for `make test`.
    """
    if os.environ.get("SOAK"):
        return soak
    return max(1, usual // 4) if is_quick() else usual


def seed() -> int:
    """Where random numbers begin: the same in CI, drawn in the soak.

    It is printed, which is shown beside a failure; SEED in the environment repeats it.
    """
    drawn = figure(1, secrets.randbits(32))
    number = int(os.environ.get("SEED", drawn))
    print(f"SEED={number}")
    return number
