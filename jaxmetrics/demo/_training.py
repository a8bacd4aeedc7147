"""Training with deferred metrics, validation, checkpoints, and a sudden end."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

from jaxmetrics import checkpoint
from jaxmetrics.core import Collection
from jaxmetrics.demo._devices import data_mesh, keep_compiled
from jaxmetrics.demo._places import writers
from jaxmetrics.demo._settings import PROJECT, Settings
from jaxmetrics.demo._text import DATASETS, Text
from jaxmetrics.demo._trainer import Trainer
from jaxmetrics.logger import TrainingLogger
from jaxmetrics.metrics import CrossEntropy, Max, Mean, Perplexity, TokenAccuracy
from jaxmetrics.writers import JSONL, Console

if TYPE_CHECKING:
    import jax

_PRINTED = ("train/loss", "train/accuracy", "val_*/loss", "lr/lr", "perf/*")


def train(settings: Settings) -> None:
    """Train to the last step: from the run's last checkpoint, or from the start."""
    import orbax.checkpoint as ocp

    keep_compiled(settings.run_dir / "compiled")
    mesh = data_mesh(settings.batch)
    print(f"training on {mesh.size} x {mesh.devices.flat[0].device_kind}")
    console = Console(
        every=2 * settings.log_every, keys=_PRINTED, total_steps=settings.steps
    )
    logger = TrainingLogger(
        project=PROJECT,
        run_name=settings.run_name,
        root=settings.root,
        hparams=settings.hparams(),
        writers=[console, JSONL(), *writers()],
    )
    text, trainer = Text(settings.length), Trainer(settings, mesh)
    metrics = training_metrics().deferred(mesh)
    validation = Collection(**measurements("val")).deferred(mesh)
    held_out = text.held_out(settings.held_out, settings.batch)
    held_out = [trainer.put(batch) for batch in held_out]
    manager = ocp.CheckpointManager(settings.run_dir.absolute() / "checkpoints")

    def save(step: int, state: Any) -> None:
        mine = checkpoint.args(logger, metrics=metrics)
        model = ocp.args.StandardSave(state)
        manager.save(step, args=ocp.args.Composite(jaxmetrics=mine, state=model))

    with logger, manager:
        step = manager.latest_step()
        if step is None:
            step, state = 0, trainer.start()
            save(step, state)
            manager.wait_until_finished()  # before anything is logged: all is resumable
        else:
            model = ocp.args.StandardRestore(trainer.template())
            state = manager.restore(step, args=ocp.args.Composite(state=model))["state"]
            restored = checkpoint.restore(manager, step, logger, metrics=metrics)
            metrics = restored["metrics"]
            print(f"resumed from the checkpoint of step {step}")
        watch = Stopwatch(step)
        while True:
            # After the save of this step: a run resumed from there validates again.
            if settings.saves_at(step):
                measured = validation.empty()
                for batch in held_out:
                    measured = trainer.validate(state, measured, batch)
                logger.log_step(step, measured, split="val")
            if step == settings.steps:
                break
            batch = trainer.put(text.batch(settings.seed, step, settings.batch))
            state, metrics, lr = trainer.update(state, metrics, batch)
            step += 1
            watch.wait(lr)
            if settings.logs_at(step):
                logger.log_step(
                    step,
                    metrics,
                    lr=lr,
                    tokens=step * settings.tokens_per_step,
                    tokens_per_second=watch.rate(step) * settings.tokens_per_step,
                )
                metrics = metrics.empty()
            if settings.saves_at(step):
                save(step, state)
            if step == settings.kill_at:
                print(f"step {step}: this process kills itself, as a preemption would")
                os.kill(os.getpid(), signal.SIGKILL)


def measurements(split: str) -> dict[str, CrossEntropy | TokenAccuracy | Perplexity]:
    """What is measured on a split: over all tokens, and over those of each dataset."""
    metrics = {"loss": CrossEntropy(), "accuracy": TokenAccuracy()}
    by_dataset = {
        f"{split}_{dataset}/{name}": metric.on(mask=dataset)
        for dataset in DATASETS
        for name, metric in metrics.items()
    }
    return metrics | {"perplexity": Perplexity()} | by_dataset


def training_metrics() -> Collection:
    """What is measured in the step: the split, and the gradient's norm."""
    norm = {"grad/norm": Mean("grad_norm"), "grad/norm_max": Max("grad_norm")}
    return Collection(**measurements("train"), **norm)


class Stopwatch:
    """Steps a second, measured with at most two steps under way.

    Args:
      step: Where the measurement begins.
    """

    def __init__(self, step: int) -> None:
        self._step, self._since = step, time.perf_counter()
        self._previous: jax.Array | None = None

    def wait(self, output: jax.Array) -> None:
        """Wait for the step before the one that will give `output`."""
        if self._previous is not None:
            self._previous.block_until_ready()
        self._previous = output

    def rate(self, step: int) -> float:
        """Steps a second since the last call."""
        now = time.perf_counter()
        rate = (step - self._step) / (now - self._since)
        self._step, self._since = step, now
        return rate
