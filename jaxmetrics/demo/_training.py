"""Training loop with deferred metrics, validation and checkpoints, killed midway."""

from __future__ import annotations

import os
import signal
from typing import Any

from jaxmetrics import checkpoint
from jaxmetrics.core import Collection
from jaxmetrics.demo._devices import data_mesh, enable_compilation_cache
from jaxmetrics.demo._settings import PROJECT, Settings
from jaxmetrics.demo._text import DATASETS, Text
from jaxmetrics.demo._trainer import Trainer
from jaxmetrics.demo._writers import installed_writers
from jaxmetrics.logger import TrainingLogger
from jaxmetrics.loop.performance import PerformanceTracker
from jaxmetrics.metrics import CrossEntropy, Max, Mean, Perplexity, TokenAccuracy
from jaxmetrics.writers import Console

_PRINTED = ("train/loss", "train/accuracy", "val_*/loss", "lr/lr")


def train(settings: Settings) -> None:
    """Train to the last step, from the last checkpoint of the run if there is one."""
    import orbax.checkpoint as ocp

    enable_compilation_cache(settings.run_dir / "compiled")
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
        writers=[console, *installed_writers()],
    )
    text, trainer = Text(settings.length), Trainer(settings, mesh)
    metrics = training_metrics().deferred(mesh)
    validation = Collection(**split_metrics("val")).deferred(mesh)
    held_out = text.held_out(settings.held_out, settings.batch)
    held_out = [trainer.put(batch) for batch in held_out]
    manager = ocp.CheckpointManager(settings.run_dir.absolute() / "checkpoints")

    def save(step: int, state: Any) -> None:
        recorded = checkpoint.args(logger, metrics=metrics)
        model = ocp.args.StandardSave(state)
        manager.save(step, args=ocp.args.Composite(jaxmetrics=recorded, state=model))

    with logger, manager:
        tracker = PerformanceTracker(
            flops_per_step=trainer.flops(metrics, text.batch(0, 0, settings.batch)),
            sequence_length=settings.length,
            ledger=logger.ledger,
        )
        logger.attach(performance=tracker)
        logger.describe(mesh=mesh, **tracker.describe())
        # Without a checkpoint, what an earlier attempt recorded is set aside.
        metrics = checkpoint.restore(manager, None, logger, metrics=metrics)["metrics"]
        step = manager.latest_step() or 0
        if step == 0:
            state = trainer.start()
        else:
            model = ocp.args.StandardRestore(trainer.template())
            state = manager.restore(step, args=ocp.args.Composite(state=model))["state"]
            print(f"resumed from the checkpoint of step {step}")
        while True:
            # After the checkpoint of this step: a resumed run validates again.
            if settings.saves_at(step):
                with tracker.evaluation():
                    evaluated = validation.empty()
                    for batch in held_out:
                        evaluated = trainer.validate(state, evaluated, batch)
                    logger.log_step(step, evaluated, split="val")
            if step == settings.steps:
                break
            with tracker.data_wait():
                batch = trainer.put(text.batch(settings.seed, step, settings.batch))
            state, metrics, lr = trainer.update(state, metrics, batch)
            step += 1
            tracker.update(settings.batch, output=lr)
            if settings.logs_at(step):
                tokens = step * settings.tokens_per_step
                logger.log_step(step, metrics, lr=lr, tokens=tokens)
                metrics = metrics.empty()
            if settings.saves_at(step):
                with tracker.checkpoint():
                    save(step, state)
            if step == settings.kill_at:
                print(f"step {step}: the process kills itself, as a preemption would")
                os.kill(os.getpid(), signal.SIGKILL)


def split_metrics(split: str) -> dict[str, CrossEntropy | TokenAccuracy | Perplexity]:
    """Return the metrics of a split: over all tokens, and over each dataset."""
    metrics = {"loss": CrossEntropy(), "accuracy": TokenAccuracy()}
    by_dataset = {
        f"{split}_{dataset}/{name}": metric.on(mask=dataset)
        for dataset in DATASETS
        for name, metric in metrics.items()
    }
    return metrics | {"perplexity": Perplexity()} | by_dataset


def training_metrics() -> Collection:
    """Return the metrics of the training step, with the norm of the gradient."""
    norm = {"grad/norm": Mean("grad_norm"), "grad/norm_max": Max("grad_norm")}
    return Collection(**split_metrics("train"), **norm)
