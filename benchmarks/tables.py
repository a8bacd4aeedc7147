"""Print saved rows as the compact tables of docs/performance.md.

Of a group in `results/`: `python -m benchmarks.tables catalogue`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
JAX, PYTORCH = ("clu", "metrax", "nnx", "calibrax"), ("torchmetrics", "torcheval")
BY_HAND = "by hand"


def table(group: str, device: str = "cpu") -> str:
    """Return a row for each case: ours, by hand, and the fastest peer of each kind.

    A peer that only keeps the batch, and computes later, is marked with a star.
    """
    rows = json.loads((RESULTS / device / f"{group}.json").read_text())["rows"]
    cases: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        cases.setdefault(row["case"], {})[row["contender"]] = row
    hand = any(BY_HAND in case for case in cases.values())
    known = {name for row in rows for name in row.get("figures", {})}
    sizes = [name for name in ("MB temporary", "state MB") if name in known]
    names = ["case", "us", "ratio", *([BY_HAND] if hand else [])]
    names += ["JAX library", "PyTorch library", "A/A", *sizes]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for name, case in cases.items():
        ours, again = case["jaxmetrics"], case["A/A"]
        figures = ours.get("figures", {})
        cells = [name, f"{ours['us']:,.0f}", f"{ours['ratio']:.3g}"]
        if hand:
            cells.append(f"{case[BY_HAND]['ratio']:.3g}" if BY_HAND in case else "")
        cells += [_fastest(case, JAX), _fastest(case, PYTORCH)]
        cells.append(f"{again['low']:.3g} to {again['high']:.3g}")
        for figure in sizes:
            cells.append(f"{figures[figure]:.2g}" if figure in figures else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _fastest(case: dict[str, dict[str, Any]], names: tuple[str, ...]) -> str:
    rows = [case[name] for name in names if name in case]
    if not rows:
        return ""
    row = min(rows, key=lambda row: row["ratio"])
    keeps = row.get("figures", {}).get("state MB a batch", 0) > 0.01
    return f"{row['ratio']:.3g} ({row['contender']}{'*' if keeps else ''})"


if __name__ == "__main__":
    for group in sys.argv[1:]:
        print(table(group))
