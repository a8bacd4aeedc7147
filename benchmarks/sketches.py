"""What sketches cost, as a ratio to a masked mean of the same values.

Each updates a donated state in jit. The contenders run interleaved; given are medians
of the ratios, with quartiles. The A/A row is the mean beside itself: differences
smaller than that row's mean nothing. On CPU the sketches scatter, on TPU they multiply
one-hot rows, so figures of one say nothing about the other.

    python benchmarks/sketches.py [--rounds 40] [--values 100000]
"""

from __future__ import annotations

import argparse
import statistics
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--updates", type=int, default=5, help="updates a round")
    parser.add_argument("--values", type=int, default=100_000, help="values an update")
    options = parser.parse_args()
    contenders = make_contenders(options.values)
    for run in contenders.values():
        run(3)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run(options.updates)
            times[name].append((time.perf_counter() - start) / options.updates)
    mean = times["masked mean"]
    print(f"{'':34s} {'us an update':>12s} {'x mean':>7s}   [quartiles]")
    for name, taken in times.items():
        ratios = sorted(t / m for t, m in zip(taken, mean))
        low, high = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
        us, ratio = statistics.median(taken) * 1e6, statistics.median(ratios)
        print(f"{name:34s} {us:12.1f} {ratio:7.2f}   [{low:.2f}, {high:.2f}]")


def make_contenders(count: int) -> dict:
    """A function for each contender that runs some updates and waits for the last."""
    import jax
    import numpy as np

    import jaxmetrics as jm

    rng = np.random.default_rng(0)
    given = dict(
        values=rng.lognormal(0, 2, count).astype(np.float32),
        tokens=np.minimum(rng.zipf(1.3, count), 2**17 - 1).astype(np.int32),
        ids=np.arange(count, dtype=np.int32),
        rows=rng.normal(size=(count // 16, 16)).astype(np.float32),
    )
    given = jax.device_put(given)
    mask = jax.device_put(np.random.default_rng(1).random(count) < 0.9)

    def contender(metric, **names):
        outputs = {argument: given[name] for argument, name in names.items()}
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
        "masked mean": contender(jm.Mean(), values="values"),
        "masked mean again (A/A)": contender(jm.Mean(), values="values"),
        "Histogram, 64 bins": contender(
            jm.Histogram(low=1e-4, high=1e4, scale="log"), values="values"
        ),
        "Quantiles": contender(jm.Quantiles(), values="values"),
        "DistinctCount": contender(jm.DistinctCount(), values="values"),
        "CountMin": contender(jm.CountMin(), values="tokens"),
        "TopItems, 17 bits": contender(jm.TopItems(bits=17), values="tokens"),
        "TopItems, 32 bits": contender(jm.TopItems(), values="tokens"),
        "Reservoir": contender(jm.Reservoir(), values="values", ids="ids"),
        "Moments": contender(jm.Moments(), values="values"),
        "Covariance, 16 columns": contender(jm.Covariance(size=16), values="rows"),
    }


if __name__ == "__main__":
    main()
