"""Write inputs, and the values of torchmetrics and torcheval on them, to `frozen.json`.

The inputs are of the kinds, and the options those, that the test suites of these
libraries go through; both are drawn here with fixed seeds. Run with torch, torchvision,
torchmetrics, torcheval and nltk installed: `python tests/metrics/peers/freeze.py`.

The file holds `inputs`, by name a mapping of outputs to batches, and `values`, rows of
`[input, library, metric, options, value]`.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import torcheval.metrics as te
import torchmetrics as tm
import torchmetrics.audio
import torchmetrics.classification
import torchmetrics.clustering
import torchmetrics.detection
import torchmetrics.functional.audio
import torchmetrics.image
import torchmetrics.nominal
import torchmetrics.regression
import torchmetrics.retrieval
import torchmetrics.segmentation
import torchmetrics.text

CLASSES, LABELS = 5, 4


def inputs():
    """Return drawn inputs by name; each output is a list of batches."""
    rng = np.random.default_rng(16)

    def batches(**draws):
        return {name: [draw() for _ in range(3)] for name, draw in draws.items()}

    def uniform(*shape):
        def draw():
            drawn = rng.uniform(0.01, 0.99, shape).round(3)
            return np.where(drawn == 0.5, 0.501, drawn)  # on neither side

        return draw

    def normal(*shape, scale=1.5, shift=0.0):
        return lambda: (shift + rng.normal(0, scale, shape)).round(2)

    def logits(*shape):
        return lambda: rng.normal(0, 1.5, shape).round(3) + 0.0005  # none is 0

    def integers(high, *shape, low=0):
        return lambda: rng.integers(low, high, shape)

    def distribution(*shape, digits=4):
        def draw():
            scores = rng.dirichlet(np.ones(shape[-1]), shape[:-1]).round(digits)
            scores[..., 0] += 1 - scores.sum(-1)  # rounded, they still sum to one
            return scores.round(digits)

        return draw

    def some(draw, padding, share=0.2):
        def padded():
            drawn = draw()
            return np.where(rng.random(drawn.shape) < share, padding, drawn)

        return padded

    def near(draw, scale, low=-np.inf, high=np.inf):
        """Return targets and predictions near to them, as two draws in turn."""
        kept = []

        def target():
            kept.append(draw())
            return kept[-1]

        def pred():
            drawn = kept.pop(0)
            noise = rng.normal(0, scale, drawn.shape)
            return (drawn + noise).clip(low, high).round(2)

        return target, pred

    def pairs(draw, scale, low=-np.inf, high=np.inf):
        target, pred = near(draw, scale, low, high)
        targets = [target() for _ in range(3)]
        return dict(preds=[pred() for _ in range(3)], targets=targets)

    binary = integers(2, 20)
    found = {
        "binary probs": batches(probs=uniform(20), labels=binary),
        "binary logits": batches(logits=logits(20), labels=binary),
        "binary preds": batches(preds=binary, labels=binary),
        "binary multidim": batches(probs=uniform(6, 5), labels=integers(2, 6, 5)),
        "binary ignore": batches(probs=uniform(20), labels=some(binary, -1)),
        "binary at the threshold": batches(
            probs=lambda: rng.choice([0.25, 0.5, 0.75], 20), labels=binary
        ),
        "binary all positive": batches(
            probs=uniform(20), labels=lambda: np.ones(20, int)
        ),
        "binary groups": batches(
            probs=uniform(24), labels=integers(2, 24), groups=integers(3, 24)
        ),
        "binary soft": batches(
            probs=uniform(20), labels=binary, weights=lambda: uniform(20)().round(2)
        ),
        "multiclass probs": batches(
            probs=distribution(20, CLASSES), labels=integers(CLASSES, 20)
        ),
        "multiclass logits": batches(
            logits=logits(20, CLASSES), labels=integers(CLASSES, 20)
        ),
        "multiclass ties": batches(
            logits=lambda: rng.integers(0, 3, (20, CLASSES)) / 2,
            labels=integers(CLASSES, 20),
        ),
        "multiclass preds": batches(
            preds=integers(CLASSES, 20), labels=integers(CLASSES, 20)
        ),
        "multiclass multidim": batches(
            logits=logits(5, 4, CLASSES), labels=integers(CLASSES, 5, 4)
        ),
        "multiclass ignore": batches(
            logits=logits(20, CLASSES), labels=some(integers(CLASSES, 20), -1)
        ),
        "multiclass ignore a class": batches(
            logits=logits(20, CLASSES), labels=integers(CLASSES, 20)
        ),
        "multiclass missing class": batches(
            preds=integers(CLASSES - 1, 20), labels=integers(CLASSES - 1, 20)
        ),
        "multiclass missing label": batches(
            logits=logits(20, CLASSES), labels=integers(CLASSES - 1, 20)
        ),
        "multiclass good preds": batches(
            preds=lambda: np.arange(20) % CLASSES,
            labels=lambda: np.where(
                rng.random(20) < 0.7, np.arange(20) % CLASSES, (np.arange(20) + 1) % 5
            ),
        ),
        "multilabel probs": batches(
            probs=uniform(20, LABELS), labels=integers(2, 20, LABELS)
        ),
        "multilabel logits": batches(
            logits=logits(20, LABELS), labels=integers(2, 20, LABELS)
        ),
        "multilabel preds": batches(
            preds=integers(2, 20, LABELS), labels=integers(2, 20, LABELS)
        ),
        "multilabel multidim": batches(
            probs=uniform(5, 4, LABELS), labels=integers(2, 5, 4, LABELS)
        ),
        "multilabel ignore": batches(
            probs=uniform(20, LABELS), labels=some(integers(2, 20, LABELS), -1)
        ),
        "tokens": batches(
            logits=logits(3, 6, CLASSES), labels=some(integers(CLASSES, 3, 6), -100)
        ),
        "regression": pairs(normal(20), 0.7),
        "regression outputs": pairs(normal(15, 3), 0.7),
        "regression positive": pairs(
            lambda: rng.uniform(0.2, 4, 20).round(2), 0.5, low=0.05
        ),
        "regression zeros": pairs(
            lambda: rng.integers(0, 3, 20).astype(float), 0.5, low=0
        ),
        "regression ties": pairs(lambda: rng.integers(0, 6, 15).astype(float), 0.0)
        | dict(preds=[rng.integers(0, 6, 15).astype(float) for _ in range(3)]),
        "regression at an offset": pairs(
            lambda: (1000 + rng.normal(0, 1, 20)).round(2), 0.5
        ),
        "events": pairs(uniform(20), 0.3),
        "events that never occur": pairs(lambda: uniform(20)() / 10, 0.01),
        "vectors": pairs(normal(8, 4), 0.7),
        "vectors with a zero": dict(
            preds=[np.array([[0.0, 0.0], [1.0, 2.0]])],
            targets=[np.array([[1.0, 2.0], [2.0, 1.0]])],
        ),
        "regression zero targets": dict(
            preds=[np.array([0.0, 1.0, 0.5])], targets=[np.zeros(3)]
        ),
        "regression of zeros": dict(preds=[np.zeros(3)], targets=[np.zeros(3)]),
        "distributions": batches(
            probs=distribution(10, 4), targets=distribution(10, 4)
        ),
        "ensemble": batches(preds=normal(15, 5), targets=normal(15)),
        "values": batches(values=normal(20), weights=uniform(20)),
        "retrieval": batches(scores=normal(4, 8), relevance=integers(2, 4, 8)),
        "retrieval graded": batches(scores=normal(4, 8), relevance=integers(4, 4, 8)),
        "retrieval ties": batches(
            scores=lambda: rng.integers(0, 3, (4, 8)) / 2, relevance=integers(2, 4, 8)
        ),
        "retrieval without a relevant item": batches(
            scores=normal(3, 6),
            relevance=lambda: np.array(
                [[1, 0, 0, 1, 0, 0], [0] * 6, [0, 0, 1, 0, 0, 0]]
            ),
        ),
        "clusters": batches(preds=integers(4, 30), labels=integers(3, 30)),
        "clusters, one": batches(
            preds=lambda: np.zeros(30, int), labels=integers(3, 30)
        ),
        "clusters that agree": batches(
            preds=lambda: (np.arange(30) + 1) % 3, labels=lambda: np.arange(30) % 3
        ),
        "embeddings": batches(
            values=lambda: (
                rng.normal(0, 1, (20, 3)) + 3 * np.arange(20)[:, None] % 9
            ).round(2),
            preds=lambda: np.arange(20) % 3,
        ),
        "nominal": batches(preds=integers(4, 30), labels=integers(4, 30)),
        "nominal of 2 by 2": batches(
            preds=lambda: np.arange(30) % 2,
            labels=lambda: np.where(rng.random(30) < 0.3, 0, np.arange(30) % 2),
        ),
        "nominal constant": batches(
            preds=integers(3, 30), labels=lambda: np.zeros(30, int)
        ),
        "nominal constant preds": batches(
            preds=lambda: np.zeros(30, int), labels=integers(3, 30)
        ),
        "nominal dependent": batches(
            preds=lambda: np.arange(30) % 4, labels=lambda: np.arange(30) % 4 // 2
        ),
        "ratings": batches(ratings=lambda: rng.multinomial(6, [0.5, 0.2, 0.3], 10)),
        "images": pairs(
            lambda: rng.uniform(0.02, 1, (2, 16, 16, 2)).round(2), 0.2, 0.02, 1
        ),
        "images with a black pixel": dict(
            preds=[np.array([[[[0.0, 0.0], [0.5, 0.5]]]])],
            targets=[np.array([[[[0.2, 0.4], [0.5, 0.1]]]])],
        ),
        "large images": {
            k: v[:1]
            for k, v in pairs(
                lambda: np.kron(
                    rng.uniform(0, 1, (1, 24, 24, 1)), np.ones((1, 4, 4, 1))
                ).round(2),
                0.1,
                0,
                1,
            ).items()
        },
        "segments": batches(preds=integers(3, 3, 6, 6), labels=integers(3, 3, 6, 6)),
        "segments that lack a class in one image": dict(
            preds=[rng.integers(0, 3, (2, 6, 6))],
            labels=[np.stack([np.arange(36).reshape(6, 6) % k for k in (2, 3)])],
        ),
        "segments without a class": batches(
            preds=integers(2, 3, 6, 6), labels=integers(2, 3, 6, 6)
        ),
        "audio": pairs(normal(3, 60), 0.5),
        "audio of speakers": pairs(normal(3, 2, 60), 0.7),
        "text": dict(
            preds=[
                ["the cat sat on the mat", "hello world my friend"],
                ["there is a cat on the mat", "it rains in spain today"],
            ],
            references=[
                ["the cat sat on a mat", "hello there world friend"],
                ["a cat is on the mat", "it rains in spain mostly today"],
            ],
        ),
        "panoptic": dict(),
        "boxes": dict(),
    }
    # torchmetrics takes no item with a score of 0 or less as relevant.
    found["retrieval with negative scores"] = found["retrieval"]
    for kind in ("retrieval", "retrieval graded", "retrieval without a relevant item"):
        scores = [(1 / (1 + np.exp(-x))).round(4) for x in found[kind]["scores"]]
        found[kind] = found[kind] | dict(scores=scores)
    corners = [rng.uniform(0, 5, (6, 2)).round(1) for _ in range(4)]
    sizes = [rng.uniform(2, 6, (6, 2)).round(1) for _ in range(4)]
    boxes = [np.concatenate([c, c + s], -1).round(1) for c, s in zip(corners, sizes)]
    found["boxes"] = dict(preds=boxes[:2], targets=boxes[2:])
    blocks = np.kron(rng.integers(0, 4, (4, 3, 3)), np.ones((1, 3, 3), int))
    noise = np.where(rng.random(blocks.shape) < 0.2, 3, blocks)
    # Classes 0 and 1 are things with an instance by the half of the image; the others
    # are stuff, of one instance.
    halves = (np.arange(9) > 4) * 1
    maps = [np.stack([x, np.where(x < 2, halves, 0)], -1) for x in (blocks, noise)]
    targets, preds = maps[0], maps[1].copy()
    found["panoptic"] = dict(
        preds=[preds[:2], preds[2:]], targets=[targets[:2], targets[2:]]
    )
    void, unknown = targets[:1].copy(), preds[:1].copy()
    void[:, :4, :5], unknown[:, :4, :5] = [9, 0], [9, 0]
    found["panoptic with void"] = dict(preds=[preds[:1]], targets=[void])
    found["panoptic with unknown preds"] = dict(preds=[unknown], targets=[targets[:1]])
    return found


def grid(metrics, **options):
    """Return rows of metrics with each combination of options."""
    combinations = itertools.product(*options.values())
    settings = [dict(zip(options, values)) for values in combinations]
    return [(metric, setting) for metric in metrics.split() for setting in settings]


AVERAGES = ["micro", "macro", "weighted", "none"]
NORMS = ["none", "true", "pred", "all"]


def binary(**fixed):
    """Return torchmetrics' binary metrics of predicted labels."""
    names = "Accuracy Precision Recall F1Score Specificity NegativePredictiveValue"
    names += " HammingDistance JaccardIndex MatthewsCorrCoef StatScores"
    rows = grid(names) + grid("FBetaScore", beta=[0.5, 2.0])
    rows += grid("CohenKappa", weights=["none", "linear", "quadratic"])
    rows += grid("ConfusionMatrix", normalize=NORMS)
    return [("Binary" + name, fixed | options) for name, options in rows]


