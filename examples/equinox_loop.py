"""Train an Equinox module: regression metrics, norms of gradients and weights.

Run `python examples/equinox_loop.py`; it needs equinox, jaxmetrics[optax] and
scikit-learn. The data are scikit-learn's diabetes study. Statistics of the gradients
and weights are measured in the step, every 50th time.
"""

import argparse

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_diabetes

import jaxmetrics as jm
from jaxmetrics import telemetry

BATCH, HELD_OUT, LOG_EVERY = 64, 100, 50


def load_rows():
    """Return normalized rows `[n, 10]` and targets `[n]`, shuffled."""
    data = load_diabetes()
    order = np.random.default_rng(0).permutation(len(data.target))
    targets = (data.target - data.target.mean()) / data.target.std()
    return np.float32(data.data[order] * 20), np.float32(targets[order])


def main(steps):
    rows, targets = load_rows()
    model = eqx.nn.MLP(10, "scalar", width_size=32, depth=2, key=jax.random.key(0))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
    opt_state = optimizer.init(eqx.filter(model, eqx.is_array))
    metrics = jm.Collection(
        mse=jm.MeanSquaredError(),
        mae=jm.MeanAbsoluteError(),
        r2=jm.R2(),
        correlation=jm.PearsonCorrelation(),
    )

    @eqx.filter_jit
    def train_step(model, opt_state, metrics, rows, targets, number):
        def loss_of(model):
            preds = jax.vmap(model)(rows)
            return ((preds - targets) ** 2).mean(), preds

        grads, preds = eqx.filter_grad(loss_of, has_aux=True)(model)
        updates, opt_state = optimizer.update(
            grads, opt_state, eqx.filter(model, eqx.is_array)
        )
        stats = telemetry.collect(
            number, grads=grads, params=model, updates=updates, every=LOG_EVERY
        )
        metrics = metrics.update(preds=preds, targets=targets)
        return eqx.apply_updates(model, updates), opt_state, metrics, stats

    @eqx.filter_jit
    def validate(model, metrics, rows, targets):
        return metrics.update(preds=jax.vmap(model)(rows), targets=targets)

    rng = np.random.default_rng(1)
    with jm.TrainingLogger("equinox", hparams={"batch": BATCH}) as logger:
        for step in range(1, steps + 1):
            batch = rng.integers(HELD_OUT, len(targets), BATCH)
            number = jnp.asarray(step)  # an int would be static: compiled at each step
            model, opt_state, metrics, stats = train_step(
                model, opt_state, metrics, rows[batch], targets[batch], number
            )
            if step % LOG_EVERY == 0:
                logger.log_step(step, metrics, **stats)
                metrics = metrics.empty()
                held_out = rows[:HELD_OUT], targets[:HELD_OUT]
                values = validate(model, metrics.empty(), *held_out)
                logger.log_step(step, values, split="val")
    run = jm.Run.load(logger.run_dir)
    print(f"validation R2 {run['val/r2'][1][-1]:.3f}, recorded in {run.path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    main(parser.parse_args().steps)
