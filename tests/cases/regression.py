"""Rows of the regression family."""

from __future__ import annotations

import functools

import numpy as np
import scipy.spatial.distance
import scipy.special
import scipy.stats
import sklearn.metrics as sk
from support.case import Case, series, weighted

import jaxmetrics as jm


def _flat(metric):
    return lambda preds, targets: metric(targets.ravel(), preds.ravel())


def _weighted(metric):
    return lambda preds, targets, weights: metric(targets, preds, sample_weight=weights)


def _adjusted(preds, targets, predictors=2):
    rows = len(targets)
    r2 = sk.r2_score(targets, preds, multioutput="raw_values")
    return 1 - (1 - r2) * (rows - 1) / (rows - predictors - 1)


def with_constant(rng, rows):
    drawn = series(rng, rows)
    drawn["targets"][:, 1] = 0  # scikit-learn rounds the mean of other constants
    return drawn


def _binned_median(preds, targets, parts=10):
    """Return the mean of the bins of both errors in the middle; below 0.125 is 0."""
    errors = np.abs(np.float32(preds) - np.float32(targets)).ravel().astype(float)
    errors = errors[np.isfinite(errors)]
    middle = [np.quantile(errors, 0.5, method=x) for x in ("lower", "higher")]
    octave = 2 ** np.floor(np.log2(np.maximum(middle, 0.125)))
    part = np.floor((middle / octave - 1) * parts)
    low, high = (octave * (1 + (part + i) / parts) for i in (0, 1))
    bins = np.where(np.less(middle, 0.125), 0, 2 * low * high / (low + high))
    return np.clip(bins, errors.min(), errors.max()).mean()


def positive(rng, rows):
    targets = rng.gamma(2, 2, (rows, 3)).astype(np.float32)
    preds = (targets * rng.uniform(0.3, 3, (rows, 3)) + 0.01).astype(np.float32)
    return dict(preds=preds, targets=targets)


def counts(rng, rows):
    targets = rng.poisson(2, (rows, 3)).astype(np.float32)
    preds = rng.gamma(4, 0.5, (rows, 3)).astype(np.float32)
    return dict(preds=preds, targets=targets)


def _smape(preds, targets):
    error = 2 * np.abs(preds - targets) / (np.abs(preds) + np.abs(targets))
    return error.mean()


def _wmape(preds, targets, weights):
    error, size = np.abs(preds - targets), np.abs(targets)
    return ((weights @ error) / (weights @ size)).mean()


def _huber(preds, targets):
    size = np.abs(preds - targets)
    return np.where(size <= 0.7, size**2 / 2, 0.7 * (size - 0.35)).mean()


def _tweedie(power):
    def deviance(preds, targets):
        return sk.mean_tweedie_deviance(targets.ravel(), preds.ravel(), power=power)

    return deviance


def _relative(preds, targets):
    error = ((preds - targets) ** 2).sum(0)
    return error / ((targets - targets.mean(0)) ** 2).sum(0)


def _normalized(preds, targets, weights):
    error = np.sqrt(np.average((preds - targets) ** 2, axis=0, weights=weights))
    mean = np.average(targets, axis=0, weights=weights)
    return error / np.sqrt(np.average((targets - mean) ** 2, axis=0, weights=weights))


def _pearson(preds, targets):
    return np.array(
        [scipy.stats.pearsonr(*pair).statistic for pair in _pairs(preds, targets)]
    )


def _weighted_pearson(preds, targets, weights):
    covariances = [np.cov(*pair, aweights=weights) for pair in _pairs(preds, targets)]
    return np.mean([c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]) for c in covariances])


def _concordance(preds, targets):
    values = []
    for x, y in _pairs(preds, targets):
        spread = x.var() + y.var() + (x.mean() - y.mean()) ** 2
        values.append(2 * np.cov(x, y, ddof=0)[0, 1] / spread)
    return np.array(values)


