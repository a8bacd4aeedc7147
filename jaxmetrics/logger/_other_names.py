"""Advice for the names that other loggers have for what `TrainingLogger` does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_SCALARS = "log_step(step, values)"
_CALLS = {
    "log": _SCALARS,
    "log_metric": _SCALARS,
    "log_metrics": _SCALARS,
    "log_scalar": _SCALARS,
    "log_scalars": _SCALARS,
    "add_scalar": _SCALARS,
    "add_scalars": _SCALARS,
    "scalar": _SCALARS,
    "write_scalars": _SCALARS,
    "log_dict": _SCALARS,
    "log_param": "log_hparams(values)",
    "log_params": "log_hparams(values)",
    "log_hyperparams": "log_hparams(values)",
    "add_hparams": "log_hparams(values)",
    "write_hparams": "log_hparams(values)",
    "add_text": "log_text(step, texts)",
    "write_texts": "log_text(step, texts)",
    "log_image": "log_images(step, images)",
    "add_image": "log_images(step, images)",
    "add_images": "log_images(step, images)",
    "write_images": "log_images(step, images)",
    "add_figure": "log_figure(step, figures)",
    "log_histogram": "log_histograms(step, arrays)",
    "add_histogram": "log_histograms(step, arrays)",
    "write_histograms": "log_histograms(step, arrays)",
    "add_audio": "log_audio(step, sounds, sample_rate=)",
    "write_audios": "log_audio(step, sounds, sample_rate=)",
    "finish": "close()",
    "end": "close()",
    "end_run": "close()",
    "summary": "latest(), or runs.Run.load(run_dir).summary() of what was recorded",
    "history": "runs.Run.load(run_dir)",
    "name": "run_dir.name",
    "id": "run_dir",
    "dir": "run_dir",
    "watch": "telemetry.collect(...) in the step, whose values log_step takes",
    "alert": "telemetry.Alarms(...)",
    "save": "checkpoint.args(logger, ...)",
    "restore": "checkpoint.restore(manager, step, logger, ...)",
    "state_dict": "state()",
    "load_state_dict": "load_state(state)",
    "define_metric": "runs.compare(..., better=) for keys of unknown direction",
}

ARGUMENTS = (
    *("project", "run_name", "root", "hparams", "config", "writers", "console"),
    *("overwrite", "resume_step", "mirror", "clock", "monotonic", "install_sigterm"),
)
"""Arguments of `TrainingLogger` beside the fields of `LogConfig`."""

_ARGUMENTS = {
    "name": "run_name=",
    "id": "run_name=: attempts under one name are one run",
    "resume": "resume_step=, or restore a checkpoint of the logger",
    "dir": "root=",
    "log_dir": "root=",
    "logdir": "root=",
    "save_dir": "root=",
    "hyperparameters": "hparams=",
    "params": "hparams=",
    "entity": "writers=[WandB(entity=...)]",
    "group": "writers=[WandB(group=...)]",
    "mode": 'writers=[WandB("offline")]',
}


def call_advice(name: str, known: Iterable[str]) -> str:
    """Return a sentence about what to use in place of an unknown attribute."""
    if name in _CALLS:
        return f"Use {_CALLS[name]}."
    public = [other for other in known if not other.startswith("_")]
    near = difflib.get_close_matches(name, public, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(public)}."


def argument_advice(name: str, fields: Sequence[str]) -> str:
    """Return a sentence about what to pass in place of an unknown argument.

    Args:
      name: The argument.
      fields: Fields of `LogConfig`.
    """
    if name in _ARGUMENTS:
        return f"Pass {_ARGUMENTS[name]}."
    known = list(dict.fromkeys([*ARGUMENTS, *fields]))
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(known)}."