def binary_scores(**fixed):
    """Return torchmetrics' binary metrics of scores."""
    rows = grid("AUROC", max_fpr=[None, 0.5]) + grid("AveragePrecision")
    rows += grid("CalibrationError", n_bins=[10, 15], norm=["l1", "l2", "max"])
    rows += grid("EER LogAUC")
    for kind, floor in (
        ("RecallAtFixedPrecision", "min_precision"),
        ("PrecisionAtFixedRecall", "min_recall"),
        ("SensitivityAtSpecificity", "min_specificity"),
        ("SpecificityAtSensitivity", "min_sensitivity"),
    ):
        rows += grid(kind, **{floor: [0.5, 0.8]})
    return [("Binary" + name, fixed | options) for name, options in rows]


def multiclass(averages=AVERAGES, **fixed):
    """Return torchmetrics' multiclass metrics of predicted classes."""
    names = "Accuracy Precision Recall F1Score Specificity NegativePredictiveValue"
    names += " HammingDistance JaccardIndex StatScores"
    rows = grid(names, average=averages)
    rows += grid("FBetaScore", beta=[0.5], average=averages[:2])
    rows += grid("CohenKappa", weights=["none", "linear", "quadratic"])
    rows += grid("ConfusionMatrix", normalize=NORMS)
    rows += grid("MatthewsCorrCoef")
    fixed = dict(num_classes=CLASSES) | fixed
    return [("Multiclass" + name, fixed | options) for name, options in rows]