def _pairs(preds, targets):
    return list(zip(preds.T, targets.T))


def tied(rng, rows):
    return {name: (2 * x).round() / 2 for name, x in series(rng, rows).items()}


def _ranked(metric):
    return lambda preds, targets: metric(preds.ravel(), targets.ravel()).statistic


def _ranked_in_bins(metric):
    def in_bins(preds, targets):
        bins = [np.clip(np.floor(2 * (x + 4)), 0, 15).ravel() for x in (preds, targets)]
        return metric(*bins).statistic

    return in_bins


BINNED = dict(low=-4.0, high=4.0, bins=16)


def distributions(rng, rows):
    logits, targets = rng.normal(0, 2, (2, rows, 3, 5)).astype(np.float32)
    return dict(logits=logits, targets=targets)


def probabilities(rng, rows):
    drawn = distributions(rng, rows)
    probs, targets = (scipy.special.softmax(x, -1) for x in drawn.values())
    probs, targets = probs.astype(np.float32), targets.astype(np.float32)
    targets[::4, :, 0] = 0
    targets /= targets.sum(-1, keepdims=True)
    return dict(probs=probs, targets=targets)


def _divergence(logits, targets, weights):
    p, t = (scipy.special.softmax(x, -1) for x in (logits, targets))
    return np.average(scipy.stats.entropy(t, p, axis=-1).mean(-1), weights=weights)


def _jensen_shannon(probs, targets):
    return (scipy.spatial.distance.jensenshannon(targets, probs, axis=-1) ** 2).mean()


def ensembles(rng, rows):
    targets = rng.normal(1, 2, (rows, 2)).round(1).astype(np.float32)
    preds = rng.normal(1, 2, (rows, 2, 5)).round(1).astype(np.float32)
    return dict(preds=preds, targets=targets)


def _crps(preds, targets, weights):
    error = np.abs(preds - targets[..., None]).mean(-1)
    inside = np.abs(preds[..., None] - preds[..., None, :]).sum((-1, -2)) / 20
    return np.average((error - inside / 2).mean(-1), weights=weights)


def _rank_counts(preds, targets):
    counts = np.zeros(6)
    for members, target in zip(preds.reshape(-1, 5), targets.ravel()):
        below, equal = (members < target).sum(), (members == target).sum()
        counts[below : below + equal + 1] += 1 / (equal + 1)
    return counts


def _spread_skill(preds, targets):
    error = ((preds.mean(-1) - targets) ** 2).mean()
    return np.sqrt(preds.var(-1, ddof=1).mean() * 6 / 5 / error)


def intervals(rng, rows):
    ends = rng.normal(0, 1, (2, rows, 3)).astype(np.float32)
    ends = np.sort(ends, axis=0)
    targets = rng.normal(0, 1, (rows, 3)).astype(np.float32)
    return dict(lower=ends[0], upper=ends[1], targets=targets)


def _coverage(lower, upper, targets):
    return ((lower <= targets) & (targets <= upper)).mean()


def _cosine(preds, targets, weights):
    cosine = 1 - np.array(
        [scipy.spatial.distance.cosine(*pair) for pair in zip(preds, targets)]
    )
    return np.average(cosine, weights=weights)


def _success(preds, targets):
    predicted, real = preds.ravel() >= 1, targets.ravel() >= 1
    return sk.jaccard_score(real, predicted)


