"""Names of other libraries, and what they are called here.

Errors about a name that jaxmetrics lacks look it up in these tables: names of the
package (`jm.Average`), attributes of metrics and collections (`metrics.unreplicate()`),
arguments of constructors (`F1(num_classes=10)`), of trackers and of what reads and
draws runs (`run.plot(smooth=0.9)`), and attributes and arguments of the logger
(`logger.log_scalar(...)`). docs/migration.md explains each.
Only the standard library is imported here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

Call = TypeVar("Call", bound=Callable[..., Any])

# Names of the package: clu, flax nnx, metrax, torchmetrics, keras, scikit-learn.
NAMES: Mapping[str, str] = {
    "Average": "jm.Mean('loss')",
    "MeanMetric": "jm.Mean('loss')",
    "SumMetric": "jm.Sum('loss')",
    "MaxMetric": "jm.Max('loss')",
    "MinMetric": "jm.Min('loss')",
    "LastValue": "jm.Last('loss')",
    "Welford": "jm.Mean('loss') and jm.Std('loss')",
    "CollectingMetric": "a metric with jm.buffer_leaf, or jm.AUROC(exact=True, "
    "capacity=...), jm.Quantiles",
    "CatMetric": "a metric with jm.buffer_leaf, or jm.Quantiles",
    "MultiMetric": "jm.Collection(...)",
    "MetricCollection": "jm.Collection(...)",
    "CombinedMetrics": "jm.Collection(...)",
    "MetricTracker": "jm.BestOf, or the record: jm.Run.load(path)['val/accuracy']",
    "ClasswiseWrapper": "jm.Classwise",
    "BootStrapper": "jm.Bootstrap",
    "MinMaxMetric": "jm.MinMax",
    "MultioutputWrapper": "jm.MultiOutput",
    "Running": "jm.Windowed",
    "RunningMean": "jm.Windowed(jm.Mean('loss'), window=...)",
    "PeriodicCallback": "`if step % n == 0:` in the loop",
    "AsyncWriter": "jm.TrainingLogger, which never blocks",
    "MultiWriter": "jm.TrainingLogger(writers=[...])",
    "SummaryWriter": "jm.writers.TensorBoard() in TrainingLogger(writers=[...])",
    "MetricsLogger": "jm.TrainingLogger",
    "F1Score": "jm.F1",
    "FBetaScore": "jm.FBeta",
    "AUC": "jm.AUROC",
    "AUCROC": "jm.AUROC",
    "AUCPR": "jm.AveragePrecision",
    "MSE": "jm.MeanSquaredError",
    "RMSE": "jm.RootMeanSquaredError",
    "MAE": "jm.MeanAbsoluteError",
    "RSQUARED": "jm.R2",
    "R2Score": "jm.R2",
    "NDCGAtK": "jm.NDCG(k=...)",
    "MRR": "jm.ReciprocalRank",
    "PrecisionAtK": "jm.RetrievalPrecision(k=...)",
    "RecallAtK": "jm.RetrievalRecall(k=...)",
    "RougeN": "jm.ROUGE",
    "WER": "jm.WordErrorRate",
    "CER": "jm.CharErrorRate",
    "MatthewsCorrCoef": "jm.MatthewsCorrelation",
    "PearsonCorrCoef": "jm.PearsonCorrelation",
    "SpearmanCorrCoef": "jm.SpearmanCorrelation",
    "JaccardIndex": "jm.Jaccard",
    "CalibrationError": "jm.ExpectedCalibrationError",
    "SparseCategoricalAccuracy": "jm.Accuracy()",
    "CategoricalAccuracy": "jm.Accuracy() of labels.argmax(-1)",
    "BinaryAccuracy": "jm.Accuracy(task='binary')",
    "MulticlassAccuracy": "jm.Accuracy(classes=..., average='macro')",
    "MulticlassF1Score": "jm.F1(classes=...)",
    "MulticlassAUROC": "jm.AUROC(classes=...)",
    "StructuralSimilarityIndexMeasure": "jm.SSIM",
    "PeakSignalNoiseRatio": "jm.PSNR",
}

# Attributes of metrics and collections.
ATTRIBUTES: Mapping[str, str] = {
    "create": "jm.Collection(accuracy=jm.Accuracy(), ...)",
    "single_from_model_output": "metrics.from_model_output(...), or "
    "metrics.update(...) for the merged total",
    "gather_from_model_output": "total.merge(total.from_model_output(...)"
    ".reduce('batch')) inside pmap or shard_map",
    "unreplicate": "metrics.compute() of metrics that were reduced; a stack of states "
    "is metrics.reduce()",
    "reset": "metrics = metrics.empty(): states are immutable",
    "reset_states": "metrics = metrics.empty(): states are immutable",
    "reset_state": "metrics = metrics.empty(): states are immutable",
    "add_state": "total: jm.Array = jm.sum_leaf() in the class body",
    "add_weight": "total: jm.Array = jm.sum_leaf() in the class body",
    "update_state": "metrics = metrics.update(...): states are immutable",
    "result": "metrics.compute()",
    "forward": "metrics.update(...); jm.evaluate(metric, ...) is the value of a batch",
    "sync": "metrics.reduce(axis), or metrics.deferred(mesh)",
    "clone": "the metric itself: it is immutable",
    "add_metrics": "metrics | {'name': metric}",
}

# Arguments of constructors: the field here, and how to write it. "Worst.mode" is an
# argument of the class `Worst` only.
ARGUMENTS: Mapping[str, tuple[str, str]] = {
    "num_classes": ("classes", "classes={value!r}"),
    "n_classes": ("classes", "classes={value!r}"),
    "num_labels": ("classes", "task='multilabel', classes={value!r}"),
    "top_k": ("k", "k={value!r}"),
    "at_k": ("k", "k={value!r}"),
    "ks": ("k", "one metric for each k"),
    "n": ("k", "k={value!r}"),
    "top_n": ("k", "k={value!r}"),
    "Worst.capacity": ("k", "k={value!r}"),
    "Worst.size": ("k", "k={value!r}"),
    "Worst.mode": ("k", "the negative of the output, for the smallest values"),
    "Worst.largest": ("k", "the negative of the output, for the smallest values"),
    "Worst.smallest": ("k", "the negative of the output, for the smallest values"),
    "better": ("mode", "mode={value!r}"),
    "maximize": ("mode", "mode='max' or mode='min'"),
    "num_bootstraps": ("samples", "samples={value!r}"),
    "num_samples": ("samples", "samples={value!r}"),
    "num_outputs": ("outputs", "outputs={value!r}"),
    "num_groups": ("groups", "groups={value!r}"),
    "quantiles": ("q", "q={value!r}"),
    "percentiles": ("q", "q=..., between 0 and 1"),
    "range": ("low", "low=..., high=..."),
    "Reservoir.k": ("capacity", "capacity={value!r}"),
    "Reservoir.size": ("capacity", "capacity={value!r}"),
    "Windowed.size": ("window", "window={value!r}"),
    "from_logits": ("scores", "scores='logits' or scores='probs'"),
    "multi_label": ("task", "task='multilabel'"),
    "multilabel": ("task", "task='multilabel'"),
    "num_thresholds": ("bins", "bins=..., a power of two for AUROC and its kin"),
    "thresholds": ("bins", "bins=..., a power of two for AUROC and its kin"),
    "n_bins": ("bins", "bins={value!r}"),
    "num_bins": ("bins", "bins={value!r}"),
    "ignore_class": ("ignore_index", "ignore_index={value!r}"),
    "window_size": ("window", "window={value!r}"),
    "data_range": ("max_value", "max_value={value!r}"),
    "max_val": ("max_value", "max_value={value!r}"),
    "sample_weight": ("weighted", "weighted=True, and the output weights=..."),
    "sample_weights": ("weighted", "weighted=True, and the output weights=..."),
    "name": ("", "the name in jm.Collection(name=...)"),
    "dist_sync_on_step": ("", "metrics.deferred(mesh), or reduce(axis)"),
    "sync_on_compute": ("", "metrics.deferred(mesh), or reduce(axis)"),
    "validate_args": ("", "nothing: invalid rows are counted and not scored"),
    "nan_strategy": ("", "nothing: invalid rows are counted and not scored"),
    "dtype": ("", "nothing: sums are compensated float32, counts are exact"),
}


# Arguments of detectors and trackers, as of callbacks of Keras and Lightning.
TRACKER_ARGUMENTS: Mapping[str, tuple[str, str]] = {
    "mode": ("better", "better={value!r}"),
    "maximize": ("better", "better='max' or better='min'"),
    "greater_is_better": ("better", "better='max' or better='min'"),
    "higher_is_better": ("better", "better='max' or better='min'"),
    "monitor": ("better", "the value that you pass to update(...)"),
    "metric": ("better", "the value that you pass to update(...)"),
    "key": ("better", "the value that you pass to update(...)"),
    "delta": ("min_delta", "min_delta={value!r}"),
    "threshold": ("min_delta", "min_delta={value!r}"),
    "min_delta": ("tolerance", "tolerance=..., in standard errors"),
    "patience": ("window", "window=..., the number of evaluations compared"),
    "window_size": ("window", "window={value!r}"),
    "restore_best_weights": ("patience", "a checkpoint where is_best is true"),
    "start_from_epoch": ("patience", "the first call of update(...)"),
    "baseline": ("patience", "a first call of update(...) with that value"),
    "verbose": ("patience", "your own print where update(...) is true"),
    "overfit": ("overfitting", "overfitting={value!r}"),
    "plateau": ("plateaus", "plateaus={value!r}"),
    "spike": ("spikes", "spikes={value!r}"),
    "monitor_keys": ("spikes", "spikes=..., plateaus=... or limits=..."),
    "callback": ("on_alarm", "on_alarm=..."),
    "flops": ("flops_per_step", "flops_per_step={value!r}"),
    "seq_len": ("sequence_length", "sequence_length={value!r}"),
    "peak_flops": ("peak_flops_per_second", "peak_flops_per_second={value!r}"),
    "batch_size": ("sequence_length", "update(local_batch_size=...)"),
    "size": ("window", "window={value!r}"),
    "maxlen": ("window", "window={value!r}"),
    "logger": ("ledger", "ledger=logger.ledger"),
    "log_dir": ("output_dir", "output_dir={value!r}"),
    "save_dir": ("output_dir", "output_dir={value!r}"),
    "hparams": ("config", "config={value!r}"),
    "max_classes": ("max_categories", "max_categories={value!r}"),
}

_SMOOTH = "the viewer, which smooths; or your own mean of the values of run[key]"
_AXES = "figure.axes of the figure that it returns"
# Arguments of functions that read, follow or plot runs (TensorBoard, W&B, pandas).
READER_ARGUMENTS: Mapping[str, tuple[str, str]] = {
    "run": ("path", "path={value!r}"),
    "run_dir": ("path", "path={value!r}"),
    "logdir": ("path", "path={value!r}"),
    "metrics": ("keys", "keys, such as 'val/loss' or '*/loss'"),
    "metric": ("keys", "keys, such as 'val/loss' or '*/loss'"),
    "tags": ("keys", "keys, such as 'val/loss' or '*/loss'"),
    "columns": ("keys", "keys, such as 'val/loss' or '*/loss'"),
    "y": ("keys", "keys, such as 'val/loss' or '*/loss'"),
    "key": ("keys", "keys, such as 'val/loss' or '*/loss'"),
    "keys": ("keys", "plot('val/loss', 'train/loss')"),
    "n": ("name", "tail_lines(view, now, height={value!r})"),
    "lines": ("name", "tail_lines(view, now, height={value!r})"),
    "follow": ("name", "another read() for each look"),
    "interval": ("keys", "your own time.sleep between two read()"),
    "refresh": ("keys", "your own time.sleep between two read()"),
    "root": ("find", "find=lambda: runs.find_runs({value!r})"),
    "path": ("find", "find=lambda: runs.find_runs({value!r})"),
    "runs": ("find", "find=lambda: {value!r}"),
    "x_axis": ("x", "x={value!r}"),
    "step_metric": ("x", "x={value!r}"),
    "smooth": ("", _SMOOTH),
    "smoothing": ("", _SMOOTH),
    "ax": ("", _AXES),
    "axes": ("", _AXES),
    "logy": ("", f"set_yscale('log') of {_AXES}"),
    "log_scale": ("", f"set_yscale('log') of {_AXES}"),
    "title": ("", "suptitle(...) of the figure that it returns"),
    "figsize": ("", "set_size_inches(...) of the figure that it returns"),
    "filename": ("", "savefig(...) of the figure that it returns"),
    "output_dir": ("save_dir", "save_dir={value!r}"),
    "style": ("theme", "theme='dark' or theme='light'"),
    "ext": ("format", "format={value!r}"),
    "force": ("overwrite", "overwrite={value!r}"),
}

_SCALARS = "log_step(step, values)"
# Attributes of TrainingLogger.
LOGGER_CALLS: Mapping[str, str] = {
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
    "define_metric": "runs.compare(..., better=), or higher_is_better of a metric",
}

# Arguments of TrainingLogger.
LOGGER_ARGUMENTS: Mapping[str, str] = {
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


def advice(
    name: str, other_names: Mapping[str, str], known: Iterable[str], use: str, has: str
) -> str:
    """Return a sentence about what to write in place of an unknown name.

    Args:
      name: The name.
      other_names: Names of other libraries, and what to write.
      known: Names that exist.
      use: Verb before what to write, such as "Use".
      has: Words before all names, such as "It has".
    """
    import difflib

    if name in other_names:
        return f"{use} {other_names[name]}."
    known = list(dict.fromkeys(known))
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"{has} {', '.join(known)}."


def attribute_error(owner: str, name: str) -> AttributeError:
    """Return the error for a name in `ATTRIBUTES`, with what to write.

    Args:
      owner: Name of the class.
      name: Name of the attribute.
    """
    text = f"{owner!r} object has no attribute {name!r}. Write {ATTRIBUTES[name]}."
    return AttributeError(text, name=name)


def argument_error(
    owner: str,
    unknown: Mapping[str, object],
    fields: Iterable[str],
    other_names: Mapping[str, tuple[str, str]] = ARGUMENTS,
) -> TypeError:
    """Return the error for arguments that a constructor does not take.

    Args:
      owner: Name of the class.
      unknown: The arguments and their values.
      fields: The arguments that it takes, those by position only as `"*keys"`.
      other_names: The field here, and how to write it, by name.
    """
    import difflib

    taken = list(fields)  # "*keys" by position
    fields = [field.lstrip("*") for field in taken]
    name, value = next(iter(unknown.items()))
    unknown_here = ("", "")
    of_all = other_names.get(name, unknown_here)
    field, hint = other_names.get(f"{owner}.{name}", of_all)
    near = difflib.get_close_matches(name, fields, 1)
    if hint and (not field or field in fields):
        remedy = f"Here it is {hint.format(value=value)}."
    elif near:
        remedy = f"Did you mean {near[0]!r}?"
    else:
        remedy = "Leave it out."
    takes = f"it takes {taken}" if taken else "it takes no arguments"
    return TypeError(f"{owner}() got an argument {name!r}; {takes}. {remedy}")


def explains_arguments(init: Call) -> Call:
    """Have a constructor answer an argument that it lacks with `TRACKER_ARGUMENTS`."""
    return _explained(init, TRACKER_ARGUMENTS)


def explains_reading(call: Call) -> Call:
    """Have a call answer an argument that it lacks with `READER_ARGUMENTS`."""
    return _explained(call, READER_ARGUMENTS)


def _explained(call: Call, other_names: Mapping[str, tuple[str, str]]) -> Call:
    """Return a constructor, method or function that explains unknown arguments."""
    parameters = dict(inspect.signature(call).parameters)
    parameters.pop("self", None)
    by_position = {n for n, x in parameters.items() if x.kind is x.VAR_POSITIONAL}
    known = parameters.keys() - by_position
    shown = [f"*{name}" if name in by_position else name for name in parameters]
    is_constructor = call.__name__ == "__init__"

    @functools.wraps(call)
    def explained(*positional: Any, **named: Any) -> Any:
        unknown = {name: x for name, x in named.items() if name not in known}
        if unknown:
            constructed = is_constructor and type(positional[0]).__name__
            owner = constructed or call.__qualname__
            raise argument_error(owner, unknown, shown, other_names)
        return call(*positional, **named)

    return cast(Any, explained)


class Absent:
    """A method of clu's classes that metrics lack: its use on the class says so."""

    def __set_name__(self, owner: type, name: str) -> None:
        """Keep the name."""
        self._name = name

    def __get__(self, instance: object, owner: type) -> object:
        """Raise the error that names what to write."""
        raise attribute_error(owner.__name__, self._name)
