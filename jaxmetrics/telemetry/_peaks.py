"""Peak FLOPs per second of accelerators."""

from __future__ import annotations

import re

__all__ = ["peak_flops_per_second"]

_TPU = """
TPU v2        23
TPU v3        61.5
TPU v4 lite   137
TPU v4        275
TPU v5 lite   197
TPU v5e       197
TPU v5        459
TPU v5p       459
TPU v6 lite   918
TPU v6e       918
TPU7          1153.5
TPU7x         1153.5
"""

_GPU = """
GB200         2500
B300          2250
B200          2250
B100          1800
H200 NVL      836
H200          989.5
H100 NVL      835
H100 PCIe     756.5
H100          989.5
A100          312
A800          312
A10           125
A10G          70
A30           165
A40           149.7
L4            121
L40S          362
V100 SXM2     125
V100 SXM3     125
V100 PCIe     112
T4            65
MI250X        191.5
MI300X        1307
MI325X        1307
MI355X        2500
"""


def peak_flops_per_second(device_kind: str) -> float | None:
    """Return the dense bfloat16 peak of one JAX device; None for an unknown kind.

    A device is a core of TPU v2 and v3, half a chip of TPU7x, a whole chip of TPU v4
    and v5p (two cores joined, JAX's default), and one of the two dies of MI250X. V100
    and T4 lack bfloat16; their peak is that of float16. A slice of a GPU (MIG) is an
    unknown kind. Sparsity is not counted; datasheets often double for it.

    Sources: Google's documentation of Cloud TPU; for v2 and v4 lite
    `jax.experimental.pallas.tpu`; datasheets of NVIDIA and AMD as TorchTitan, Levanter
    and nanochat quote them; for B300 an eighth of the HGX B300 without sparsity.

    Args:
      device_kind: `jax.devices()[0].device_kind`, in upper or lower case.

    Example:
      >>> peak_flops_per_second("TPU v5 lite") / 1e12
      197.0
      >>> peak_flops_per_second("NVIDIA H100 80GB HBM3") / 1e12
      989.5
      >>> peak_flops_per_second("cpu") is None
      True
    """
    kind = device_kind.casefold().strip()
    for name, teraflops in _rows(_TPU):
        if kind == name.casefold():
            return teraflops * 1e12
    words = set(re.split(r"[^a-z0-9]+", kind))
    if "mig" in words:
        return None
    for name, teraflops in _rows(_GPU):
        if words.issuperset(name.casefold().split()):
            return teraflops * 1e12
    return None


def _rows(table: str) -> list[tuple[str, float]]:
    """Return names and teraflops; the first name that matches a device is used."""
    rows = [line.rsplit(maxsplit=1) for line in table.strip().splitlines()]
    return [(name.strip(), float(teraflops)) for name, teraflops in rows]
