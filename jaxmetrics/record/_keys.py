"""Build the keys of values on disk; check the names of runs, projects and tags."""

from __future__ import annotations

import re

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

_ALIASES = {
    "mfu": "perf/mfu",
    "recent_mfu": "perf/recent_mfu",
    "step_seconds": "perf/step_seconds",
    "tokens_per_second": "perf/tokens_per_second",
    "tokens_per_sec": "perf/tokens_per_second",
    "tok/s": "perf/tokens_per_second",
    "lr": "lr/lr",
    "grad_norm": "grad/norm",
}
_MAX_KEY_LENGTH = 256
_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")


def key(name: str, split: str = "train", dataset: str | None = None) -> str:
    """Return the key under which a value is recorded.

    It is `{split}/{name}`, or `{split}_{dataset}/{name}`. A name that begins with one
    of `PREFIXES`, `{split}/` or `{split}_<dataset>/` is already a key and is returned
    unchanged. Measurements of the training itself have the same key in every split:
    `mfu` is `perf/mfu`, `lr` is `lr/lr`, `grad_norm` is `grad/norm`; with a dataset
    they are values of that dataset. In splits other than train, `val_loss` and `loss`
    are the same name.

    Args:
      name: Name of the value.
      split: `"train"`, `"val"` or another name without a slash. Default `"train"`.
      dataset: Name of the dataset, if the value belongs to one.

    Raises:
      TypeError: An argument is not a string.
      ValueError: The name or the key is empty, longer than 256 characters, not
        printable, or has an empty part between slashes.

    >>> key("loss"), key("val_loss", "val"), key("tokens_seen", "train", "alpaca")
    ('train/loss', 'val/loss', 'train_alpaca/tokens_seen')
    >>> key("mfu"), key("perf/mfu"), key("train_alpaca/tokens_seen")
    ('perf/mfu', 'perf/mfu', 'train_alpaca/tokens_seen')
    """
    _check_path(name, "name")
    _check_path(split, "split")
    if "/" in split:
        raise ValueError(
            f"key() got split {split!r}; a split has no '/'. Put the rest in the name."
        )
    if dataset is not None:
        _check_path(dataset, "dataset")
    return _check_path(_join(name, split, dataset), "key")


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


def _join(name: str, split: str, dataset: str | None) -> str:
    if dataset is None and name in _ALIASES:
        return _ALIASES[name]
    head, slash, _ = name.partition("/")
    if slash and (head + slash in PREFIXES or head == split):
        return name
    if slash and head.startswith(split + "_") and head != split + "_":
        return name
    if split != "train" and name.startswith(split + "_"):
        name = name.removeprefix(split + "_") or name
    return f"{split}/{name}" if dataset is None else f"{split}_{dataset}/{name}"


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
