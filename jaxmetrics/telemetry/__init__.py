"""Telemetry of the training itself: pure functions of its state, and taps."""

from jaxmetrics.telemetry._devices import (
    compiled_memory,
    host_memory,
    memory,
    memory_mb,
    memory_metrics,
    tpu_utilization,
)
from jaxmetrics.telemetry._flops import FlopCount, count_flops
from jaxmetrics.telemetry._peaks import peak_flops_per_second
from jaxmetrics.telemetry._tap import tap, tapped, taps
from jaxmetrics.telemetry._transformer import transformer_flops

__all__ = [
    "FlopCount",
    "compiled_memory",
    "count_flops",
    "host_memory",
    "memory",
    "memory_mb",
    "memory_metrics",
    "peak_flops_per_second",
    "tap",
    "tapped",
    "taps",
    "tpu_utilization",
    "transformer_flops",
]
