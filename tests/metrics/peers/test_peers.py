"""Values of torchmetrics and torcheval on inputs of the kinds their suites use.

`freeze.py` drew the inputs and wrote the values of both libraries. Each value equals
that of our metric, differs by a convention that is named here, or has no counterpart.
"""

import functools
import json
from collections import Counter
from pathlib import Path

import jiwer
import numpy as np
import pytest
import sacrebleu.metrics
import sklearn.metrics as sk

import jaxmetrics as jm

FROZEN = json.loads(Path(__file__).with_name("frozen.json").read_text())
CLASSES, LABELS, CAPACITY = 5, 4, 100


class NotExpressible(Exception):
    """Says why a peer's metric has no counterpart."""


def absent(reason):
    """Return a rule of a metric that has no counterpart."""

    def rule(row):
        raise NotExpressible(reason)

    return rule


class Row:
    """A frozen value.

    Attributes:
      kind: Name of the input.
      library: "torchmetrics" or "torcheval".
      name: Name of the peer's metric.
      options: The peer's options.
      value: The peer's value.
      scores: Output of the input that holds scores.
    """

    def __init__(self, kind, library, name, options, value):
        self.kind, self.library, self.name = kind, library, name
        self.options, self.value = options, value
        outputs = FROZEN["inputs"][kind]
        names = [x for x in ("probs", "logits", "preds") if x in outputs]
        self.scores = names[0] if names else None

    def __repr__(self):
        options = ", ".join(f"{k}={v}" for k, v in self.options.items())
        return f"{self.kind}: {self.library} {self.name}({options})"


ROWS = [Row(*row) for row in FROZEN["values"]]


COUNTED = {
    "Accuracy": "Accuracy",
    "Precision": "Precision",
    "Recall": "Recall",
    "F1Score": "F1",
    "FBetaScore": "FBeta",
    "Specificity": "Specificity",
    "NegativePredictiveValue": "NegativePredictiveValue",
    "HammingDistance": "Hamming",
    "JaccardIndex": "Jaccard",
    "MatthewsCorrCoef": "MatthewsCorrelation",
    "StatScores": "StatScores",
    "CohenKappa": "CohenKappa",
    "ConfusionMatrix": "ConfusionMatrix",
    "ExactMatch": "ExactMatch",
}
SCORED = {
    "AUROC": "AUROC",
    "AveragePrecision": "AveragePrecision",
    "AUPRC": "AveragePrecision",
}
AT = {
    "RecallAtFixedPrecision": ("RecallAtPrecision", "precision"),
    "PrecisionAtFixedRecall": ("PrecisionAtRecall", "recall"),
    "SensitivityAtSpecificity": ("SensitivityAtSpecificity", "specificity"),
    "SpecificityAtSensitivity": ("SpecificityAtSensitivity", "sensitivity"),
}


def task_and_name(row):
    """Return the task and the rest of a peer's name."""
    for task in ("Binary", "Multiclass", "Multilabel"):
        if row.name.startswith(task):
            return task.lower(), row.name.removeprefix(task)
    return None, row.name


def classified(row):
    """Return our metric of a classification metric of torchmetrics or torcheval."""
    task, name = task_and_name(row)
    options, ours = dict(row.options), {}
    if options.pop("multidim_average", "global") == "samplewise":
        raise NotExpressible("a value for each sample: no state; see `vmap`")
    classes = options.pop("num_classes", options.pop("num_labels", None))
    average = options.pop("average", "unset")
    average = "none" if average is None else average
    if row.library == "torcheval" and average == "unset":
        average = {"binary": "unset", "multiclass": "micro"}.get(task, "macro")
    if "ignore_index" in options:
        ours["ignore_index"] = options.pop("ignore_index")
    if "threshold" in options:
        ours["threshold"] = options.pop("threshold")
    if task != "binary":
        ours["classes"] = classes or (CLASSES if task == "multiclass" else LABELS)
    ours["scores"] = row.scores
    if name in SCORED:
        ours |= dict(task=task, exact=True, capacity=CAPACITY)
        if average != "unset" and task != "binary":
            ours["average"] = average
        if options.get("max_fpr"):
            ours["max_fpr"] = options["max_fpr"]
        return getattr(jm, SCORED[name])(**ours)
    if name == "CalibrationError":
        ours.pop("classes", None)
        return jm.ExpectedCalibrationError(
            options["n_bins"], norm=options["norm"], task=task, **ours
        )
    k = options.pop("top_k", options.pop("k", None))
    if name == "Accuracy" and k:
        ours["average"] = average
        return jm.TopKAccuracy(k=k, **ours)
    if k:
        ours["top_k"] = k
    if name in ("Accuracy", "HammingDistance", "StatScores") and task != "multilabel":
        if average == "weighted":
            if name != "Accuracy":
                raise NotExpressible("no average weighted by labels of this metric")
            return jm.Recall(task=task, average="weighted", **ours)
    if name == "StatScores" and average == "macro":
        raise NotExpressible("a mean of counts is none")
    if (
        task == "multilabel"
        and average == "weighted"
        and name
        in (
            "Accuracy",
            "HammingDistance",
            "StatScores",
        )
    ):
        raise NotExpressible("no average weighted by labels of this metric")
    if name in ("FBetaScore", "F1Score") and "beta" in options:
        ours["beta"] = options["beta"]
    if name == "CohenKappa":
        ours["disagreement"] = options["weights"]
    if name == "ConfusionMatrix":
        ours["normalize"] = options.get("normalize") or "none"
    elif name == "ExactMatch":
        ours.pop("classes", None)
        if task == "multiclass":
            return jm.SequenceExactMatch()
    elif average != "unset" and task != "binary":
        ours["average"] = average
    if name == "MatthewsCorrCoef" and task == "multilabel":
        raise NotExpressible("pools all labels into one coefficient")
    return getattr(jm, COUNTED[name])(task=task, **ours)


