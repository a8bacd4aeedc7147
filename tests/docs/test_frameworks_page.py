"""The bridges to other frameworks import nothing unless it is used."""

import subprocess
import sys


def test_interop_loads_no_framework_before_it_is_used():
    script = (
        "from jaxmetrics import interop; dir(interop); import sys; print(sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    for name in ("jax", "flax", "clu", "equinox", "metrax"):
        assert f"'{name}'" not in run.stdout
