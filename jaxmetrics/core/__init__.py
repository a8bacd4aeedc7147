"""Metrics as immutable values: leaves, merging, reduction over devices, wrappers."""

from jax import Array

from jaxmetrics.core._arithmetic import (
    Pair,
    clear_low_bit,
    difference,
    exponent_above,
    is_less,
    limbs_to_float,
    pair_add,
    relative_to,
    scale,
    two_sum,
)
from jaxmetrics.core._arrays import (
    is_deleted,
    is_known,
    is_on_device,
    is_ready,
    positions,
)
from jaxmetrics.core._best_of import BestOf
from jaxmetrics.core._bootstrap import Bootstrap
from jaxmetrics.core._calls import updated
from jaxmetrics.core._cell_count import (
    by_platform,
    cells_by_product,
    cells_by_scatter,
    count_cells,
    one_hot_rows,
    product_over_rows,
)
from jaxmetrics.core._classwise import Classwise
from jaxmetrics.core._collection import Collection
from jaxmetrics.core._compose import Compose
from jaxmetrics.core._configuration import (
    configuration_differences,
    configuration_of,
    same_configuration,
)
from jaxmetrics.core._contingency import ContingencyTable, TableMetric
from jaxmetrics.core._counting import (
    as_numbers,
    both,
    comoments,
    count_at,
    count_elements,
    count_where,
    like_values,
    mask_like,
    maximum,
    minimum,
    moments,
    total,
)
from jaxmetrics.core._covariance import (
    centred,
    mean_and_covariance,
    moments_of_sums,
)
from jaxmetrics.core._declaration import child, scores_field
from jaxmetrics.core._decoding import (
    divide,
    namespace,
    on_plain_values,
    require_host,
)
from jaxmetrics.core._deferred import Deferred
from jaxmetrics.core._evaluate import evaluate, snapshot
from jaxmetrics.core._from_function import FromFunction
from jaxmetrics.core._grid_kind import GridCounts, GridValue, grid_counts
from jaxmetrics.core._grid_members import grid_counts_by_member
from jaxmetrics.core._hashing import mix
from jaxmetrics.core._inputs import as_32bit
from jaxmetrics.core._integer_extreme import IntegerExtreme
from jaxmetrics.core._jax import (
    CoordinationService,
    Equation,
    JaxUse,
    RuntimeEvent,
    arguments_read,
    backends_are_initialized,
    equations,
    is_tracer,
    jax_uses,
    on_runtime_event,
    on_scalar,
    require_known_programs,
    trace_token,
    traced_program,
)
from jaxmetrics.core._labels import (
    as_class_numbers,
    as_scores,
    class_index,
    class_predictions,
    in_range,
    label_rank,
    not_ignored,
    require_integers,
    require_labels,
    top_and_valid,
    top_class,
)
from jaxmetrics.core._leaves import (
    Leaf,
    LeafLayout,
    buffer_leaf,
    comoments_leaf,
    count_leaf,
    declare,
    grid_leaf,
    leaf,
    max_leaf,
    min_leaf,
    moments_leaf,
    sum_leaf,
)
from jaxmetrics.core._likelihood import (
    kl_divergence,
    negative_log_likelihood,
    softmax_terms,
)
from jaxmetrics.core._mean_metric import MeanMetric
from jaxmetrics.core._mesh import in_shard_map, vary, varying, without_explicit_axes
from jaxmetrics.core._metric import Direction, Metric
from jaxmetrics.core._min_max import MinMax
from jaxmetrics.core._moments_kind import variance_or_nan
from jaxmetrics.core._multi_output import MultiOutput
from jaxmetrics.core._octave_bins import OctaveBins
from jaxmetrics.core._predictions import (
    TASKS,
    Predictions,
    averaged_classes,
    check_bins,
    check_choice,
    check_task,
    check_top_k,
    has_class_axis,
    hits_of_labels,
    in_top_k,
    is_positive,
    need_classes,
    per_class,
    predicted,
    predicted_in_top_k,
    require_classes,
    valid_binary,
)
from jaxmetrics.core._protocol import MetricProtocol, Reads
from jaxmetrics.core._saved import from_saved, saved_form, saved_leaves, state_dict
from jaxmetrics.core._serialization import register_with_flax
from jaxmetrics.core._standard_error import (
    check_stderr_of_counts,
    fraction_of,
    mean_and_stderr,
    mean_of,
    standard_error,
)
from jaxmetrics.core._statistic import Statistic
from jaxmetrics.core._unscored import warn_of_invalid
from jaxmetrics.core._wide import as_narrow, as_wide, in_float64
from jaxmetrics.core._windowed import Windowed
from jaxmetrics.core._wrapper import ByGroup, Masked, Wrapper