def at_fixed(row):
    """Return our metric at the operating point of another one."""
    name, option = AT[task_and_name(row)[1]]
    (least,) = row.options.values()
    ours = dict(task="binary", scores="probs", exact=True, capacity=CAPACITY)
    return getattr(jm, name)(**ours, **{option: least})


def hinge(row):
    """Return our hinge loss; the scores are decision values, whatever their name."""
    task, _ = task_and_name(row)
    ours = dict(task=task, squared=row.options["squared"])
    if row.options.get("multiclass_mode") == "one-vs-all":
        ours |= dict(mode="one_vs_rest", classes=CLASSES)
    return jm.HingeLoss(**ours).on(logits=row.scores)


def fairness(row):
    """Return the metric of fairness that a peer's task names."""
    groups = dict(groups=row.options["num_groups"], scores="probs")
    parity = row.options["task"] == "demographic_parity"
    return (jm.DemographicParity if parity else jm.EqualOpportunity)(**groups)


def multilabel_accuracy(row):
    """Return torcheval's multilabel accuracy by its criteria."""
    criteria = row.options["criteria"]
    if criteria == "exact_match":
        return jm.ExactMatch(scores="probs")
    if criteria == "hamming":
        return jm.Accuracy("multilabel", scores="probs")
    raise NotExpressible("sets of labels that overlap or contain each other")


def ranked_labels(name):
    return lambda row: getattr(jm, name)(
        scores=row.scores, ignore_index=row.options.get("ignore_index")
    )


MULTIOUTPUT = {
    "raw_values": "none",
    "uniform_average": "uniform",
    "variance_weighted": "variance_weighted",
}


def regression(metric, **renamed):
    """Return a rule for a metric of predictions and targets."""

    def rule(row):
        ours = {
            new: row.options[old] for old, new in renamed.items() if old in row.options
        }
        if "num_outputs" in row.options:
            average = "uniform" if row.name == "RelativeSquaredError" else "none"
            ours |= dict(outputs=row.options["num_outputs"], average=average)
        if row.kind == "regression outputs" and row.library == "torcheval":
            ours |= dict(outputs=3)
        if "multioutput" in row.options:
            average = MULTIOUTPUT[row.options["multioutput"]]
            ours |= dict(outputs=3, average=average)
        if row.options.get("adjusted"):
            ours["predictors"] = row.options["adjusted"]
        return getattr(jm, metric)(**ours)

    return rule


def squared_error(row):
    root = row.options.get("squared") is False
    name = "RootMeanSquaredError" if root else "MeanSquaredError"
    return regression(name)(row)


def ranks(metric):
    def rule(row):
        if row.options.get("variant", "b") != "b":
            raise NotExpressible("tau-a and tau-c; ours is tau-b")
        one = metric(exact=True, capacity=CAPACITY)
        outputs = row.options.get("num_outputs")
        return jm.MultiOutput(one, outputs) if outputs else one

    return rule


def divergence(metric):
    def rule(row):
        value = metric(scores="probs")
        return value, (lambda x: 30 * x) if row.options["reduction"] == "sum" else None

    return rule


def cosine(row):
    if row.options["reduction"] == "none":
        raise NotExpressible("a value for each sample: no state; see `vmap`")
    return jm.CosineSimilarity(reduction=row.options["reduction"])


def table(metric):
    """Return a rule for a metric of a contingency table."""

    def rule(row):
        renamed = {"beta": "beta", "average_method": "average_method"}
        renamed["bias_correction"] = "bias_correction"
        ours = {renamed[k]: v for k, v in row.options.items() if k in renamed}
        return getattr(jm, metric)(classes=4, clusters=4, **ours)

    return rule


EMPTY = {"neg": "zero", "skip": "drop", "pos": "one"}


def ranking(name, **always):
    """Return a rule for a metric of queries and items."""

    def rule(row):
        ours = dict(always)
        if "empty_target_action" in row.options:
            ours["empty_queries"] = EMPTY[row.options["empty_target_action"]]
        return getattr(jm, name)(k=row.options.get("top_k"), **ours)

    return rule


def noise_ratio(row):
    return jm.PSNR(max_value=1.0, per_image="dim" in row.options)


def structure(row):
    ours = dict(max_value=1.0, window_size=row.options["kernel_size"])
    if "sigma" in row.options:
        return jm.SSIM(sigma=row.options["sigma"], **ours)
    return jm.SSIM(window="uniform", **ours)