def multiclass_scores(**fixed):
    """Return torchmetrics' multiclass metrics of scores."""
    rows = grid("AUROC AveragePrecision", average=["macro", "weighted", "none"])
    rows += grid("CalibrationError", n_bins=[10, 15], norm=["l1", "l2", "max"])
    names = "Accuracy Precision Recall F1Score"
    rows += grid(names, top_k=[2, 3], average=["micro", "macro"])
    fixed = dict(num_classes=CLASSES) | fixed
    return [("Multiclass" + name, fixed | options) for name, options in rows]


def multilabel(**fixed):
    """Return torchmetrics' multilabel metrics of predicted labels."""
    names = "Accuracy Precision Recall F1Score Specificity NegativePredictiveValue"
    names += " HammingDistance JaccardIndex StatScores"
    rows = grid(names, average=AVERAGES)
    rows += grid("FBetaScore", beta=[2.0], average=AVERAGES)
    rows += grid("ExactMatch ConfusionMatrix MatthewsCorrCoef")
    return [
        ("Multilabel" + name, dict(num_labels=LABELS) | fixed | options)
        for name, options in rows
    ]


def multilabel_scores(**fixed):
    """Return torchmetrics' multilabel metrics of scores."""
    averages = ["micro", "macro", "weighted", "none"]
    rows = grid("AUROC AveragePrecision", average=averages)
    rows += grid("CoverageError RankingAveragePrecision RankingLoss")
    return [
        ("Multilabel" + name, dict(num_labels=LABELS) | fixed | options)
        for name, options in rows
    ]


