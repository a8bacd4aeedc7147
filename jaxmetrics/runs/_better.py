"""Whether more or less of a metric is better."""

from __future__ import annotations

import re
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
