"""Import what training programs need later, and slowly, so that forks have it."""

import tensorboardX  # noqa: F401

import jaxmetrics.core
import jaxmetrics.logger
import jaxmetrics.metrics  # noqa: F401