RETRIEVAL = (
    grid("RetrievalMAP RetrievalPrecision RetrievalRecall", top_k=[None, 3])
    + grid("RetrievalHitRate RetrievalFallOut RetrievalMRR", top_k=[None, 3])
    + grid("RetrievalNormalizedDCG", top_k=[None, 3])
    + grid("RetrievalRPrecision RetrievalAUROC")
)
EMPTY = grid(
    "RetrievalMAP RetrievalMRR RetrievalNormalizedDCG RetrievalRecall",
    empty_target_action=["neg", "skip", "pos"],
)
CLUSTERING = (
    grid("RandScore AdjustedRandScore MutualInfoScore FowlkesMallowsIndex")
    + grid("HomogeneityScore CompletenessScore")
    + grid("VMeasureScore", beta=[1.0, 0.5])
    + grid(
        "NormalizedMutualInfoScore AdjustedMutualInfoScore",
        average_method=["arithmetic", "geometric", "min", "max"],
    )
)
ERRORS = (
    grid("MeanSquaredError", squared=[True, False])
    + grid("MeanAbsoluteError LogCoshError R2Score RelativeSquaredError")
    + grid("RelativeSquaredError", squared=[False])
    + grid("ExplainedVariance PearsonCorrCoef ConcordanceCorrCoef")
    + grid("SpearmanCorrCoef")
    + grid("KendallRankCorrCoef", variant=["a", "b", "c"])
    + grid("MinkowskiDistance", p=[1.5, 3.0])
    + grid("NormalizedRootMeanSquaredError", normalization=["mean", "range", "std"])
    + grid("NormalizedRootMeanSquaredError", normalization=["l2"])
    + grid("WeightedMeanAbsolutePercentageError MeanAbsolutePercentageError")
    + grid("SymmetricMeanAbsolutePercentageError")
)
OUTPUTS = (
    grid("MeanSquaredError", num_outputs=[3], squared=[True, False])
    + grid("MeanAbsoluteError LogCoshError PearsonCorrCoef", num_outputs=[3])
    + grid("ConcordanceCorrCoef SpearmanCorrCoef KendallRankCorrCoef", num_outputs=[3])
    + grid("R2Score", multioutput=["raw_values", "uniform_average"])
    + grid("R2Score", multioutput=["variance_weighted"], adjusted=[0, 2])
    + grid(
        "ExplainedVariance",
        multioutput=["raw_values", "uniform_average", "variance_weighted"],
    )
    + grid("RelativeSquaredError", num_outputs=[3])
    + grid("NormalizedRootMeanSquaredError", num_outputs=[3])
)

