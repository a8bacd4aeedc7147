"""Pure functions of training state, taps and alarms.

What is measured in the step works inside jit: norms, drift, learning rates, batch
statistics, histograms, `first_nonfinite`, `skip_update`, taps, all of them together
in `collect`, and `monitor` as an optax transformation. On the host: FLOPs and peaks,
memory, alarms and the watch over recompilation.
"""

from jaxmetrics.telemetry._alarms import Alarm, Alarms
from jaxmetrics.telemetry._batches import batch_statistics
from jaxmetrics.telemetry._block_drift import BlockDrift
from jaxmetrics.telemetry._collect import collect
from jaxmetrics.telemetry._compiles import Compilation, CompileWatch
from jaxmetrics.telemetry._devices import (
    compiled_memory,
    host_memory,
    memory,
    memory_mb,
    memory_metrics,
    tpu_utilization,
)
from jaxmetrics.telemetry._distance import distance, drift
from jaxmetrics.telemetry._flops import FlopCount, count_flops
from jaxmetrics.telemetry._groups import Stacked
from jaxmetrics.telemetry._histogram import HistogramCounts, histogram
from jaxmetrics.telemetry._monitor import monitor, monitored
from jaxmetrics.telemetry._nonfinite import first_nonfinite, name_of
from jaxmetrics.telemetry._norms import clip_ratio, grad_norm, norms
from jaxmetrics.telemetry._peaks import peak_flops_per_second
from jaxmetrics.telemetry._rates import learning_rates
from jaxmetrics.telemetry._skip import skip_update
from jaxmetrics.telemetry._spikes import SpikeDetector
from jaxmetrics.telemetry._tap import tap, tapped, taps
from jaxmetrics.telemetry._transformer import transformer_flops
from jaxmetrics.telemetry._trends import OverfittingDetector, PlateauDetector

__all__ = [
    "Alarm",
    "Alarms",
    "BlockDrift",
    "Compilation",
    "CompileWatch",
    "FlopCount",
    "HistogramCounts",
    "OverfittingDetector",
    "PlateauDetector",
    "SpikeDetector",
    "Stacked",
    "batch_statistics",
    "clip_ratio",
    "collect",
    "compiled_memory",
    "count_flops",
    "distance",
    "drift",
    "first_nonfinite",
    "grad_norm",
    "histogram",
    "host_memory",
    "learning_rates",
    "memory",
    "memory_mb",
    "memory_metrics",
    "monitor",
    "monitored",
    "name_of",
    "norms",
    "peak_flops_per_second",
    "skip_update",
    "tap",
    "tapped",
    "taps",
    "tpu_utilization",
    "transformer_flops",
]
