"""Rows of the regression family."""

from __future__ import annotations

import sklearn.metrics as sk
from support.case import Case, series, weighted

import jaxmetrics as jm


def _flat(metric):
    return lambda preds, targets: metric(targets.ravel(), preds.ravel())


def _weighted(metric):
    return lambda preds, targets, weights: metric(targets, preds, sample_weight=weights)


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
)
