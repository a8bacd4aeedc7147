"""Train a diffusion model: loss by noise level, EMA, statistics and report of epochs.

Run `python examples/diffusion.py`; it needs jaxmetrics[optax,plots] and scikit-learn.
`EpochTracker` writes `training_metrics.csv` and `.json` into the run directory, from
which the plots and the report are made. The images are scikit-learn's digits.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import jaxmetrics as jm

BATCH, LEVELS, WIDTH, EMA = 128, 100, 256, 0.98
PARTS = ("low", "middle", "high")
ALPHAS = np.cumprod(1 - np.linspace(1e-4, 0.1, LEVELS)).astype(np.float32)


def initial(key):
    keys = jax.random.split(key, 3)
    sizes = (64 + 2, WIDTH, WIDTH, 64)
    return [
        {"w": jax.random.normal(k, (m, n)) * m**-0.5, "b": jnp.zeros(n)}
        for k, m, n in zip(keys, sizes, sizes[1:])
    ]


def predict_noise(params, noisy, level):
    """Return the noise in images `[batch, 64]` of a noise level `[batch]`."""
    phase = level[:, None] / LEVELS * jnp.pi
    x = jnp.concatenate([noisy, jnp.sin(phase), jnp.cos(phase)], axis=-1)
    for layer in params[:-1]:
        x = jax.nn.silu(x @ layer["w"] + layer["b"])
    return x @ params[-1]["w"] + params[-1]["b"]


def sample(params, key, count):
    """Return images `[count, 8, 8]`, by DDIM without noise between the steps."""

    def denoise(images, level):
        noise = predict_noise(params, images, jnp.full(count, level))
        alpha = jnp.asarray(ALPHAS)[level]
        clean = (images - jnp.sqrt(1 - alpha) * noise) / jnp.sqrt(alpha)
        before = jnp.where(level > 0, jnp.asarray(ALPHAS)[level - 1], 1.0)
        return jnp.sqrt(before) * clean + jnp.sqrt(1 - before) * noise, None

    noise = jax.random.normal(key, (count, 64))
    images, _ = jax.lax.scan(denoise, noise, jnp.arange(LEVELS)[::-1])
    return images.reshape(count, 8, 8)


def main(steps):
    images = np.float32(load_digits().data / 8 - 1)
    steps_per_epoch = len(images) // BATCH
    schedule = optax.cosine_decay_schedule(3e-3, steps)
    optimizer = optax.adam(schedule)
    params = ema = initial(jax.random.key(0))
    opt_state = optimizer.init(params)
    metrics = jm.Collection(
        loss=jm.Mean("loss"),
        by_level=jm.ByGroup(jm.Mean("loss"), by="part", groups=PARTS),
    )

    @jax.jit
    def train_step(params, ema, opt_state, metrics, batch, key):
        level_key, noise_key = jax.random.split(key)
        level = jax.random.randint(level_key, (BATCH,), 0, LEVELS)
        alpha = jnp.asarray(ALPHAS)[level][:, None]
        noise = jax.random.normal(noise_key, batch.shape)
        noisy = jnp.sqrt(alpha) * batch + jnp.sqrt(1 - alpha) * noise

        def loss_of(params):
            losses = ((predict_noise(params, noisy, level) - noise) ** 2).mean(-1)
            return losses.mean(), losses

        (loss, losses), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        metrics = metrics.update(loss=losses, part=level * len(PARTS) // LEVELS)
        updates, opt_state = optimizer.update(grads, opt_state)
        params = optax.apply_updates(params, updates)
        ema = optax.incremental_update(params, ema, 1 - EMA)
        return params, ema, opt_state, metrics, loss, optax.tree.norm(grads)

    config = {"batch": BATCH, "levels": LEVELS, "ema": EMA, "steps": steps}
    with jm.TrainingLogger("diffusion", hparams=config) as logger:
        epochs = jm.EpochTracker(logger.run_dir, config=config)
        for step in range(1, steps + 1):
            epoch, first = divmod(step - 1, steps_per_epoch)
            if first == 0:
                epochs.start_epoch(epoch)
                order = np.random.default_rng(epoch).permutation(len(images))
            batch = images[order[first * BATCH : (first + 1) * BATCH]]
            key = jax.random.fold_in(jax.random.key(1), step)
            params, ema, opt_state, metrics, loss, norm = train_step(
                params, ema, opt_state, metrics, batch, key
            )
            # Scalars on the device: neither call waits for them.
            epochs.log_batch(
                loss=loss, lr=schedule(step), grad_norm=norm, samples=BATCH
            )
            if first + 1 == steps_per_epoch or step == steps:
                epochs.end_epoch(params, ema)  # and their distance
                logger.log_step(step, metrics, lr=schedule(step), grad_norm=norm)
                metrics = metrics.empty()
        drawn = np.asarray(
            jax.jit(sample, static_argnums=2)(ema, jax.random.key(2), 16)
        )
        grid = (drawn.clip(-1, 1).reshape(4, 4, 8, 8).swapaxes(1, 2) + 1) * 127.5
        logger.log_images(steps, samples=np.uint8(grid.reshape(32, 32, 1)))
    jm.runs.generate_all_plots(logger.run_dir)
    report = jm.runs.generate_report(logger.run_dir)
    print(
        f"{len(epochs.epochs)} epochs, loss {epochs.epochs[-1].loss_mean:.3f}: {report}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=280)
    main(parser.parse_args().steps)