HINGE = grid(
    "MulticlassHingeLoss",
    num_classes=[CLASSES],
    squared=[False, True],
    multiclass_mode=["crammer-singer", "one-vs-all"],
)

TORCHMETRICS = {
    "binary probs": binary()
    + binary(threshold=0.3)
    + binary_scores()
    + grid("BinaryHingeLoss", squared=[False, True]),
    "binary logits": binary()[:8]
    + binary_scores()[:3]
    + grid("BinaryHingeLoss", squared=[False, True]),
    "binary preds": binary(),
    "binary multidim": binary()[:6]
    + binary(multidim_average="samplewise")[:3]
    + binary_scores()[:3],
    "binary ignore": binary(ignore_index=-1) + binary_scores(ignore_index=-1)[:5],
    "binary at the threshold": binary()[:6],
    "binary all positive": binary() + grid("BinaryAUROC BinaryAveragePrecision"),
    "binary groups": grid("BinaryFairness", num_groups=[3], task=["demographic_parity"])
    + grid("BinaryFairness", num_groups=[3], task=["equal_opportunity"])
    + grid("BinaryGroupStatRates", num_groups=[3]),
    "multiclass probs": multiclass()[:20] + multiclass_scores() + HINGE,
    "multiclass ties": grid(
        "MulticlassAccuracy", num_classes=[CLASSES], average=["micro"], top_k=[1, 2]
    ),
    "multiclass logits": multiclass_scores() + multiclass() + HINGE[:1],
    "multiclass preds": multiclass(),
    "multiclass multidim": multiclass(["micro", "macro"])
    + grid("MulticlassExactMatch", num_classes=[CLASSES])
    + multiclass(["macro"], multidim_average="samplewise")[:3],
    "multiclass ignore": multiclass(ignore_index=-1)
    + multiclass_scores(ignore_index=-1)[:12],
    "multiclass ignore a class": multiclass(["micro", "macro", "none"], ignore_index=0),
    "multiclass missing class": multiclass(),
    "multiclass missing label": multiclass_scores()[:6] + multiclass(["macro"])[:9],
    "multiclass good preds": multiclass(["macro", "none"]),
    "multilabel probs": multilabel() + multilabel_scores(),
    "multilabel logits": multilabel()[:9] + multilabel_scores(),
    "multilabel preds": multilabel(),
    "multilabel multidim": multilabel()[:24],
    "multilabel ignore": multilabel(ignore_index=-1)
    + multilabel_scores(ignore_index=-1),
    "tokens": grid("Perplexity", ignore_index=[-100]),
    "regression": ERRORS,
    "regression at an offset": ERRORS[:14],
    "regression ties": ERRORS[8:14],
    "regression outputs": OUTPUTS,
    **dict.fromkeys(
        ("regression zero targets", "regression of zeros"),
        grid("WeightedMeanAbsolutePercentageError MeanAbsolutePercentageError")
        + grid("SymmetricMeanAbsolutePercentageError R2Score"),
    ),
    "vectors with a zero": grid("CosineSimilarity", reduction=["mean"]),
    "regression positive": grid("MeanSquaredLogError")
    + grid("TweedieDevianceScore", power=[0.0, 1.0, 1.5, 2.0, 3.0]),
    "regression zeros": ERRORS[-3:] + grid("TweedieDevianceScore", power=[0.0]),
    "events": grid("CriticalSuccessIndex", threshold=[0.3, 0.5, 0.7]),
    "events that never occur": grid("CriticalSuccessIndex", threshold=[0.5]),
    "vectors": grid("CosineSimilarity", reduction=["mean", "sum", "none"]),
    "distributions": grid("KLDivergence", reduction=["mean", "sum"])
    + grid("JensenShannonDivergence", reduction=["mean", "sum"]),
    "ensemble": grid("ContinuousRankedProbabilityScore"),
    "values": grid("MeanMetric SumMetric MaxMetric MinMetric CatMetric"),
    "retrieval": RETRIEVAL,
    "retrieval graded": grid("RetrievalNormalizedDCG", top_k=[None, 3]),
    "retrieval ties": grid("RetrievalNormalizedDCG", top_k=[None, 3]),
    "retrieval with negative scores": grid(
        "RetrievalMAP RetrievalMRR RetrievalPrecision RetrievalRecall"
    ),
    "retrieval without a relevant item": EMPTY,
    "clusters": CLUSTERING,
    "clusters, one": CLUSTERING,
    "clusters that agree": CLUSTERING,
    "embeddings": grid("CalinskiHarabaszScore DaviesBouldinScore DunnIndex"),
    **dict.fromkeys(
        (
            "nominal",
            "nominal of 2 by 2",
            "nominal dependent",
            "nominal constant",
            "nominal constant preds",
        ),
        grid("CramersV TschuprowsT", num_classes=[4], bias_correction=[False, True])
        + grid("PearsonsContingencyCoefficient TheilsU", num_classes=[4]),
    ),
    "ratings": grid("FleissKappa", mode=["counts"]),
    "images with a black pixel": grid("SpectralAngleMapper"),
    "images": grid("PeakSignalNoiseRatio", data_range=[1.0])
    + grid("PeakSignalNoiseRatio", data_range=[1.0], dim=[[1, 2, 3]])
    + grid(
        "StructuralSimilarityIndexMeasure",
        data_range=[1.0],
        kernel_size=[5],
        sigma=[0.5],
    )
    + grid(
        "StructuralSimilarityIndexMeasure",
        data_range=[1.0],
        gaussian_kernel=[False],
        kernel_size=[7],
    )
    + grid(
        "SpectralAngleMapper UniversalImageQualityIndex SpatialCorrelationCoefficient"
    )
    + grid("ErrorRelativeGlobalDimensionlessSynthesis SpectralDistortionIndex")
    + grid("RootMeanSquaredErrorUsingSlidingWindow")
    + grid("TotalVariation", reduction=["mean", "sum"]),
    "large images": grid(
        "MultiScaleStructuralSimilarityIndexMeasure",
        data_range=[1.0],
        kernel_size=[5],
        sigma=[0.5],
    ),
    **dict.fromkeys(
        (
            "segments",
            "segments without a class",
            "segments that lack a class in one image",
        ),
        grid(
            "MeanIoU",
            num_classes=[3],
            per_class=[False, True],
            input_format=["index"],
        )
        + grid(
            "GeneralizedDiceScore",
            num_classes=[3],
            weight_type=["square", "simple", "linear"],
            input_format=["index"],
        )
        + grid(
            "DiceScore",
            num_classes=[3],
            average=["micro", "macro", "none"],
            input_format=["index"],
        ),
    ),
    "panoptic": grid(
        "PanopticQuality",
        things=[[0, 1]],
        stuffs=[[2, 3]],
        return_per_class=[False, True],
    )
    + grid("ModifiedPanopticQuality", things=[[0, 1]], stuffs=[[2, 3]]),
    **dict.fromkeys(
        ("panoptic with void", "panoptic with unknown preds"),
        grid(
            "PanopticQuality",
            things=[[0, 1]],
            stuffs=[[2, 3]],
            return_per_class=[True],
            allow_unknown_preds_category=[True],
        ),
    ),
    "boxes": grid(
        "IntersectionOverUnion GeneralizedIntersectionOverUnion "
        "DistanceIntersectionOverUnion CompleteIntersectionOverUnion"
    ),
    "audio": grid("SignalNoiseRatio", zero_mean=[False, True])
    + grid("ScaleInvariantSignalDistortionRatio", zero_mean=[False, True])
    + grid("ScaleInvariantSignalNoiseRatio SignalDistortionRatio"),
    "audio of speakers": grid("PermutationInvariantTraining")
    + grid("SourceAggregatedSignalDistortionRatio"),
    "text": grid("WordErrorRate CharErrorRate MatchErrorRate WordInfoLost")
    + grid("WordInfoPreserved")
    + grid("EditDistance", reduction=["mean", "sum"])
    + grid("BLEUScore SacreBLEUScore", n_gram=[2, 4], smooth=[False, True])
    + grid("CHRFScore", n_word_order=[0, 2], n_char_order=[6])
    + grid("ROUGEScore", rouge_keys=["rouge1", "rouge2", "rougeL"])
    + grid("TranslationEditRate ExtendedEditDistance"),
}