def scales(row):
    return jm.MultiScaleSSIM(max_value=1.0, window_size=5, sigma=row.options["sigma"])


def variation(row):
    if row.options["reduction"] == "sum":
        return jm.TotalVariation(), lambda x: 6 * x
    return jm.TotalVariation()


def segments(metric):
    def rule(row):
        ours = dict(classes=3, scores="preds")
        if "weight_type" in row.options:
            ours["weighting"] = row.options["weight_type"]
        else:
            ours["per_image"] = True
        if "per_class" in row.options:
            ours["average"] = "none" if row.options["per_class"] else "macro"
        if "average" in row.options:
            ours["average"] = row.options["average"]
        return getattr(jm, metric)(**ours)

    return rule


def panoptic(row):
    each = row.options["return_per_class"]
    metric = jm.PanopticQuality(classes=4, average="none" if each else "macro")
    return metric, (lambda x: x[None]) if each else None


def box(kind):
    return lambda row: jm.BoxIoU(kind)


def signal(metric):
    def rule(row):
        zero_mean = row.options.get("zero_mean")
        return metric() if zero_mean is None else metric(zero_mean=zero_mean)

    return rule


def bleu(row):
    smooth = "add-k" if row.options.get("smooth") else "none"
    return jm.BLEU(n=row.options["n_gram"], smooth=smooth)


def chrf(row):
    return jm.chrF(n=row.options["n_char_order"], word_n=row.options["n_word_order"])


def rouge(row):
    kind = row.options["rouge_keys"].removeprefix("rouge")
    return [jm.ROUGE(kind, value) for value in ("f1", "precision", "recall")]


def edits(row):
    if row.options["reduction"] == "sum":
        return jm.EditDistance(), lambda x: 4 * x
    return jm.EditDistance()


def of(metric, **ours):
    """Return a rule for a metric of fixed configuration."""
    return lambda row: getattr(jm, metric)(**ours)


