"""Build the keys of values on disk; check the names of runs, projects and tags.

A quantity has one key and often several names: `lr` and `learning_rate` are `lr/lr`.
The tables here are the only list of them: `ALIASES` serves what is logged, `SPELLINGS`
what is read, and `SHORT_NAMES` what is printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from jaxmetrics.record._record import RECORD_FIELDS

PREFIXES = (
    "perf/",
    "mem/",
    "tpu/",
    "grad/",
    "param/",
    "update/",
    "delta/",
    "ema/",
    "lr/",
    "goodput/",
    "health/",
    "moe/",
)
"""First parts of the keys of measurements of the training itself."""

EVALUATION_SPLITS = ("val", "valid", "validation", "eval", "dev", "test")
"""Splits that names such as `val/loss` choose in a call without `split=`."""

_NAMES: Mapping[str, tuple[str, ...]] = {
    "perf/mfu": ("mfu",),
    "perf/recent_mfu": ("recent_mfu",),
    "perf/hfu": ("hfu",),
    "perf/mfu_palm": ("mfu_palm",),
    "perf/tflops_per_device": ("tflops_per_device",),
    "perf/effective_mfu": ("effective_mfu",),
    "perf/goodput": ("goodput",),
    "perf/tokens_per_second": ("tokens_per_sec", "tokens_per_second", "tok/s"),
    "perf/recent_tokens_per_second": (
        "recent_tokens_per_sec",
        "recent_tokens_per_second",
    ),
    "perf/tokens_per_second_per_device": (
        "tokens_per_sec_per_device",
        "tokens_per_second_per_device",
    ),
    "perf/padded_tokens_per_second": (
        "padded_tokens_per_sec",
        "padded_tokens_per_second",
    ),
    "perf/samples_per_second": (
        "samples_per_sec",
        "samples_per_second",
        "throughput_samples_per_sec",
    ),
    "perf/batches_per_second": ("batches_per_sec", "batches_per_second"),
    "perf/steps_per_second": ("steps_per_sec", "steps_per_second"),
    "perf/step_seconds": (
        "step_seconds",
        "step_time_sec",
        "step_time_seconds",
        "seconds_per_step",
    ),
    "perf/step_p95_seconds": ("step_p95_seconds",),
    "perf/step_max_seconds": ("step_max_seconds",),
    "perf/data_wait_seconds": ("data_wait_seconds",),
    "perf/data_wait_frac": ("data_wait_frac",),
    "perf/epoch_seconds": ("epoch_seconds", "epoch_time_sec"),
    "mem/gpu_allocated_mb": ("gpu_allocated_mb",),
    "mem/gpu_reserved_mb": ("gpu_reserved_mb",),
    "mem/gpu_peak_mb": ("gpu_peak_mb",),
    "grad/norm": ("grad_norm", "gradient_norm"),
    "param/norm": ("param_norm",),
    "update/norm": ("update_norm",),
    "ema/delta_norm": ("ema_delta_norm",),
    "lr/lr": ("lr", "learning_rate"),
}
"""Names by the key that they become, that of the console first."""

_ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "train/loss": (
        "loss",
        "total_loss",
        "train/total_loss",
        "learning/loss",
        "training_loss",
    ),
    "lr/lr": ("learning/current_learning_rate", "optim/learning_rate"),
    "grad/norm": ("learning/grad_norm",),
    "perf/mfu": ("throughput/mfu",),
    "perf/step_seconds": ("perf/step_time_seconds",),
    "perf/tokens_per_second": ("throughput/tokens_per_second",),
    "perf/samples_per_second": ("throughput/examples_per_second",),
}
"""Keys that are recorded as they are, in the same unit, by the key they stand for."""

ALIASES: Mapping[str, str] = {n: k for k, names in _NAMES.items() for n in names}
"""Key of each name that has a key of its own in every split: `lr` is `lr/lr`."""

SHORT_NAMES: Mapping[str, str] = {k: names[0] for k, names in _NAMES.items()}
"""Name to print by key: `perf/tokens_per_second` is `tokens_per_sec`."""

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    k: (
        *_NAMES.get(k, ()),
        *(f"train/{name}" for name in _NAMES.get(k, ())),
        *_ELSEWHERE.get(k, ()),
    )
    for k in _NAMES | _ELSEWHERE
}
"""Other keys under which a run may have a quantity in the same unit, by its key."""

CONVERSIONS: Mapping[str, tuple[str, float]] = {
    "mem/gpu_allocated_mb": ("mem/in_use_bytes", 2.0**20),
    "mem/gpu_reserved_mb": ("mem/reserved_bytes", 2.0**20),
    "mem/gpu_peak_mb": ("mem/peak_bytes", 2.0**20),
}
"""Keys of a quantity in another unit: the key of the quantity, and the factor to it."""

_MAX_KEY_LENGTH = 256
_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")


def key(
    name: str,
    split: str | None = "train",
    dataset: str | None = None,
    *,
    keep_slashes: bool = False,
) -> str:
    """Return the key under which a value is recorded.

    The first rule that applies:

    1. With `split=None` the name is the key. Only the fields of every record, such as
       `step`, cannot be one: they become `train/step`.
    2. Measurements of the training itself have one key in all splits (`ALIASES`):
       `mfu` is `perf/mfu`, `lr` and `learning_rate` are `lr/lr`, `grad_norm` is
       `grad/norm`. With a dataset they are values of that dataset.
    3. A name that begins with one of `PREFIXES`, with `{split}/` or with
       `{split}_<dataset>/` is a key already.
    4. With `keep_slashes` a name that contains a slash is a key.
    5. Every other name becomes `{split}/{name}`, or `{split}_{dataset}/{name}`. A
       leading `{split}_` is removed first: `val_loss` and `loss` are the same name
       in split val.

    A key is its own key: building it again with the same arguments changes nothing.

    Args:
      name: Name of the value.
      split: `"train"`, `"val"` or another name without a slash; None keeps the name.
        Default `"train"`.
      dataset: Name of the dataset, if the value belongs to one.
      keep_slashes: Whether to keep a name that contains a slash. Default False.

    Raises:
      TypeError: An argument is not a string.
      ValueError: The name or the key is empty, longer than 256 characters, not
        printable, or has an empty part between slashes; or there is a dataset without
        a split.

    >>> key("loss"), key("val_loss", "val"), key("tokens_seen", "train", "alpaca")
    ('train/loss', 'val/loss', 'train_alpaca/tokens_seen')
    >>> key("mfu"), key("perf/mfu"), key("train_alpaca/tokens_seen")
    ('perf/mfu', 'perf/mfu', 'train_alpaca/tokens_seen')
    >>> key("learning/loss", keep_slashes=True), key("eval_loss", split=None)
    ('learning/loss', 'eval_loss')
    """
    _check_path(name, "name")
    if dataset is not None:
        _check_path(dataset, "dataset")
    if split is None:
        return _unchanged(name, dataset)
    _check_path(split, "split")
    if "/" in split:
        raise ValueError(
            f"key() got split {_shown(split)}; a split has no '/'. Put the rest in the "
            "name, or log a key of your own with split=None."
        )
    return _check_path(_join(name, split, dataset, keep_slashes), "key")


def split_of(names: Iterable[str], *, underscores: bool = False) -> str | None:
    """Return the split that all names begin with; None if there is no such split.

    Only splits of an evaluation count, `EVALUATION_SPLITS`.

    Args:
      names: Names of the values of one call.
      underscores: Whether `val_loss` names a split as `val/loss` does, which is so
        where names are kept as they are. Default False.

    >>> split_of(["val/loss", "val/accuracy"]), split_of(["val/loss", "loss"])
    ('val', None)
    >>> split_of(["eval_loss"]), split_of(["eval_loss"], underscores=True)
    (None, 'eval')
    """
    separators = "/_" if underscores else "/"
    split = None
    for name in names:
        own = _leading_split(name, separators) if isinstance(name, str) else None
        if own is None or split not in (None, own):
            return None
        split = own
    return split


def split_in_name(name: str) -> str | None:
    """Return the split of an evaluation that a name begins with, as Keras names values.

    >>> split_in_name("val_loss"), split_in_name("loss"), split_in_name("val/loss")
    ('val', None, None)
    """
    return _leading_split(name, "_")


def spellings(key: str) -> tuple[str, ...]:
    """Return the keys under which a run may have a quantity, its own key first.

    They are those of `SPELLINGS`, and for the key of a split the names that begin with
    the split, as loops with names of their own log them. All are in the same unit.

    >>> spellings("lr/lr")
    ('lr/lr', 'lr', 'learning_rate', 'train/lr', 'train/learning_rate',
     'learning/current_learning_rate', 'optim/learning_rate')
    >>> spellings("val/loss")
    ('val/loss', 'val_loss', 'train/val_loss', 'train/val/loss')
    """
    others: list[str] = []
    split, slash, name = key.partition("/")
    if slash and split + slash not in PREFIXES:
        others = [f"{split}_{name}", f"train/{split}_{name}"]
        if split != "train":
            others.append(f"train/{key}")
    return tuple(dict.fromkeys((key, *others, *SPELLINGS.get(key, ()))))


def check_name(name: str, what: str) -> str:
    """Return a name unchanged if it is safe as a folder or a tag.

    Args:
      name: 1 to 64 letters, digits, `.`, `_` and `-`, not beginning with `.`.
      what: Name of the argument, for the error: `"run_name"`.

    Raises:
      TypeError: The name is not a string.
      ValueError: The name has other characters, or another length.
    """
    if not isinstance(name, str):
        raise TypeError(
            f"{what} is a {type(name).__name__}; a str was expected. Pass a string."
        )
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{what} is {_shown(name)}; expected 1 to 64 of A-Z a-z 0-9 . _ - and no "
            "'.' at the beginning. Choose such a name."
        )
    return name


def _join(name: str, split: str, dataset: str | None, keep_slashes: bool) -> str:
    head, slash, _ = name.partition("/")
    # `tok/s` is an alias, but in a split of this name it is the key of a value `s`.
    if slash and head == split:
        return name
    if dataset is None and name in ALIASES:
        return ALIASES[name]
    if slash and (keep_slashes or head + slash in PREFIXES):
        return name
    if slash and head.startswith(split + "_") and head != split + "_":
        return name
    rest = name.removeprefix(split + "_")
    if rest and not rest.startswith("/"):
        name = rest
    return f"{split}/{name}" if dataset is None else f"{split}_{dataset}/{name}"


def _leading_split(name: str, separators: str) -> str | None:
    for separator in separators:
        head, found, rest = name.partition(separator)
        if found and rest and head in EVALUATION_SPLITS:
            return head
    return None


def _unchanged(name: str, dataset: str | None) -> str:
    if dataset is not None:
        raise ValueError(
            f"key() got dataset {_shown(dataset)} with split=None, which keeps names; "
            "expected one of them. Put the dataset in the name."
        )
    return f"train/{name}" if name in RECORD_FIELDS else name


def _check_path(text: str, what: str) -> str:
    if not isinstance(text, str):
        raise TypeError(
            f"key() got a {what} of type {type(text).__name__}; a str was expected. "
            "Pass a string."
        )
    if not 1 <= len(text) <= _MAX_KEY_LENGTH:
        raise ValueError(
            f"key() got the {what} {_shown(text)} of {len(text)} characters; expected "
            f"1 to {_MAX_KEY_LENGTH}. Choose a shorter one that is not empty."
        )
    if not text.isprintable():
        raise ValueError(
            f"key() got the {what} {_shown(text)}; expected printable characters only. "
            "Remove the others."
        )
    if not all(text.split("/")):
        raise ValueError(
            f"key() got the {what} {_shown(text)} with an empty part between slashes; "
            "expected parts like 'grad/norm'. Remove the extra '/'."
        )
    return text


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:77] + "...")