TORCHEVAL = {
    "binary probs": grid(
        "BinaryAccuracy BinaryPrecision BinaryRecall BinaryF1Score",
        threshold=[0.5, 0.3],
    )
    + grid("BinaryConfusionMatrix", normalize=[None, "true", "pred", "all"])
    + grid("BinaryAUROC BinaryAUPRC BinaryNormalizedEntropy"),
    "binary at the threshold": grid(
        "BinaryAccuracy BinaryPrecision BinaryRecall BinaryF1Score", threshold=[0.5]
    ),
    "binary all positive": grid("BinaryAUROC BinaryAUPRC"),
    "binary soft": grid("WeightedCalibration ClickThroughRate"),
    "multiclass logits": grid(
        "MulticlassAccuracy MulticlassPrecision MulticlassRecall MulticlassF1Score",
        num_classes=[CLASSES],
        average=["micro", "macro"],
    )
    + grid(
        "MulticlassPrecision MulticlassRecall MulticlassF1Score",
        num_classes=[CLASSES],
        average=["weighted", None],
    )
    + grid("MulticlassAccuracy", k=[2, 3])
    + grid(
        "MulticlassConfusionMatrix",
        num_classes=[CLASSES],
        normalize=[None, "true", "pred", "all"],
    )
    + grid("MulticlassAUROC MulticlassAUPRC", num_classes=[CLASSES], average=["macro"])
    + grid("MulticlassAUROC MulticlassAUPRC", num_classes=[CLASSES], average=[None]),
    "multiclass probs": grid(
        "MulticlassAUROC MulticlassAUPRC",
        num_classes=[CLASSES],
        average=["macro", None],
    ),
    "multiclass ties": grid("MulticlassAccuracy", k=[2]),
    "multiclass missing class": grid(
        "MulticlassAccuracy MulticlassPrecision MulticlassF1Score",
        num_classes=[CLASSES],
        average=["micro", "macro"],
    ),
    "multiclass missing label": grid(
        "MulticlassAUROC MulticlassAUPRC", num_classes=[CLASSES], average=["macro"]
    ),
    "multilabel probs": grid(
        "MultilabelAccuracy",
        criteria=["exact_match", "hamming", "overlap", "contain", "belong"],
    )
    + grid("MultilabelAUPRC", num_labels=[LABELS], average=["macro", None])
    + grid("TopKMultilabelAccuracy", k=[2], criteria=["hamming", "overlap"]),
    "tokens": grid("Perplexity", ignore_index=[-100]),
    "regression": grid("MeanSquaredError R2Score"),
    "regression at an offset": grid("MeanSquaredError R2Score"),
    "regression outputs": grid(
        "MeanSquaredError", multioutput=["raw_values", "uniform_average"]
    )
    + grid(
        "R2Score",
        multioutput=["raw_values", "uniform_average", "variance_weighted"],
    ),
    "values": grid("Mean Sum Max Min"),
    "vectors": [],
    "retrieval": grid("HitRate", k=[None, 2]) + grid("ReciprocalRank", k=[None, 2]),
    "images": grid("PeakSignalNoiseRatio", data_range=[1.0]),
    "text": grid("WordErrorRate WordInformationLost WordInformationPreserved")
    + grid("BLEUScore", n_gram=[2, 4]),
}