RULES = {
    **{
        t + n: classified
        for t in ("Binary", "Multiclass", "Multilabel")
        for n in (*COUNTED, *SCORED, "CalibrationError")
    },
    **{"Binary" + name: at_fixed for name in AT},
    "BinaryEER": of(
        "EqualErrorRate", task="binary", scores="probs", exact=True, capacity=CAPACITY
    ),
    "BinaryLogAUC": absent("an area over the logarithm of the false positive rate"),
    "BinaryHingeLoss": hinge,
    "MulticlassHingeLoss": hinge,
    "BinaryFairness": fairness,
    "BinaryGroupStatRates": lambda row: (
        jm.GroupStatScores(groups=3, scores="probs"),
        lambda x: x[:, :4] / x[:, :4].sum(-1, keepdims=True),
    ),
    "BinaryNormalizedEntropy": of("NormalizedEntropy", scores="probs"),
    "WeightedCalibration": of("CalibrationRatio", scores="probs", weighted=True),
    "ClickThroughRate": lambda row: jm.ClickThroughRate(weighted=True).on(
        clicks="labels"
    ),
    "MultilabelCoverageError": ranked_labels("MultilabelCoverageError"),
    "MultilabelRankingAveragePrecision": ranked_labels("LabelRankingAveragePrecision"),
    "MultilabelRankingLoss": ranked_labels("LabelRankingLoss"),
    "TopKMultilabelAccuracy": absent("the k largest scores as the set of labels"),
    "Perplexity": of("Perplexity", ignore_index=-100),
    "MeanSquaredError": squared_error,
    "MeanAbsoluteError": regression("MeanAbsoluteError"),
    "LogCoshError": regression("LogCoshError"),
    "R2Score": regression("R2"),
    "RelativeSquaredError": regression("RelativeSquaredError", squared="squared"),
    "ExplainedVariance": regression("ExplainedVariance"),
    "PearsonCorrCoef": regression("PearsonCorrelation"),
    "ConcordanceCorrCoef": regression("ConcordanceCorrelation"),
    "SpearmanCorrCoef": ranks(jm.SpearmanCorrelation),
    "KendallRankCorrCoef": ranks(jm.KendallTau),
    "MinkowskiDistance": regression("MinkowskiDistance", p="p"),
    "NormalizedRootMeanSquaredError": regression(
        "NormalizedRootMeanSquaredError", normalization="normalization"
    ),
    "WeightedMeanAbsolutePercentageError": regression(
        "WeightedMeanAbsolutePercentageError"
    ),
    "MeanAbsolutePercentageError": lambda row: jm.MeanAbsolutePercentageError(
        epsilon=1.17e-6
    ),
    "SymmetricMeanAbsolutePercentageError": lambda row: (
        jm.SymmetricMeanAbsolutePercentageError(epsilon=1.17e-6)
    ),
    "MeanSquaredLogError": regression("MeanSquaredLogError"),
    "TweedieDevianceScore": regression("TweedieDeviance", power="power"),
    "CriticalSuccessIndex": regression("CriticalSuccessIndex", threshold="threshold"),
    "CosineSimilarity": cosine,
    "KLDivergence": divergence(jm.KLDivergence),
    "JensenShannonDivergence": divergence(jm.JensenShannonDivergence),
    "ContinuousRankedProbabilityScore": of("CRPS"),
    "MeanMetric": of("Mean"),
    "SumMetric": of("Sum"),
    "MaxMetric": of("Max"),
    "MinMetric": of("Min"),
    "Mean": of("Mean"),
    "Sum": of("Sum"),
    "Max": of("Max"),
    "Min": of("Min"),
    "CatMetric": absent("keeps all values"),
    "RetrievalMAP": ranking("MeanAveragePrecision", normalize="retrieved"),
    "RetrievalMRR": ranking("ReciprocalRank"),
    "RetrievalPrecision": ranking("RetrievalPrecision"),
    "RetrievalRecall": ranking("RetrievalRecall"),
    "RetrievalHitRate": ranking("HitRate"),
    "RetrievalFallOut": ranking("FallOut", empty_queries="one"),
    "RetrievalNormalizedDCG": ranking("NDCG"),
    "RetrievalRPrecision": ranking("RPrecision"),
    "RetrievalAUROC": ranking("RetrievalAUROC"),
    "HitRate": absent("a value for each row: no state; see `vmap`"),
    "ReciprocalRank": absent("a value for each row: no state; see `vmap`"),
    "RandScore": table("RandIndex"),
    "AdjustedRandScore": table("AdjustedRandIndex"),
    "MutualInfoScore": table("MutualInformation"),
    "FowlkesMallowsIndex": table("FowlkesMallows"),
    "HomogeneityScore": table("Homogeneity"),
    "CompletenessScore": table("Completeness"),
    "VMeasureScore": table("VMeasure"),
    "NormalizedMutualInfoScore": table("NormalizedMutualInformation"),
    "AdjustedMutualInfoScore": table("AdjustedMutualInformation"),
    "CalinskiHarabaszScore": of("CalinskiHarabasz", clusters=3, size=3),
    "DaviesBouldinScore": absent("needs all samples, or a second pass over them"),
    "DunnIndex": absent("needs all samples, or a second pass over them"),
    "CramersV": table("CramersV"),
    "TschuprowsT": table("TschuprowsT"),
    "PearsonsContingencyCoefficient": table("ContingencyCoefficient"),
    "TheilsU": table("TheilsU"),
    "FleissKappa": of("FleissKappa", classes=3, raters=6, mode="counts"),
    "PeakSignalNoiseRatio": noise_ratio,
    "StructuralSimilarityIndexMeasure": structure,
    "MultiScaleStructuralSimilarityIndexMeasure": scales,
    "SpectralAngleMapper": of("SpectralAngle"),
    "TotalVariation": variation,
    **dict.fromkeys(
        (
            "UniversalImageQualityIndex",
            "SpatialCorrelationCoefficient",
            "ErrorRelativeGlobalDimensionlessSynthesis",
            "SpectralDistortionIndex",
            "RootMeanSquaredErrorUsingSlidingWindow",
        ),
        absent("an index of remote sensing"),
    ),
    "MeanIoU": segments("MeanIoU"),
    "GeneralizedDiceScore": segments("GeneralizedDice"),
    "DiceScore": segments("Dice"),
    "HausdorffDistance": absent("a distance of all pairs of boundary pixels"),
    "PanopticQuality": panoptic,
    "ModifiedPanopticQuality": absent("another measure of stuff"),
    "IntersectionOverUnion": box("iou"),
    "GeneralizedIntersectionOverUnion": box("giou"),
    "DistanceIntersectionOverUnion": box("diou"),
    "CompleteIntersectionOverUnion": box("ciou"),
    "SignalNoiseRatio": signal(jm.SNR),
    "ScaleInvariantSignalDistortionRatio": signal(jm.SISDR),
    "ScaleInvariantSignalNoiseRatio": signal(jm.SISNR),
    "SignalDistortionRatio": absent("solves for a filter of 512 taps"),
    "SourceAggregatedSignalDistortionRatio": absent("a ratio over all speakers"),
    "PermutationInvariantTraining": of("PermutationInvariant", speakers=2),
    "WordErrorRate": of("WordErrorRate"),
    "CharErrorRate": of("CharErrorRate"),
    "MatchErrorRate": of("MatchErrorRate"),
    "WordInfoLost": of("WordInfoLost"),
    "WordInfoPreserved": of("WordInfoPreserved"),
    "WordInformationLost": of("WordInfoLost"),
    "WordInformationPreserved": of("WordInfoPreserved"),
    "EditDistance": edits,
    "BLEUScore": bleu,
    "SacreBLEUScore": bleu,
    "CHRFScore": chrf,
    "ROUGEScore": rouge,
    "TranslationEditRate": absent("shifts of whole phrases"),
    "ExtendedEditDistance": absent("jumps between words"),
}
RULES["MultilabelAccuracy"] = lambda row: (
    multilabel_accuracy(row) if row.library == "torcheval" else classified(row)
)


