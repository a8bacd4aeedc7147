"""Decide whether higher or lower values of a metric are better."""

from __future__ import annotations

import re
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
