"""Rows of the regression family."""

from __future__ import annotations

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
)