def counterpart(row):
    """Return our metrics of a row, and a function of their values or None."""
    found = RULES[row.name](row)
    metrics, convert = found if isinstance(found, tuple) else (found, None)
    return metrics if isinstance(metrics, list) else [metrics], convert


@functools.cache
def values_of(kind):
    """Return our values of the rows of an input, by their number."""
    batches, rows = FROZEN["inputs"][kind], {}
    for number, row in enumerate(ROWS):
        if row.kind == kind:
            try:
                rows[number] = counterpart(row)
            except NotExpressible:
                continue
    metrics = {
        f"{number} {i}": metric
        for number, (several, _) in rows.items()
        for i, metric in enumerate(several)
    }
    if kind == "text":
        found = {name: of_strings(metric, batches) for name, metric in metrics.items()}
    else:
        state = jm.Collection(metrics).empty()
        for index in range(len(next(iter(batches.values())))):
            batch = {name: array(name, x[index]) for name, x in batches.items()}
            if kind == "values":
                batch.pop("weights")
            state = state.update(**batch)
        found = {k: v for k, v in state.compute().items() if "/threshold" not in k}
        found = {name.split("/")[0]: value for name, value in found.items()}
    values = {}
    for number, (several, convert) in rows.items():
        each = [np.asarray(found[f"{number} {i}"], float) for i in range(len(several))]
        value = each[0] if len(each) == 1 else np.stack(each)
        values[number] = convert(value) if convert else value
    return values


def array(name, x):
    """Return a batch of an output; scores and reals in float32."""
    x = np.asarray(x)
    return x.astype(np.float32) if x.dtype == np.float64 else x.astype(np.int32)


def of_strings(metric, batches):
    """Return the value of a metric of strings over batches."""
    state = metric.empty()
    for preds, references in zip(batches["preds"], batches["references"]):
        state = state.merge(metric.from_strings(preds, references))
    return state.compute()


def peer_value(row):
    """Return the peer's value as an array."""
    value = row.value
    if isinstance(value, dict):
        value = list(value.values())
        if row.name == "BinaryFairness":
            value = value[0]
        if row.name == "BinaryGroupStatRates":
            value = [value[i] for i in range(3)]
    value = np.array(value, float)
    return value[0] if value.shape == (1,) else value  # torcheval's single tasks


def joined(kind):
    """Return the outputs of an input, its batches joined."""
    batches = FROZEN["inputs"][kind].items()
    return {name: np.concatenate([np.asarray(x) for x in xs]) for name, xs in batches}


def predicted(row):
    """Return labels and predicted classes, without labels that the peer ignores."""
    outputs = joined(row.kind)
    labels, preds = outputs["labels"], outputs[row.scores]
    if preds.ndim > labels.ndim:
        preds = preds.argmax(-1)
    elif row.scores == "probs":
        preds = (preds >= 0.5).astype(int)
    kept = labels != row.options.get("ignore_index")
    return labels[kept], preds[kept]


RATIOS = {
    "Accuracy": lambda tp, fp, tn, fn: (tp, tp + fn),
    "Recall": lambda tp, fp, tn, fn: (tp, tp + fn),
    "HammingDistance": lambda tp, fp, tn, fn: (fn, tp + fn),
    "Precision": lambda tp, fp, tn, fn: (tp, tp + fp),
    "F1Score": lambda tp, fp, tn, fn: (2 * tp, 2 * tp + fp + fn),
    "FBetaScore": lambda tp, fp, tn, fn: (1.25 * tp, 1.25 * tp + fp + 0.25 * fn),
    "JaccardIndex": lambda tp, fp, tn, fn: (tp, tp + fp + fn),
    "Specificity": lambda tp, fp, tn, fn: (tn, tn + fp),
    "NegativePredictiveValue": lambda tp, fp, tn, fn: (tn, tn + fn),
    "StatScores": lambda tp, fp, tn, fn: (np.stack([tp, fp, tn, fn, tp + fn], -1), 1),
}


def by_counts(row):
    """Return the value from scikit-learn's counts of the classes that have some."""
    task, name = task_and_name(row)
    labels, preds = predicted(row)
    if name == "ConfusionMatrix":
        counts = sk.confusion_matrix(
            labels, preds, labels=range(2 if task == "binary" else CLASSES)
        )
        axis = {"true": 1, "pred": 0}[row.options["normalize"]]
        with np.errstate(invalid="ignore"):
            return counts / counts.sum(axis, keepdims=True)
    classes = [1] if task == "binary" else list(range(CLASSES))
    counts = sk.multilabel_confusion_matrix(labels, preds, labels=classes)
    (tn, fp), (fn, tp) = counts.transpose(1, 2, 0)
    if task == "binary" and name == "Accuracy":
        return np.mean(labels == preds)
    if task == "binary":
        part, whole = RATIOS[name](tp, fp, tn, fn)
        return (part / whole)[0]
    ignored = np.array([c == row.options.get("ignore_index") for c in classes])
    averaged = (tp + fp + fn > 0) & ~ignored
    if name in ("Accuracy", "HammingDistance"):
        averaged &= tp + fn > 0
    average = row.options["average"]
    if average == "micro":
        sums = (x[averaged].sum() for x in (tp, fp, tn, fn))
        part, whole = RATIOS[name](*sums)
        return part / whole
    part, whole = RATIOS[name](tp, fp, tn, fn)
    each = part / np.maximum(whole, 1)
    if average == "macro":
        return each[averaged].mean()
    return np.where(averaged, each, np.nan)