def find(library, name):
    """Return a metric of a library by its name."""
    places = [te] if library == "torcheval" else [tm]
    if library == "torchmetrics":
        parts = "classification clustering detection image nominal regression audio"
        parts += " retrieval segmentation text"
        places += [getattr(tm, part) for part in parts.split()]
    for place in places:
        if hasattr(place, name):
            return getattr(place, name)
    raise LookupError(f"{library} has no {name}")


def build(library, name, options):
    """Return a metric; None in options that a library spells as None."""
    options = {k: tuple(v) if k == "dim" else v for k, v in options.items()}
    if options.get("weights") == "none":
        options["weights"] = None
    if options.get("dim"):
        options["reduction"] = "elementwise_mean"
    if name == "StructuralSimilarityIndexMeasure" and "sigma" in options:
        options["gaussian_kernel"] = True
    if name == "PermutationInvariantTraining":
        function = tm.functional.audio.scale_invariant_signal_distortion_ratio
        return find(library, name)(function, eval_func="max")
    return find(library, name)(**options)


def arguments(kind, library, name, batch):
    """Return the arguments of an update, in the layout of torch."""
    batch = {k: v if kind == "text" else torch.tensor(v) for k, v in batch.items()}
    batch = {
        k: v.float() if kind != "text" and v.is_floating_point() else v
        for k, v in batch.items()
    }
    if kind == "values":
        return [batch["values"]]
    if kind.startswith("retrieval"):
        if library == "torcheval":
            return [batch["scores"], batch["relevance"].argmax(-1)]
        queries = torch.arange(len(batch["scores"])) + batch["first"]
        indexes = queries[:, None].expand_as(batch["scores"])
        return [x.reshape(-1) for x in (batch["scores"], batch["relevance"], indexes)]
    if kind == "ratings":
        return [batch["ratings"]]
    if kind == "boxes":
        labels = torch.zeros(1, dtype=torch.int)
        one = [dict(boxes=x[None], labels=labels) for x in batch["preds"]]
        other = [dict(boxes=x[None], labels=labels) for x in batch["targets"]]
        return [one, other]
    if kind == "embeddings":
        return [batch["values"], batch["preds"]]
    if kind == "distributions" and name == "KLDivergence":
        return [batch["targets"], batch["probs"]]
    if kind == "binary soft":
        if name == "ClickThroughRate":
            return [batch["labels"], batch["weights"]]
        return [batch["probs"], batch["labels"].double(), batch["weights"]]
    if name == "BinaryNormalizedEntropy":
        return [batch["probs"].double(), batch["labels"].double()]
    order = "probs logits preds labels targets references groups".split()
    found = [batch[k] for k in order if k in batch]
    if "images" in kind or kind == "multilabel multidim":
        found = [x.movedim(-1, 1) for x in found]
    if name == "TotalVariation":
        found = found[:1]
    if kind == "multiclass multidim":
        found[0] = found[0].movedim(-1, 1)
    if kind == "text" and (
        "BLEU" in name or name in ("CHRFScore", "TranslationEditRate")
    ):
        found[1] = [[x] for x in found[1]]
    return found


