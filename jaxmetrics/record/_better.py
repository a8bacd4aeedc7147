"""Decide whether higher or lower values of a metric are better."""

from __future__ import annotations

import re
from typing import Literal

Better = Literal["min", "max"]

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


def direction(key: str) -> Better | None:
    """Return `"max"` or `"min"` by the usual names of metrics, None for other names.

    >>> direction("val/accuracy"), direction("val_code/loss"), direction("grad/norm")
    ('max', 'min', None)
    """
    if key.startswith("health/"):  # counts of what is wrong with a metric
        return None
    name = key.rpartition("/")[2].lower()
    whole = name.replace("_", "")
    if _MAX.fullmatch(name) or whole in _MAX_NAMES:
        return "max"
    return "min" if _MIN.fullmatch(name) or whole in _MIN_NAMES else None