def ranked(row):
    """Return scikit-learn's areas of the classes that have labels, from the softmax."""
    outputs = joined(row.kind)
    if task_and_name(row)[0] == "binary":
        return np.nan
    probs = np.exp(outputs["logits"])
    probs /= probs.sum(-1, keepdims=True)
    area = sk.roc_auc_score if "ROC" in row.name else sk.average_precision_score
    each = np.full(CLASSES, np.nan)
    for c in np.unique(outputs["labels"]):
        each[c] = area(outputs["labels"] == c, probs[:, c])
    return each if row.options["average"] in ("none", None) else np.nanmean(each)


def kept_labels(row):
    """Return the mean over rows, each without its ignored labels."""
    outputs, values = joined(row.kind), []
    for labels, probs in zip(outputs["labels"], outputs["probs"]):
        positive, negative = probs[labels == 1], probs[labels == 0]
        wrong = positive[:, None] <= negative
        if row.name.endswith("RankingLoss"):
            values.append(wrong.mean() if wrong.size else 0)
        else:
            values.append(positive.size + wrong.any(0).sum())
    return np.mean(values)


def hinge_of_logits(row):
    """Return the hinge loss of the logits as they are."""
    outputs = joined(row.kind)
    labels, logits = outputs["labels"], outputs["logits"]
    if logits.ndim == 1:
        losses = np.maximum(1 - np.where(labels == 1, logits, -logits), 0)
    else:
        own = np.take_along_axis(logits, labels[:, None], -1)[:, 0]
        others = np.where(np.arange(CLASSES) == labels[:, None], -np.inf, logits)
        losses = np.maximum(1 - own + others.max(-1), 0)
    return np.mean(losses**2 if row.options["squared"] else losses)


def lower_class_first(row):
    """Return the share of labels with fewer than k classes before them."""
    outputs = joined(row.kind)
    logits, labels = outputs["logits"], outputs["labels"]
    own = np.take_along_axis(logits, labels[:, None], -1)
    lower = np.arange(CLASSES) < labels[:, None]
    before = ((logits > own) | ((logits == own) & lower)).sum(-1)
    return np.mean(before < row.options.get("top_k", row.options.get("k")))


def in_float64(row):
    """Return scikit-learn's value, in float64."""
    outputs = joined(row.kind)
    targets, preds = outputs["targets"], outputs["preds"]
    if row.name == "ExplainedVariance":
        return sk.explained_variance_score(targets, preds)
    value = sk.r2_score(targets, preds)
    if row.name == "RelativeSquaredError":
        return 1 - value if row.options.get("squared", True) else np.sqrt(1 - value)
    return value


def concordance(row):
    """Return Lin's coefficient from population moments."""
    outputs = joined(row.kind)
    preds, targets = outputs["preds"], outputs["targets"]
    covariance = ((preds - preds.mean(0)) * (targets - targets.mean(0))).mean(0)
    apart = (preds.mean(0) - targets.mean(0)) ** 2
    return 2 * covariance / (preds.var(0) + targets.var(0) + apart)


def mirrored(row):
    """Return our value of images with mirrored borders: the peer's own."""
    outputs = {name: x.astype(np.float32) for name, x in joined(row.kind).items()}
    size = row.options["kernel_size"] // 2
    pad = [(0, 0), (size, size), (size, size), (0, 0)]
    padded = {name: np.pad(x, pad, mode="reflect") for name, x in outputs.items()}
    value = jm.evaluate(counterpart(row)[0][0], **padded)
    np.testing.assert_allclose(value, row.value, rtol=1e-4)
    return None


def of_all_items(row):
    """Return the mean over queries, whatever the sign of a score."""
    values, (scores, relevance) = [], joined(row.kind).values()
    for score, relevant in zip(scores, relevance):
        ranked = relevant[np.argsort(-score, kind="stable")]
        precision = ranked.cumsum() / np.arange(1, ranked.size + 1)
        values.append(
            {
                "RetrievalMAP": precision[ranked > 0].mean(),
                "RetrievalMRR": 1 / (1 + ranked.argmax()),
                "RetrievalPrecision": relevant.mean(),
                "RetrievalRecall": 1,
            }[row.name]
        )
    return np.mean(values)


def without_yates(row):
    """Return Bergsma's coefficient of a table of 2 by 2."""
    outputs = joined(row.kind)
    counts = sk.confusion_matrix(outputs["labels"], outputs["preds"])
    n = counts.sum()
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / n
    phi2 = max(((counts - expected) ** 2 / expected).sum() / n - 1 / (n - 1), 0)
    return np.sqrt(phi2 / (1 - 1 / (n - 1)))


def by_mean_precision(row):
    """Return sacrebleu's chrF, by its default."""
    outputs = joined(row.kind)
    metric = sacrebleu.metrics.CHRF(word_order=row.options["n_word_order"])
    preds, references = (outputs[x].tolist() for x in ("preds", "references"))
    score = metric.corpus_score(preds, [references])
    return score.score / 100


