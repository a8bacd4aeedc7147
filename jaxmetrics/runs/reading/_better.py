"""Decide whether higher or lower values of a metric are better."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

Better = Literal["min", "max"]

_MAX = re.compile(
    r"(?:.*_)?(?:accuracy|acc|auroc|auc|precision|recall|f1|fbeta|r2|ndcg|map|bleu"
    r"|chrf|rouge\w*|iou|psnr|ssim|reward|mfu|hfu|goodput|per_sec(?:ond)?)"
)
_MIN = re.compile(
    r"(?:.*_)?(?:loss|perplexity|ppl|error|mse|rmse|mae|nll|entropy|bits_per_byte"
    r"|wer|cer|fid|seconds|regret)"
)


def direction(key: str) -> Better | None:
    """Return `"max"` or `"min"` by the usual names of metrics, None for other names.

    >>> direction("val/accuracy"), direction("val_code/loss"), direction("grad/norm")
    ('max', 'min', None)
    """
    name = key.rpartition("/")[2].lower()
    if _MAX.fullmatch(name):
        return "max"
    return "min" if _MIN.fullmatch(name) else None


def directions(keys: Iterable[str], better: Mapping[str, Better]) -> dict[str, Better]:
    """Return the direction of each key for which one is known.

    Args:
      keys: Keys whose names are looked at.
      better: Directions by key, which take precedence over names.

    Raises:
      ValueError: A direction is neither `"min"` nor `"max"`.
    """
    for key, value in better.items():
        if value not in ("min", "max"):
            raise ValueError(
                f"compare() got better={{{key!r}: {value!r}}}; expected 'min' or "
                f"'max'. Choose one of them."
            )
    known: dict[str, Better] = dict(better)
    for key in keys:
        by_name = direction(key)
        if by_name is not None:
            known.setdefault(key, by_name)
    return known
