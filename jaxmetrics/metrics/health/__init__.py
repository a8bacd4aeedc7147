"""Health of a training: noise of the gradients, units and attention of the model."""

from jaxmetrics.metrics.health._attention import AttentionEntropy, AttentionMaximum
from jaxmetrics.metrics.health._dead_units import DeadUnits
from jaxmetrics.metrics.health._gradient_noise import GradientNoiseScale

__all__ = ["AttentionEntropy", "AttentionMaximum", "DeadUnits", "GradientNoiseScale"]
