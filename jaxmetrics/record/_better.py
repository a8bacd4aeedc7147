"""Decide whether higher or lower values of a key are better.

A key has the direction that its metric declares by `higher_is_better`, which `run.json`
keeps as `better`, by key; without one, that of its name. Only directions that the name
does not tell are kept.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

Better = Literal["min", "max"]

MAX_DIRECTIONS = 1000
"""Keys of a run whose direction is recorded; others have that of their names."""

NO_DIRECTIONS: Mapping[str, Better] = MappingProxyType({})
"""Directions of a run whose names tell all of them."""

# Last words of a name: `val/top5_accuracy`, `val/rougeL`.
_MAX = re.compile(
    r"(?:.*_)?(?:accuracy|acc|auroc|auc|ap|precision|recall|f1|fbeta|r2|ndcg|dcg|mrr"
    r"|map|bleu|chrf|rouge\w*|iou|dice|jaccard|kappa|mcc|specificity|sensitivity|npv"
    r"|informedness|markedness|purity|homogeneity|completeness|rand_index"
    r"|mutual_information|similarity|explained_variance|exact_match|hit_rate|win_rate"
    r"|pass_at_\w+|pass@\w+|psnr|snr|sdr|ssim|reward|mfu|hfu|goodput|per_sec(?:ond)?)"
)
_MIN = re.compile(
    r"(?:.*_)?(?:loss|perplexity|ppl|(?<!standard_)(?<!bias_)error|(?:error|edit)_rate|ece|mse"
    r"|rmse|mae|mape|smape|msle|rmsle|nll|(?:cross|normalized)_entropy|brier(?:_score)?"
    r"|crps|eer|deviance|bits_per_(?:byte|token|character)|bpb|bpc|wer|cer|fid|kid|fpr"
    r"|fnr|fdr|fall_out|hamming|mean_rank|(?:edit|frechet|hausdorff|kernel|minkowski)_distance"
    r"|seconds|regret)"
)
# Whole names, without underscores, of classes whose last word tells nothing.
_MAX_NAMES = frozenset(
    """
    auprc averageprecision boxiou calinskiharabasz chrf concordancecorrelation
    criticalsuccessindex detectionap expertbalance fowlkesmallows frequencyweightediou
    generalizeddice geometricmeanscore kolmogorovsmirnov matthewscorrelation meaniou
    negativepredictivevalue panopticquality passatk permutationinvariant reciprocalrank
    rewardmargin rprecision sensitivityatspecificity sisdr sisnr
    specificityatsensitivity squad topkaccuracy vmeasure wordinfopreserved
    """.split()
)
_MIN_NAMES = frozenset(
    """
    capacityoverflow deadunits droppedtokens expertpeakload falsediscoveryrate
    falsenegativerate falsepositiverate jensenshannondivergence kldivergence
    lossbyposition spectralangle wordinfolost
    """.split()
)


def direction(
    key: str, recorded: Mapping[str, Better] = NO_DIRECTIONS
) -> Better | None:
    """Return `"max"` or `"min"`, None if neither the metric nor the name tells it.

    Args:
      key: The key.
      recorded: Directions of the run by key, which take precedence over names.

    >>> direction("val/accuracy"), direction("val_code/loss"), direction("grad/norm")
    ('max', 'min', None)
    >>> direction("val/score", {"val/score": "max"})
    'max'
    """
    return recorded.get(key) or _by_name(key)


def recorded_directions(run: Mapping[str, Any]) -> dict[str, Better]:
    """Return the directions that `run.json` has by key, at most `MAX_DIRECTIONS`.

    >>> recorded_directions({"better": {"val/score": "max", "val/note": "good"}})
    {'val/score': 'max'}
    """
    better = run.get("better")
    if not isinstance(better, dict):
        return {}
    known: list[tuple[str, Better]] = [
        (key, value) for key, value in better.items() if value in ("min", "max")
    ]
    return dict(known[:MAX_DIRECTIONS])


@functools.lru_cache(maxsize=4096)
def _by_name(key: str) -> Better | None:
    if key.startswith("health/"):  # counts of what is wrong with a metric
        return None
    name = key.rpartition("/")[2].lower()
    whole = name.replace("_", "")
    if _MAX.fullmatch(name) or whole in _MAX_NAMES:
        return "max"
    return "min" if _MIN.fullmatch(name) or whole in _MIN_NAMES else None