def by_alignment(row):
    """Return jiwer's rate."""
    outputs = joined(row.kind)
    words = jiwer.process_words(list(outputs["references"]), list(outputs["preds"]))
    if row.name == "MatchErrorRate":
        return words.mer
    return words.wip if row.name.endswith("Preserved") else words.wil


def nan(row):
    return np.nan


class Convention:
    """A difference on purpose.

    Attributes:
      reason: What differs.
      kinds: Names of the inputs.
      names: Words of which one begins the peer's name, after the task.
      right: Function from a row to the right value; None where it checks by itself.
      rows: The rows, by number.
    """

    def __init__(self, reason, kinds, names, right, where=lambda row: True):
        self.reason, self.right = reason, right
        self.rows = [
            number
            for number, row in enumerate(ROWS)
            if row.kind in kinds
            and task_and_name(row)[1] in names.split()
            and where(row)
        ]


COUNTS = " ".join(RATIOS)
CONVENTIONS = [
    Convention(
        "A score at the threshold is positive (torcheval, scikit-learn, Keras); in "
        "torchmetrics it is negative.",
        ["binary at the threshold"],
        COUNTS,
        by_counts,
        lambda row: row.library == "torchmetrics",
    ),
    Convention(
        "An ignored class enters no average and has no value; torchmetrics averages "
        "its 0, or counts rows predicted as it.",
        ["multiclass ignore a class"],
        COUNTS,
        by_counts,
        lambda row: (
            not (
                row.options["average"] == "micro"
                and row.name.endswith(
                    ("Accuracy", "Recall", "HammingDistance", "JaccardIndex")
                )
                or row.name.endswith(("StatScores", "JaccardIndex"))
                and row.options["average"] in ("none", "macro")
            )
            or row.name.endswith("JaccardIndex")
            and row.options["average"] == "none"
        ),
    ),
    Convention(
        "A class without labels and predictions has no value; it is 0 or 1 in "
        "torchmetrics.",
        ["multiclass missing class"],
        COUNTS,
        by_counts,
        lambda row: (
            row.library == "torchmetrics"
            and row.options["average"] == "none"
            and not row.name.endswith("StatScores")
        ),
    ),
    Convention(
        "A row or column of a confusion matrix without counts is nan; 0 in "
        "torchmetrics.",
        [
            "binary all positive",
            "multiclass missing class",
            "multiclass ignore a class",
        ],
        "ConfusionMatrix",
        by_counts,
        lambda row: (
            row.options["normalize"] == "true"
            or row.options["normalize"] == "pred"
            and row.kind == "multiclass missing class"
        ),
    ),
    Convention(
        "Macro accuracy is the mean over classes with labels (scikit-learn's balanced "
        "accuracy); torchmetrics counts 0 for a class that is only predicted.",
        ["multiclass missing label"],
        "Accuracy HammingDistance",
        by_counts,
    ),
    Convention(
        "The correlation of constant labels is 0, as in scikit-learn.",
        ["binary all positive"],
        "MatthewsCorrCoef",
        lambda row: sk.matthews_corrcoef(*predicted(row)),
    ),
    Convention(
        "The area is nan without positive or without negative labels, and the mean is "
        "over the other classes; torchmetrics takes 0, torcheval 0.5 (and 0 for the "
        "average precision).",
        ["binary all positive", "multiclass missing label"],
        "AUROC AUPRC",
        ranked,
        lambda row: (
            "AUROC" in row.name
            and row.options.get("average") != "weighted"
            or "Multiclass" in row.name
            and row.library == "torcheval"
        ),
    ),
    Convention(
        "A class is ranked by its probability; torcheval takes the logits as they are.",
        ["multiclass logits"],
        "AUROC AUPRC",
        ranked,
        lambda row: row.library == "torcheval",
    ),
    Convention(
        "Ties among the k largest go to the lower class; in torchmetrics to any, in "
        "torcheval all of them count.",
        ["multiclass ties"],
        "Accuracy",
        lower_class_first,
        lambda row: row.options.get("top_k", row.options.get("k")) == 2,
    ),
    Convention(
        "An ignored label leaves the ranking; torchmetrics ranks it as well.",
        ["multilabel ignore"],
        "CoverageError RankingLoss",
        kept_labels,
    ),
    Convention(
        "The hinge loss is of decision values; torchmetrics turns logits into "
        "probabilities.",
        ["binary logits", "multiclass logits"],
        "HingeLoss",
        hinge_of_logits,
    ),
    Convention(
        "Variances are merged from moments; sums of squares cancel in float32.",
        ["regression at an offset"],
        "R2Score RelativeSquaredError ExplainedVariance",
        in_float64,
    ),
    Convention(
        "The concordance has population moments (Lin 1989); torchmetrics divides some "
        "by n - 1.",
        ["regression outputs"],
        "ConcordanceCorrCoef",
        concordance,
    ),
    Convention(
        "An error is relative to the magnitude of the mean.",
        ["regression outputs"],
        "NormalizedRootMeanSquaredError",
        lambda row: np.abs(row.value),
    ),
    Convention(
        "A ratio to targets that sum to 0 is inf, and nan for 0 / 0.",
        ["regression zero targets", "regression of zeros"],
        "WeightedMeanAbsolutePercentageError",
        lambda row: np.nan if row.kind == "regression of zeros" else np.inf,
    ),
    Convention(
        "A vector of zeros has similarity 0, as in scikit-learn.",
        ["vectors with a zero"],
        "CosineSimilarity",
        lambda row: np.diag(
            sk.pairwise.cosine_similarity(*joined(row.kind).values())
        ).mean(),
    ),
    Convention(
        "Without an event there is nothing to score.",
        ["events that never occur"],
        "CriticalSuccessIndex",
        nan,
    ),
    Convention(
        "Yates' correction is not applied to tables of 2 by 2.",
        ["nominal of 2 by 2"],
        "CramersV TschuprowsT",
        without_yates,
        lambda row: row.options["bias_correction"],
    ),
    Convention(
        "Windows lie inside the images; torchmetrics also takes mirrored borders.",
        ["images"],
        "StructuralSimilarityIndexMeasure",
        mirrored,
    ),
    Convention(
        "Windows lie inside the images, at all scales.",
        ["large images"],
        "MultiScaleStructuralSimilarityIndexMeasure",
        None,
    ),
    Convention(
        "An item is relevant whatever its score; torchmetrics takes none with a score "
        "of 0 or less.",
        ["retrieval with negative scores"],
        "RetrievalMAP RetrievalMRR RetrievalPrecision RetrievalRecall",
        of_all_items,
    ),
    Convention(
        "Of constant predictions there is nothing to explain; torchmetrics gives 0.",
        ["nominal constant preds"],
        "TheilsU",
        nan,
    ),
    Convention(
        "A pixel without an angle is left out; it makes torchmetrics' value nan.",
        ["images with a black pixel"],
        "SpectralAngleMapper",
        lambda row: np.pi / 4 - np.arctan(0.1 / 0.5),
    ),
    Convention(
        "A class that does not occur has no value; 0 in torchmetrics.",
        ["panoptic with void"],
        "PanopticQuality",
        lambda row: np.where(np.equal(row.value, 0), np.nan, row.value),
    ),
    Convention(
        "A true segment below an unknown prediction is missed, as in panopticapi; "
        "torchmetrics leaves it out.",
        ["panoptic with unknown preds"],
        "PanopticQuality",
        None,
    ),
    Convention(
        "A class that occurs in no image has no value; -1 in torchmetrics.",
        ["segments without a class"],
        "MeanIoU",
        lambda row: np.where(np.equal(row.value, -1), np.nan, row.value),
        lambda row: row.options["per_class"],
    ),
    Convention(
        "A class that an image lacks has the largest weight of the image's others; in "
        "torchmetrics of all images of the batch.",
        ["segments that lack a class in one image"],
        "GeneralizedDiceScore",
        None,
        lambda row: row.options["weight_type"] != "linear",
    ),
    Convention(
        "Hits are those of an alignment (jiwer); the libraries take the longer "
        "sentence less the edits.",
        ["text"],
        "MatchErrorRate WordInfoLost WordInfoPreserved WordInformationLost "
        "WordInformationPreserved",
        by_alignment,
    ),
    Convention(
        "Precision and recall are averaged over the orders, as by default in "
        "sacrebleu; torchmetrics averages the F-scores of the orders.",
        ["text"],
        "CHRFScore",
        by_mean_precision,
        lambda row: row.options["n_word_order"],
    ),
]
DIFFERING = {number: c for c in CONVENTIONS for number in c.rows}


