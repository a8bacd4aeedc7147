"""jaxmetrics.interop imports no framework before it is used."""

import subprocess
import sys


def test_listing_interop_imports_no_framework():
    script = (
        "from jaxmetrics import interop; dir(interop); import sys; print(sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    for name in ("jax", "flax", "clu", "equinox", "metrax"):
        assert f"'{name}'" not in run.stdout
