"""Whether more or less of a metric is better."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

Better = Literal["min", "max"]

_MORE = re.compile(
    r"(?:.*_)?(?:accuracy|acc|auroc|auc|precision|recall|f1|fbeta|r2|ndcg|map|bleu"
    r"|chrf|rouge\w*|iou|psnr|ssim|reward|mfu|hfu|goodput|per_sec(?:ond)?)"
)
_LESS = re.compile(
    r"(?:.*_)?(?:loss|perplexity|ppl|error|mse|rmse|mae|nll|entropy|bits_per_byte"
    r"|wer|cer|fid|seconds|regret)"
)


def direction(key: str) -> Better | None:
    """`"max"` or `"min"`, by the usual names of metrics; None of any other name.

    >>> direction("val/accuracy"), direction("val_code/loss"), direction("grad/norm")
    ('max', 'min', None)
    """
    name = key.rpartition("/")[2].lower()
    if _MORE.fullmatch(name):
        return "max"
    return "min" if _LESS.fullmatch(name) else None


def directions(keys: Iterable[str], given: Mapping[str, Better]) -> dict[str, Better]:
    """What is known of some keys: what was given, else what their names tell.

    Raises:
      ValueError: Something else than `"min"` or `"max"` was given.
    """
    for key, which in given.items():
        if which not in ("min", "max"):
            raise ValueError(
                f"compare() got better={{{key!r}: {which!r}}}; expected 'min' or "
                f"'max'. Choose one of them."
            )
    known: dict[str, Better] = dict(given)
    for key in keys:
        found = direction(key)
        if found is not None:
            known.setdefault(key, found)
    return known