def plain(value):
    """Return a value as nested lists of numbers, rounded to 7 digits."""
    if isinstance(value, dict):
        if "iou" in "".join(value):
            return plain(next(v for k, v in value.items() if "iou" in k))
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(x) for x in value]
    if isinstance(value, torch.Tensor):
        return plain(value.double().numpy().tolist())
    number = float(f"{float(value):.7g}")
    return number if math.isfinite(number) else str(number)


def evaluate(kind, library, name, options, batches):
    """Return the value of a metric over the batches of an input."""
    metric = build(library, name, options)
    count = len(next(iter(batches.values())))
    for index in range(count):
        batch = {k: v[index] for k, v in batches.items()}
        if kind.startswith("retrieval"):
            batch["first"] = index * len(batch["scores"])
        metric.update(*arguments(kind, library, name, batch))
    value = metric.compute()
    if "AtFixed" in name or name.startswith("BinarySens") or "AtSens" in name:
        value = value[0]
    return plain(value)


def main():
    """Write the file."""
    warnings.simplefilter("ignore")
    drawn, rows, failed = inputs(), [], []
    for library, table in (("torchmetrics", TORCHMETRICS), ("torcheval", TORCHEVAL)):
        for kind, metrics in table.items():
            for name, options in metrics:
                try:
                    value = evaluate(kind, library, name, options, drawn[kind])
                except Exception as error:  # reported below
                    failed.append((library, kind, name, options, repr(error)[:160]))
                    continue
                rows.append([kind, library, name, options, value])
    for line in failed:
        print("failed:", *line, file=sys.stderr)

    def tidy(x):
        if isinstance(x, np.ndarray):
            return x.tolist()
        return [tidy(y) for y in x] if isinstance(x, list) else x

    lines = [
        f"{json.dumps(k)}: "
        + json.dumps({n: tidy(v) for n, v in x.items()}, separators=(",", ":"))
        for k, x in drawn.items()
    ]
    values = [json.dumps(row, separators=(",", ":")) for row in rows]
    text = '{"inputs": {\n' + ",\n".join(lines) + '\n},\n"values": [\n'
    text += ",\n".join(values) + "\n]}\n"
    Path(__file__).with_name("frozen.json").write_text(text)
    print(len(rows), "values;", len(text), "bytes")


if __name__ == "__main__":
    main()
