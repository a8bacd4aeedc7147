"""Train on preferences (DPO): win rate, margin, KL to the reference, entropy, alarms.

Run `python examples/preferences.py`; it needs jaxmetrics[optax]. The prompts and the
chosen answers are from the source code of Python's standard library; a rejected answer
has the same bytes in another order. The KL and the entropy tell how far the policy has
moved from its reference and whether it collapses: both are metrics of the step.
"""

import argparse
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxmetrics as jm
from jaxmetrics.telemetry import Alarms

BATCH, PROMPT, ANSWER, WIDTH, BETA = 64, 16, 16, 64, 0.1
LOG_EVERY = 10


def load_text():
    files = sorted(Path(os.__file__).parent.glob("*.py"))[:20]
    text = b"".join(file.read_bytes() for file in files)
    return np.frombuffer(text, np.uint8).astype(np.int32)


def pairs_of(text, rng):
    """Return chosen and rejected sequences `[batch, prompt + answer]`."""
    starts = rng.integers(0, len(text) - PROMPT - ANSWER, BATCH)
    chosen = np.stack([text[s : s + PROMPT + ANSWER] for s in starts])
    rejected = chosen.copy()
    rejected[:, PROMPT:] = rng.permuted(chosen[:, PROMPT:], axis=1)
    return {"chosen": chosen, "rejected": rejected}


def initial(key):
    keys = jax.random.split(key, 3)
    shapes = {"bytes": (256, WIDTH), "mix": (4 * WIDTH, WIDTH), "head": (WIDTH, 256)}
    return {
        name: jax.random.normal(k, shape) * shape[0] ** -0.5
        for k, (name, shape) in zip(keys, shapes.items())
    }


def logits_of(params, tokens):
    """Return logits `[batch, length, 256]` of each next byte, from the last four."""
    x = params["bytes"][tokens]
    length = x.shape[1]
    shifted = [jnp.pad(x, ((0, 0), (n, 0), (0, 0)))[:, :length] for n in range(4)]
    return jax.nn.gelu(jnp.concatenate(shifted, -1) @ params["mix"]) @ params["head"]


def answer_of(params, tokens):
    """Return the log-probability of the answers `[batch]`, and their logits."""
    logits = logits_of(params, tokens[:, :-1])[:, PROMPT - 1 :]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, tokens[:, PROMPT:])
    return -losses.sum(-1), logits


def pretrain(params, text, rng, steps=100):
    """Return the reference: trained on the text without preferences."""
    optimizer = optax.adam(1e-2)

    @jax.jit
    def step(params, opt_state, tokens):
        grads = jax.grad(lambda p: -answer_of(p, tokens)[0].mean())(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state

    opt_state = optimizer.init(params)
    for _ in range(steps):
        params, opt_state = step(params, opt_state, pairs_of(text, rng)["chosen"])
    return params


def main(steps):
    text, rng = load_text(), np.random.default_rng(0)
    reference = params = pretrain(initial(jax.random.key(0)), text, rng)
    optimizer = optax.adam(3e-4)
    opt_state = optimizer.init(params)
    metrics = jm.Collection(
        {
            "loss": jm.Mean("loss"),
            "reward/margin": jm.RewardMargin(),
            "reward/win_rate": jm.WinRate(),
            "policy/kl": jm.KLToReference(),
            "policy/entropy": jm.PredictiveEntropy(),
        }
    )

    @jax.jit
    def train_step(params, opt_state, metrics, pairs):
        def loss_of(params):
            outputs = {}
            for kind in ("rejected", "chosen"):
                log_prob, logits = answer_of(params, pairs[kind])
                log_prob_before, logits_before = answer_of(reference, pairs[kind])
                outputs[kind] = BETA * (log_prob - log_prob_before)  # the reward
            # KL and entropy are those of the chosen answers, the last of the loop.
            outputs |= {"logits": logits, "reference_logits": logits_before}
            losses = -jax.nn.log_sigmoid(outputs["chosen"] - outputs["rejected"])
            return losses.mean(), {"loss": losses, **outputs}

        grads, outputs = jax.grad(loss_of, has_aux=True)(params)
        metrics = metrics.update(**outputs)
        updates, opt_state = optimizer.update(grads, opt_state)
        return optax.apply_updates(params, updates), opt_state, metrics

    with jm.TrainingLogger("preferences", hparams={"beta": BETA}) as logger:
        alarms = Alarms(limits={"train/policy/kl": (None, 5.0)}, ledger=logger.ledger)
        for step in range(1, steps + 1):
            params, opt_state, metrics = train_step(
                params, opt_state, metrics, pairs_of(text, rng)
            )
            if step % LOG_EVERY == 0 or step == steps:
                logger.log_step(step, metrics)
                metrics = metrics.empty()
                for alarm in alarms.check(step, logger.latest()):
                    print(alarm.message)
    run = jm.Run.load(logger.run_dir)
    win_rate, kl = run["train/reward/win_rate"][1][-1], run["train/policy/kl"][1][-1]
    print(f"win rate {win_rate:.3f} at a KL of {kl:.3f} nats, recorded in {run.path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    main(parser.parse_args().steps)
