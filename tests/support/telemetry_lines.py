"""Configuration, input and written lines of TrainingTelemetry."""

import jax.numpy as jnp

from jaxmetrics import TelemetryConfig
from jaxmetrics.record import read_lines


def config(tmp_path, **more):
    return TelemetryConfig(output_dir=tmp_path / "telemetry", **more)


def lines(tmp_path):
    return read_lines(tmp_path / "telemetry" / "telemetry.jsonl")[0]


def stats(**more):
    values = {"grad/norm": 5.0, "grad/norm/body": 3.0, "grad/norm/head": 4.0}
    values |= {"lr/body": 0.25, "lr/head": 0.5}
    return {"health/collected": True} | values | more


def params(value=1.0):
    return {"body": jnp.full(4, value), "head": jnp.full(9, value)}
