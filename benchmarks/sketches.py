"""Benchmark sketches, relative to a masked mean of the same values.

Each variant updates a donated state in jit. Variants run interleaved; the table has
medians of the ratios, with quartiles. The A/A row compares the mean with itself:
differences smaller than its spread are noise. On CPU the sketches scatter, on TPU they
multiply one-hot rows, so results on one do not carry over to the other.

    python benchmarks/sketches.py [--rounds 40] [--values 100000]
"""

from __future__ import annotations

import argparse
import statistics
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--updates", type=int, default=5, help="updates per round")
    parser.add_argument("--values", type=int, default=100_000, help="values per update")
    options = parser.parse_args()
    variants = make_variants(options.values)
    for run in variants.values():
        run(3)
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, run in variants.items():
            start = time.perf_counter()
            run(options.updates)
            times[name].append((time.perf_counter() - start) / options.updates)
    mean = times["masked mean"]
    print(f"{'':34s} {'us/update':>12s} {'x mean':>7s}   [quartiles]")
    for name, seconds in times.items():
        ratios = sorted(t / m for t, m in zip(seconds, mean))
        low, high = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
        us, ratio = statistics.median(seconds) * 1e6, statistics.median(ratios)
        print(f"{name:34s} {us:12.1f} {ratio:7.2f}   [{low:.2f}, {high:.2f}]")


def make_variants(count: int) -> dict:
    """Return functions that run n updates and wait for the last, by variant."""
    import jax
    import numpy as np

    import jaxmetrics as jm

    rng = np.random.default_rng(0)
    outputs_by_name = dict(
        values=rng.lognormal(0, 2, count).astype(np.float32),
        tokens=np.minimum(rng.zipf(1.3, count), 2**17 - 1).astype(np.int32),
        ids=np.arange(count, dtype=np.int32),
        rows=rng.normal(size=(count // 16, 16)).astype(np.float32),
    )
    outputs_by_name = jax.device_put(outputs_by_name)
    mask = jax.device_put(np.random.default_rng(1).random(count) < 0.9)

    def variant(metric, **names):
        outputs = {argument: outputs_by_name[name] for argument, name in names.items()}
        first = outputs["values"].shape[0]

        def update(state, outputs, mask):
            return state.update(**outputs, mask=mask)

        step = jax.jit(update, donate_argnums=0)
        state = jax.device_put(metric)

        def run(n):
            nonlocal state
            for _ in range(n):
                state = step(state, outputs, mask[:first])
            jax.block_until_ready(state)

        return run

    return {
        "masked mean": variant(jm.Mean(), values="values"),
        "masked mean again (A/A)": variant(jm.Mean(), values="values"),
        "Histogram, 64 bins": variant(
            jm.Histogram(low=1e-4, high=1e4, scale="log"), values="values"
        ),
        "Quantiles": variant(jm.Quantiles(), values="values"),
        "DistinctCount": variant(jm.DistinctCount(), values="values"),
        "CountMin": variant(jm.CountMin(), values="tokens"),
        "TopItems, 17 bits": variant(jm.TopItems(bits=17), values="tokens"),
        "TopItems, 32 bits": variant(jm.TopItems(), values="tokens"),
        "Reservoir": variant(jm.Reservoir(), values="values", ids="ids"),
        "Moments": variant(jm.Moments(), values="values"),
        "Covariance, 16 columns": variant(jm.Covariance(size=16), values="rows"),
    }


if __name__ == "__main__":
    main()