CASES = (
    Case(
        "mean squared error",
        jm.MeanSquaredError(),
        series,
        _flat(sk.mean_squared_error),
    ),
    Case(
        "mean squared error weighted",
        jm.MeanSquaredError(outputs=3, weighted=True),
        weighted(series),
        _weighted(sk.mean_squared_error),
    ),
    Case(
        "root mean squared error",
        jm.RootMeanSquaredError(),
        series,
        _flat(sk.root_mean_squared_error),
    ),
    Case(
        "root mean squared error of three outputs",
        jm.RootMeanSquaredError(outputs=3),
        series,
        lambda preds, targets: sk.root_mean_squared_error(targets, preds),
    ),
    Case(
        "mean absolute error",
        jm.MeanAbsoluteError(),
        series,
        _flat(sk.mean_absolute_error),
    ),
    Case(
        "mean absolute error weighted",
        jm.MeanAbsoluteError(outputs=3, weighted=True),
        weighted(series),
        _weighted(sk.mean_absolute_error),
    ),
    Case(
        "median absolute error",
        jm.MedianAbsoluteError(relative_error=0.05, low=0.125, high=4),
        series,
        _binned_median,
        exact=True,
    ),
    Case(
        "r2",
        jm.R2(),
        series,
        lambda preds, targets: sk.r2_score(targets.ravel(), preds.ravel()),
    ),
    Case(
        "r2 of three outputs",
        jm.R2(outputs=3),
        series,
        lambda preds, targets: sk.r2_score(targets, preds),
    ),
    Case(
        "r2 weighted",
        jm.R2(outputs=3, weighted=True),
        weighted(series),
        lambda preds, targets, weights: sk.r2_score(
            targets, preds, sample_weight=weights
        ),
    ),
    Case(
        "mean squared error by output",
        jm.MeanSquaredError(outputs=3, average="none"),
        series,
        lambda preds, targets: sk.mean_squared_error(
            targets, preds, multioutput="raw_values"
        ),
    ),
    Case(
        "r2 by output, adjusted",
        jm.R2(outputs=3, average="none", predictors=2),
        series,
        _adjusted,
    ),
    Case(
        "r2 weighted by variance, one output constant",
        jm.R2(outputs=3, average="variance_weighted", weighted=True),
        weighted(with_constant),
        lambda preds, targets, weights: sk.r2_score(
            targets, preds, sample_weight=weights, multioutput="variance_weighted"
        ),
    ),
    Case(
        "r2, one output constant",
        jm.R2(outputs=3),
        with_constant,
        lambda preds, targets: sk.r2_score(targets, preds),
    ),
    Case(
        "mean squared log error",
        jm.MeanSquaredLogError(),
        positive,
        _flat(sk.mean_squared_log_error),
    ),
    Case(
        "root mean squared log error weighted",
        jm.RootMeanSquaredLogError(outputs=3, weighted=True),
        weighted(positive),
        _weighted(sk.root_mean_squared_log_error),
    ),
    Case(
        "mean absolute percentage error",
        jm.MeanAbsolutePercentageError(outputs=3, weighted=True),
        weighted(positive),
        _weighted(sk.mean_absolute_percentage_error),
    ),
    Case(
        "symmetric mean absolute percentage error",
        jm.SymmetricMeanAbsolutePercentageError(),
        series,
        _smape,
    ),
    Case(
        "weighted mean absolute percentage error",
        jm.WeightedMeanAbsolutePercentageError(outputs=3, weighted=True),
        weighted(series),
        _wmape,
    ),
    Case(
        "log-cosh error",
        jm.LogCoshError(),
        series,
        lambda preds, targets: np.log(np.cosh(preds - targets)).mean(),
    ),
    Case("huber loss", jm.HuberLoss(0.7), series, _huber),
    Case(
        "pinball loss",
        jm.PinballLoss(0.9, outputs=3, average="none"),
        series,
        lambda preds, targets: sk.mean_pinball_loss(
            targets, preds, alpha=0.9, multioutput="raw_values"
        ),
    ),
    Case(
        "mean bias error",
        jm.MeanBiasError(),
        series,
        lambda preds, targets: (preds - targets).mean(),
    ),
    Case(
        "minkowski distance",
        jm.MinkowskiDistance(3),
        series,
        lambda preds, targets: np.linalg.norm((preds - targets).ravel(), 3),
    ),
    Case(
        "max error",
        jm.MaxError(),
        series,
        # The difference is rounded to float32, as the extreme is.
        lambda preds, targets: np.abs(
            preds.astype(np.float32) - targets.astype(np.float32)
        ).max(),
        exact=True,
    ),
    Case("poisson deviance", jm.TweedieDeviance(1), counts, _tweedie(1)),
    Case("compound poisson deviance", jm.TweedieDeviance(1.5), counts, _tweedie(1.5)),
    Case("gamma deviance", jm.TweedieDeviance(2), positive, _tweedie(2)),
    Case(
        "critical success index",
        jm.CriticalSuccessIndex(1.0),
        series,
        _success,
        exact=True,
    ),
    Case(
        "explained variance",
        jm.ExplainedVariance(outputs=3),
        with_constant,
        lambda preds, targets: sk.explained_variance_score(targets, preds),
    ),
    Case(
        "explained variance weighted by variance",
        jm.ExplainedVariance(outputs=3, average="variance_weighted", weighted=True),
        weighted(series),
        lambda preds, targets, weights: sk.explained_variance_score(
            targets, preds, sample_weight=weights, multioutput="variance_weighted"
        ),
    ),
    Case(
        "relative squared error",
        jm.RelativeSquaredError(outputs=3, average="none"),
        series,
        _relative,
    ),
    Case(
        "normalized root mean squared error",
        jm.NormalizedRootMeanSquaredError(
            normalization="std", outputs=3, average="none", weighted=True
        ),
        weighted(series),
        _normalized,
    ),
    Case(
        "pearson correlation",
        jm.PearsonCorrelation(outputs=3, average="none"),
        series,
        _pearson,
    ),
    Case(
        "pearson correlation weighted",
        jm.PearsonCorrelation(outputs=3, weighted=True),
        weighted(series),
        _weighted_pearson,
    ),
    Case(
        "concordance correlation",
        jm.ConcordanceCorrelation(outputs=3, average="none"),
        series,
        _concordance,
    ),
    Case(
        "spearman correlation in bins",
        jm.SpearmanCorrelation(**BINNED),
        tied,
        _ranked_in_bins(scipy.stats.spearmanr),
        exact=True,
    ),
    Case(
        "spearman correlation exact",
        jm.SpearmanCorrelation(exact=True, capacity=1024),
        tied,
        _ranked(scipy.stats.spearmanr),
        by_value=True,
    ),
    Case(
        "kendall tau in bins",
        jm.KendallTau(**BINNED),
        tied,
        _ranked_in_bins(scipy.stats.kendalltau),
        exact=True,
    ),
    Case(
        "kendall tau exact",
        jm.KendallTau(exact=True, capacity=1024),
        tied,
        _ranked(scipy.stats.kendalltau),
        by_value=True,
    ),
    Case(
        "kendall tau c",
        jm.KendallTau(variant="c", exact=True, capacity=1024),
        tied,
        _ranked(functools.partial(scipy.stats.kendalltau, variant="c")),
        by_value=True,
    ),
    Case(
        "cosine similarity",
        jm.CosineSimilarity(weighted=True),
        weighted(series),
        _cosine,
    ),
    Case(
        "kl divergence weighted",
        jm.KLDivergence(weighted=True),
        weighted(distributions),
        _divergence,
    ),
    Case(
        "jensen-shannon divergence",
        jm.JensenShannonDivergence(scores="probs"),
        probabilities,
        _jensen_shannon,
        reads={"logits": "probs"},
    ),
    Case("crps", jm.CRPS(fair=True, weighted=True), weighted(ensembles), _crps),
    Case("rank histogram", jm.RankHistogram(5), ensembles, _rank_counts, empty=0.0),
    Case("spread-skill", jm.SpreadSkill(), ensembles, _spread_skill),
    Case("interval coverage", jm.IntervalCoverage(), intervals, _coverage, exact=True),
)
