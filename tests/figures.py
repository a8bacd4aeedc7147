"""How often a test repeats: in CI, and in `make soak`."""

import os


def figure(ci: int, soak: int) -> int:
    """The number for CI, or with SOAK set in the environment the one for the soak."""
    return soak if os.environ.get("SOAK") else ci
