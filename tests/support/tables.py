"""States of metrics that compute from a contingency table."""

import numpy as np


def with_table(metric, counts):
    """Return the metric as if it had seen the counts of a table."""
    table = metric.table.replace(counts=np.asarray(counts))
    return metric.with_fields(table=table)
