"""Update of metrics of each family, whose state or arithmetic is its own.

The floor is the jitted sum of the bytes that the update reads. JAX libraries update
donated state in jit; calibrax has functions of a batch and no state, so their values
are added up. Libraries in PyTorch update eagerly on one thread. Many of their updates
only append the batch to a list, and the work is done when the value is computed: "state
MB a batch" is what one update adds; the list is emptied after each.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

CORES = 1

Outputs = dict[str, Any]


class Case(NamedTuple):
    """Inputs of an update, and metrics that take them.

    Attributes:
      outputs: Function that draws the batch by name.
      metric: Our metric.
      torchmetrics: Name of the metric, and its options.
      torcheval: Name of the metric, and its options.
      metrax: Function from the module and the outputs to the state of a batch.
      calibrax: Function from the functional package and the outputs to a value.
      arguments: Function from outputs as tensors to the arguments in PyTorch. Default
        their values.
    """

    outputs: Callable[[], Outputs]
    metric: Any
    torchmetrics: tuple[str, dict[str, Any]] | None = None
    torcheval: tuple[str, dict[str, Any]] | None = None
    metrax: Callable[[Any, Outputs], Any] | None = None
    calibrax: Callable[[Any, Outputs], Any] | None = None
    arguments: Callable[[Outputs], list[Any]] = lambda x: list(x.values())


def measure(bench: Any, scale: float = 1.0) -> None:
    """Time each case and add its rows.

    Args:
      bench: The rows.
      scale: Factor of the leading axes of all batches.
    """
    from benchmarks import handwritten
    from benchmarks.jitted import update_of, updating

    for name, case in cases(scale).items():
        if not bench.wants(name):
            continue
        outputs, state = case.outputs(), case.metric.empty()
        floor, _ = updating(handwritten.sum_of_bytes, 0.0, outputs)
        ours, figures = updating(update_of, state, outputs)
        runs, counts = {"sum of bytes": floor, "jaxmetrics": ours}, {}
        counts["jaxmetrics"] = figures | {"state MB": megabytes(state)}
        for library in (metrax, calibrax, torchmetrics, torcheval):
            if importlib.util.find_spec(library.__name__) is None:
                continue
            peer = library(case, outputs)
            if peer is not None:
                runs[library.__name__], counts[library.__name__] = peer
        bench.compare(name, runs, counts)


def cases(scale: float = 1.0) -> dict[str, Case]:
    """Return the cases by name."""
    import jax.numpy as jnp

    import jaxmetrics as jm

    def rows(number: int) -> int:
        return max(4, round(scale * number))

    def spoken(x: Outputs) -> list[Any]:
        return [[" ".join(map(str, row)) for row in x[k].tolist()] for k in x]

    def first(x: Outputs) -> list[Any]:
        return [t.movedim(-1, 1) for t in x.values()]

    def queries(x: Outputs) -> list[Any]:
        import torch

        scores, relevance = x.values()
        index = torch.arange(len(scores))[:, None].expand_as(scores)
        return [t.reshape(-1) for t in (scores, relevance, index)]

    many, ten = rows(100_000), rows(10_000)
    logits = drawn(logits=(ten, 10), labels=(10, ten))
    several = drawn(probs=(ten, 20), labels=(2, ten, 20))
    clicks = drawn(probs=(many,), labels=(2, many))
    pairs = drawn(preds=(many,), targets=(many,))
    ensemble = drawn(preds=(ten, 20), targets=(ten,))
    items = drawn(scores=(rows(1000), 100), relevance=(2, rows(1000), 100))
    words = drawn(preds=(50, rows(32), 32), references=(50, rows(32), 32))
    images = drawn(preds=(rows(16), 64, 64, 3), targets=(rows(16), 64, 64, 3))
    pixels = drawn(preds=(10, rows(16), 128, 128), labels=(10, rows(16), 128, 128))
    segments = drawn(preds=(4, rows(4), 64, 64, 2), targets=(4, rows(4), 64, 64, 2))
    boxes = drawn(preds=(ten, 4), targets=(ten, 4))
    audio = drawn(preds=(rows(16), 16_000), targets=(rows(16), 16_000))
    clusters = drawn(preds=(10, many), labels=(10, many))
    tokens = drawn(logits=(rows(16), 128, 256), labels=(256, rows(16), 128))
    policies = drawn(logits=(ten, 64), reference_logits=(ten, 64))
    attention = drawn(logits=(rows(4), 8, 128, 128))
    activations = drawn(activations=(ten, 256))
    spelled = drawn(
        preds=(50, rows(32), 64),
        references=(50, rows(32), 64),
        pred_words=(50, rows(32), 16),
        reference_words=(50, rows(32), 16),
    )
    regions = drawn(preds=(4, rows(8), 64, 64), labels=(4, rows(8), 64, 64))
    rewards = drawn(chosen=(many,), rejected=(many,))
    values = drawn(values=(many,))
    ten_classes: dict[str, Any] = {"num_classes": 10, "validate_args": False}
    word_rate = jm.WordErrorRate(), ("text.WordErrorRate", {}), ("WordErrorRate", {})
    return {
        "Jaccard": Case(
            logits,
            jm.Jaccard(classes=10),
            ("classification.MulticlassJaccardIndex", ten_classes),
        ),
        "Cohen's kappa": Case(
            logits,
            jm.CohenKappa(classes=10),
            ("classification.MulticlassCohenKappa", ten_classes),
        ),
        "hinge loss": Case(
            logits,
            jm.HingeLoss(),
            ("classification.MulticlassHingeLoss", ten_classes),
        ),
        "label ranking loss": Case(
            several,
            jm.LabelRankingLoss(scores="probs"),
            (
                "classification.MultilabelRankingLoss",
                {"num_labels": 20, "validate_args": False},
            ),
        ),
        "F1 of samples": Case(
            several,
            jm.F1(task="multilabel", classes=20, average="samples", scores="probs"),
        ),
        "normalized entropy": Case(
            clicks,
            jm.NormalizedEntropy(scores="probs"),
            torcheval=("BinaryNormalizedEntropy", {}),
            arguments=lambda x: [x["probs"].double(), x["labels"].double()],
        ),
        "classwise calibration": Case(logits, jm.ClasswiseCalibrationError(classes=10)),
        "calibration ratio": Case(
            clicks,
            jm.CalibrationRatio(scores="probs"),
            torcheval=("WeightedCalibration", {}),
            arguments=lambda x: [x["probs"].double(), x["labels"].double()],
        ),
        "Pearson correlation": Case(
            pairs,
            jm.PearsonCorrelation(),
            ("regression.PearsonCorrCoef", {}),
            calibrax=lambda cx, x: cx.statistical.pearson_correlation(*x.values()),
        ),
        "Spearman correlation": Case(
            pairs,
            jm.SpearmanCorrelation(low=-4, high=4),
            ("regression.SpearmanCorrCoef", {}),
        ),
        "mean absolute error": Case(
            pairs,
            jm.MeanAbsoluteError(),
            ("regression.MeanAbsoluteError", {}),
            metrax=lambda mx, x: mx.MAE.from_model_output(x["preds"], x["targets"]),
            calibrax=lambda cx, x: cx.regression.mae(*x.values()),
        ),
        "CRPS": Case(
            ensemble,
            jm.CRPS(),
            ("regression.ContinuousRankedProbabilityScore", {}),
            calibrax=lambda cx, x: cx.regression.crps(*x.values()).mean(),
        ),
        "NDCG": Case(
            items,
            jm.NDCG(k=10),
            ("retrieval.RetrievalNormalizedDCG", {"top_k": 10}),
            metrax=lambda mx, x: mx.NDCGAtK.from_model_output(
                x["scores"], x["relevance"], jnp.array([10])
            ),
            arguments=queries,
        ),
        "reciprocal rank": Case(
            items,
            jm.ReciprocalRank(),
            ("retrieval.RetrievalMRR", {}),
            metrax=lambda mx, x: mx.MRR.from_model_output(
                x["scores"], x["relevance"], jnp.array([100])
            ),
            arguments=queries,
        ),
        "word error rate": Case(words, *word_rate, arguments=spoken),
        "BLEU": Case(
            words,
            jm.BLEU(),
            ("text.BLEUScore", {}),
            ("BLEUScore", {"n_gram": 4}),
            arguments=lambda x: [
                spoken(x)[0],
                [[reference] for reference in spoken(x)[1]],
            ],
        ),
        "chrF++": Case(
            spelled,
            jm.chrF(word_n=2),
            ("text.CHRFScore", {}),
            arguments=lambda x: [
                spoken(x)[0],
                [[reference] for reference in spoken(x)[1]],
            ],
        ),
        "PSNR": Case(
            images,
            jm.PSNR(max_value=1.0),
            ("image.PeakSignalNoiseRatio", {"data_range": 1.0}),
            ("PeakSignalNoiseRatio", {"data_range": 1.0}),
            metrax=lambda mx, x: mx.PSNR.from_model_output(
                x["preds"], x["targets"], 1.0
            ),
            calibrax=lambda cx, x: cx.image.psnr(*x.values(), max_val=1.0),
            arguments=first,
        ),
        "SSIM": Case(
            images,
            jm.SSIM(max_value=1.0),
            ("image.StructuralSimilarityIndexMeasure", {"data_range": 1.0}),
            metrax=lambda mx, x: mx.SSIM.from_model_output(
                x["preds"], x["targets"], 1.0
            ),
            arguments=first,
        ),
        "mean IoU": Case(
            pixels,
            jm.MeanIoU(classes=10, scores="preds"),
            ("segmentation.MeanIoU", {"num_classes": 10, "input_format": "index"}),
            metrax=lambda mx, x: mx.IoU.from_model_output(
                x["preds"], x["labels"], 10, jnp.arange(10)
            ),
        ),
        "Hausdorff distance": Case(
            regions,
            jm.HausdorffDistance(classes=4, scores="preds"),
            (
                "segmentation.HausdorffDistance",
                {"num_classes": 4, "input_format": "index"},
            ),
        ),
        "panoptic quality": Case(
            segments,
            jm.PanopticQuality(classes=4),
            ("detection.PanopticQuality", {"things": {0, 1}, "stuffs": {2, 3}}),
        ),
        "box IoU": Case(boxes, jm.BoxIoU("giou")),
        "detection AP": Case(lambda: detections(rows(16)), jm.DetectionAP(classes=10)),
        "SI-SDR": Case(
            audio,
            jm.SISDR(),
            ("audio.ScaleInvariantSignalDistortionRatio", {}),
        ),
        "normalized mutual information": Case(
            clusters,
            jm.NormalizedMutualInformation(classes=10),
            ("clustering.NormalizedMutualInfoScore", {}),
        ),
        "Cramer's V": Case(
            clusters,
            jm.CramersV(classes=10),
            ("nominal.CramersV", {"num_classes": 10}),
        ),
        "loss by position": Case(tokens, jm.LossByPosition(positions=128)),
        "KL to a reference": Case(policies, jm.KLToReference()),
        "reward margin": Case(rewards, jm.RewardMargin()),
        "attention entropy": Case(attention, jm.AttentionEntropy(heads=8)),
        "dead units": Case(activations, jm.DeadUnits(units=256)),
        "moments": Case(values, jm.Moments()),
    }


def drawn(**shapes: tuple[int, ...]) -> Callable[[], Outputs]:
    """Return a function that draws outputs of these shapes.

    Outputs of labels, relevance and ids are integers below the first number, with the
    shape that follows; so are `preds` beside them. Probabilities lie between 0 and 1.
    """

    def draw() -> Outputs:
        import jax
        import jax.numpy as jnp

        whole = {"labels", "relevance", "references", "pred_words", "reference_words"}
        is_whole = not whole.isdisjoint(shapes)
        outputs = {}
        for i, (name, shape) in enumerate(shapes.items()):
            key = jax.random.key(i)
            if name in whole or (name == "preds" and is_whole) or len(shape) == 5:
                high, *sizes = shape
                outputs[name] = jax.random.randint(key, sizes, 0, high, jnp.int32)
            elif name == "probs":
                outputs[name] = jax.random.uniform(key, shape)
            else:
                outputs[name] = jax.random.normal(key, shape)
        return jax.block_until_ready(outputs)

    return draw


def detections(images: int) -> Outputs:
    """Draw 100 detections and 20 objects of 10 classes for each image."""
    import jax
    import numpy as np

    rng, outputs = np.random.default_rng(0), {}
    for name, number in (("pred", 100), ("target", 20)):
        corners = rng.uniform(0, 100, (images, number, 2))
        sizes = rng.uniform(1, 50, corners.shape)
        boxes = np.concatenate([corners, corners + sizes], -1)
        outputs[f"{name}_boxes"] = boxes.astype(np.float32)
        labels = rng.integers(0, 10, (images, number))
        outputs[f"{name}_labels"] = labels.astype(np.int32)
    scores = rng.uniform(size=(images, 100)).astype(np.float32)
    return jax.block_until_ready(jax.device_put(dict(outputs, pred_scores=scores)))


def metrax(case: Case, outputs: Outputs) -> tuple[Any, dict[str, float]] | None:
    """Return an update of metrax, and its figures."""
    import jax
    import metrax as mx

    from benchmarks.jitted import updating

    batch = case.metrax
    if batch is None:
        return None
    start = jax.jit(lambda outputs: batch(mx, outputs))(outputs)
    run, figures = updating(lambda s, x: s.merge(batch(mx, x)), start, outputs)
    return run, figures | {"state MB": megabytes(start)}


def calibrax(case: Case, outputs: Outputs) -> tuple[Any, dict[str, float]] | None:
    """Return an update that adds up the value of calibrax for each batch."""
    import jax.numpy as jnp

    for name in ("image", "regression", "statistical"):
        importlib.import_module(f"calibrax.metrics.functional.{name}")
    from calibrax.metrics import functional

    from benchmarks.jitted import updating

    value = case.calibrax
    if value is None:
        return None
    return updating(lambda s, x: s + value(functional, x), jnp.float32(0), outputs)


def torchmetrics(case: Case, outputs: Outputs) -> tuple[Any, dict[str, float]] | None:
    """Return an update of torchmetrics, and its figures."""
    return _in_torch("torchmetrics", case.torchmetrics, case, outputs)


def torcheval(case: Case, outputs: Outputs) -> tuple[Any, dict[str, float]] | None:
    """Return an update of torcheval, and its figures."""
    return _in_torch("torcheval.metrics", case.torcheval, case, outputs)


def _in_torch(
    library: str, peer: tuple[str, dict[str, Any]] | None, case: Case, outputs: Outputs
) -> tuple[Any, dict[str, float]] | None:
    """Return an eager update on one thread, or None where torch has another device."""
    import jax

    if peer is None or jax.default_backend() != "cpu":
        return None
    import torch

    from benchmarks.contenders import tensor

    torch.set_num_threads(1)
    name, options = peer
    *module, attribute = f"{library}.{name}".split(".")
    metric = getattr(importlib.import_module(".".join(module)), attribute)
    arguments = case.arguments({name: tensor(x) for name, x in outputs.items()})
    state = metric(**options)
    state.update(*arguments)
    lists = [getattr(state, x) for x in getattr(state, "_defaults", {})]
    added = [x for kept in lists if isinstance(kept, list) for x in kept]
    size = sum(x.nbytes for x in added if isinstance(x, torch.Tensor)) / 1e6
    state.reset()

    def run() -> None:
        state.update(*arguments)
        if added:
            state.reset()

    return run, {"state MB a batch": size} if added else {}


def megabytes(state: Any) -> float:
    """Return the size of a state's arrays."""
    import jax

    return sum(x.nbytes for x in jax.tree.leaves(state)) / 1e6