__all__ = [
    "Array",
    "BestOf",
    "Bootstrap",
    "ByGroup",
    "Classwise",
    "Collection",
    "Compose",
    "ContingencyTable",
    "CoordinationService",
    "Deferred",
    "Direction",
    "Equation",
    "FromFunction",
    "GridCounts",
    "GridValue",
    "IntegerExtreme",
    "JaxUse",
    "Leaf",
    "LeafLayout",
    "Masked",
    "MeanMetric",
    "Metric",
    "MetricProtocol",
    "MinMax",
    "MultiOutput",
    "OctaveBins",
    "Pair",
    "Predictions",
    "Reads",
    "RuntimeEvent",
    "Statistic",
    "TASKS",
    "TableMetric",
    "Windowed",
    "Wrapper",
    "arguments_read",
    "as_32bit",
    "as_class_numbers",
    "as_narrow",
    "as_numbers",
    "as_scores",
    "as_wide",
    "averaged_classes",
    "backends_are_initialized",
    "both",
    "buffer_leaf",
    "by_platform",
    "cells_by_product",
    "cells_by_scatter",
    "centred",
    "check_bins",
    "check_choice",
    "check_stderr_of_counts",
    "check_task",
    "check_top_k",
    "child",
    "class_index",
    "class_predictions",
    "clear_low_bit",
    "comoments",
    "comoments_leaf",
    "configuration_differences",
    "configuration_of",
    "count_at",
    "count_cells",
    "count_elements",
    "count_leaf",
    "count_where",
    "declare",
    "difference",
    "divide",
    "equations",
    "evaluate",
    "exponent_above",
    "fraction_of",
    "from_saved",
    "grid_counts",
    "grid_counts_by_member",
    "grid_leaf",
    "has_class_axis",
    "hits_of_labels",
    "in_float64",
    "in_range",
    "in_shard_map",
    "in_top_k",
    "is_deleted",
    "is_known",
    "is_less",
    "is_on_device",
    "is_positive",
    "is_ready",
    "is_tracer",
    "jax_uses",
    "kl_divergence",
    "label_rank",
    "leaf",
    "like_values",
    "limbs_to_float",
    "mask_like",
    "max_leaf",
    "maximum",
    "mean_and_covariance",
    "mean_and_stderr",
    "mean_of",
    "min_leaf",
    "minimum",
    "mix",
    "moments",
    "moments_leaf",
    "moments_of_sums",
    "namespace",
    "need_classes",
    "negative_log_likelihood",
    "not_ignored",
    "on_plain_values",
    "on_runtime_event",
    "on_scalar",
    "one_hot_rows",
    "pair_add",
    "per_class",
    "positions",
    "predicted",
    "predicted_in_top_k",
    "product_over_rows",
    "register_with_flax",
    "relative_to",
    "require_classes",
    "require_host",
    "require_integers",
    "require_known_programs",
    "require_labels",
    "same_configuration",
    "saved_form",
    "saved_leaves",
    "scale",
    "scores_field",
    "snapshot",
    "softmax_terms",
    "standard_error",
    "state_dict",
    "sum_leaf",
    "top_and_valid",
    "top_class",
    "total",
    "trace_token",
    "traced_program",
    "two_sum",
    "updated",
    "valid_binary",
    "variance_or_nan",
    "vary",
    "varying",
    "warn_of_invalid",
    "without_explicit_axes",
]
