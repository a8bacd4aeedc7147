"""What a training came to, as the dashboard and the report say it."""

from __future__ import annotations

import numpy as np

from jaxmetrics.runs.reading._history import History


def best(history: History) -> tuple[int, float] | None:
    """Where the loss was least, and that loss; None without a finite one."""
    x, y = history.get("loss_mean")
    good = np.where(np.isfinite(y), y, np.inf)
    if not np.isfinite(good).any():
        return None
    at = int(np.argmin(good))
    return int(x[at]), float(y[at])


def facts(history: History) -> list[tuple[str, str]]:
    """The summary: what it is, and what it came to; what is not known is left out."""
    unit, out = history.unit, [("Run", history.name)]
    lowest = best(history)
    if lowest is not None:
        out.append(("Best loss", f"{lowest[1]:.6g} at {unit} {lowest[0]:,}"))
    x, loss = history.get("loss_mean")
    if len(loss):
        out.append(("Last loss", f"{loss[-1]:.6g} at {unit} {int(x[-1]):,}"))
    count = length(history)
    out.append(("Epochs" if unit == "epoch" else "Steps", f"{count:,}"))
    seconds = _greatest(history.get("cumulative_time_sec")[1])
    if seconds is not None:
        out.append(("Wall time", duration(seconds)))
    peak = _greatest(np.concatenate([history.get(f)[1] for f in _MEMORY]))
    if peak is not None:
        out.append(("Peak memory", megabytes(peak)))
    devices = history.header.get("devices")
    if isinstance(devices, dict):
        count, kind = devices.get("count"), devices.get("kind")
        out.append(("Devices", f"{count} × {kind}"))
    attempts = history.header.get("attempts")
    attempts = len(attempts) if isinstance(attempts, list) else attempts
    if isinstance(attempts, int) and attempts > 1:
        out.append(("Attempts", f"{attempts:,}"))
    return out


def length(history: History) -> int:
    """How many epochs there are, or the last step."""
    places = [x for x, _ in history.series.values()]
    if not places:
        return 0
    if history.unit == "epoch":
        return len(np.unique(np.concatenate(places)))
    return int(max(x[-1] for x in places))


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(59.94), duration(3_723), duration(200_000), duration(0.0123)
    ('59.9 s', '1 h 2 min', '2 d 8 h', '0.0123 s')
    """
    if seconds < 10:
        return f"{seconds:.3g} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else _days(seconds)


def megabytes(size: float) -> str:
    """Memory in units of 2**20 bytes, as people say it.

    >>> megabytes(512.0), megabytes(81920.0)
    ('512 MiB', '80.0 GiB')
    """
    return f"{size:,.4g} MiB" if size < 10_240 else f"{size / 1024:,.1f} GiB"


def _greatest(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.max()) if len(values) else None


def _days(seconds: float) -> str:
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


_MEMORY = ("gpu_peak_mb", "gpu_allocated_mb")