def close(ours, value):
    """Return True if two values are equal as float32 arithmetic allows."""
    ours, value = np.asarray(ours, float), np.asarray(value, float)
    same = ours.shape == value.shape
    return same and np.allclose(ours, value, rtol=2e-5, atol=2e-6, equal_nan=True)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", dict.fromkeys(row.kind for row in ROWS))
def test_values_are_the_peers_or_differ_by_a_convention(kind):
    for number, ours in values_of(kind).items():
        row = ROWS[number]
        convention = DIFFERING.get(number)
        if convention is None:
            assert close(ours, peer_value(row)), f"{row}: {ours}, not {row.value}"
            continue
        assert not close(ours, peer_value(row)), f"{row} is equal: {convention.reason}"
        right = convention.right and convention.right(row)
        if right is not None:
            assert close(ours, right), (
                f"{row}: {ours}, not {right}; {convention.reason}"
            )


def test_every_convention_has_values():
    assert all(convention.rows for convention in CONVENTIONS)


def test_every_value_is_compared_or_has_a_reason():
    found = Counter()
    for number, row in enumerate(ROWS):
        try:
            counterpart(row)
        except NotExpressible:
            found["not expressible"] += 1
            assert number not in DIFFERING
        else:
            found["convention" if number in DIFFERING else "equal"] += 1
    print(dict(found))
    assert found == {"equal": 966, "convention": 93, "not expressible": 69}
