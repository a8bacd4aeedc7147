"""Read runs back, without jax.

- List: `list_runs` (`RunList` of `RunEntry`).
- Load: `Run`, `find_run`, `load_history` (`History`, the series that plots and reports
  draw), `export`.
- Evaluate: `goodput`, `summary_facts`.
- Compare: `AlignedRuns` and the functions that fill it.
- Label: axes, charts, numbers.
"""

from jaxmetrics.record import Better
from jaxmetrics.runs.reading._axes import (
    AXES,
    AXIS_LABELS,
    axis_positions,
    series_on_axes,
    series_on_axis,
)
from jaxmetrics.runs.reading._better import directions
from jaxmetrics.runs.reading._chart_layout import (
    ChartKeys,
    Layers,
    arranged_charts,
    is_log_chart,
    quantile_keys,
)
from jaxmetrics.runs.reading._columns import Records, numbers_of, records_of
from jaxmetrics.runs.reading._comparison import AlignedRuns, GroupMean, named_runs
from jaxmetrics.runs.reading._config import (
    config_difference,
    flatten_config,
    seed_groups,
    short_names,
    unique_name,
)
from jaxmetrics.runs.reading._copy import LocalCopy, at_home, is_in_mirror, local_copy
from jaxmetrics.runs.reading._drawing import is_wide, time_unit, x_unit
from jaxmetrics.runs.reading._entry import Chosen, RunEntry
from jaxmetrics.runs.reading._errors import (
    ExistingFileError,
    RunNotFoundError,
    UnknownDirectionError,
)
from jaxmetrics.runs.reading._events import marked_event, step_places
from jaxmetrics.runs.reading._export import (
    FORMATS,
    Format,
    export,
    export_chunks,
    export_left_out,
)
from jaxmetrics.runs.reading._facts import summary_facts
from jaxmetrics.runs.reading._find import (
    find_run,
    find_runs,
    folder_names,
    is_replaced,
    is_run,
    names_run,
    place_of,
    real_path,
    runs_below,
)
from jaxmetrics.runs.reading._follow import Follower
from jaxmetrics.runs.reading._format import format_bytes, format_number
from jaxmetrics.runs.reading._goodput import goodput, goodput_of_events
from jaxmetrics.runs.reading._growing import (
    FileState,
    GrowingRun,
    MediaIndex,
    file_state,
    version_of,
)
from jaxmetrics.runs.reading._history import (
    History,
    load_history,
    writes_files,
)
from jaxmetrics.runs.reading._labels import (
    axis_label,
    chart_title,
    grouped_by_chart,
    importance,
    is_telemetry,
    most_important,
)
from jaxmetrics.runs.reading._layer_map import LayerMap, layer_map
from jaxmetrics.runs.reading._list import RunList, list_entries, list_runs
from jaxmetrics.runs.reading._load import telemetry_file, telemetry_rows
from jaxmetrics.runs.reading._media import MediaEntry, MediaTable
from jaxmetrics.runs.reading._merging import at_common_x, merged_x
from jaxmetrics.runs.reading._quantities import (
    Evaluation,
    Series,
    common_names,
    evaluation,
    is_train_loss,
    judged_name,
    own_key,
    quantity,
)
from jaxmetrics.runs.reading._record_rows import rows_of_epochs
from jaxmetrics.runs.reading._relations import Relation, relations
from jaxmetrics.runs.reading._results import (
    Reached,
    Result,
    Spread,
    reached,
    result,
    spreads,
)
from jaxmetrics.runs.reading._run import Run
from jaxmetrics.runs.reading._sample import (
    Sample,
    rows_of_other_splits,
    sample_rows,
)
from jaxmetrics.runs.reading._state import State, StateReader, ended, scope_of
from jaxmetrics.runs.reading._table import as_array

__all__ = [
    "AXES",
    "AXIS_LABELS",
    "AlignedRuns",
    "Better",
    "ChartKeys",
    "Chosen",
    "Evaluation",
    "ExistingFileError",
    "FORMATS",
    "FileState",
    "Follower",
    "Format",
    "GroupMean",
    "GrowingRun",
    "History",
    "LayerMap",
    "Layers",
    "LocalCopy",
    "MediaEntry",
    "MediaIndex",
    "MediaTable",
    "Reached",
    "Records",
    "Relation",
    "Result",
    "Run",
    "RunEntry",
    "RunList",
    "RunNotFoundError",
    "Sample",
    "Series",
    "Spread",
    "State",
    "StateReader",
    "UnknownDirectionError",
    "arranged_charts",
    "as_array",
    "at_common_x",
    "at_home",
    "axis_label",
    "axis_positions",
    "chart_title",
    "common_names",
    "config_difference",
    "directions",
    "ended",
    "evaluation",
    "export",
    "export_chunks",
    "export_left_out",
    "file_state",
    "find_run",
    "find_runs",
    "flatten_config",
    "folder_names",
    "format_bytes",
    "format_number",
    "goodput",
    "goodput_of_events",
    "grouped_by_chart",
    "importance",
    "is_in_mirror",
    "is_log_chart",
    "is_replaced",
    "is_run",
    "is_telemetry",
    "is_train_loss",
    "is_wide",
    "judged_name",
    "layer_map",
    "list_entries",
    "list_runs",
    "load_history",
    "local_copy",
    "marked_event",
    "merged_x",
    "most_important",
    "named_runs",
    "names_run",
    "numbers_of",
    "own_key",
    "place_of",
    "quantile_keys",
    "quantity",
    "reached",
    "real_path",
    "records_of",
    "relations",
    "result",
    "rows_of_epochs",
    "rows_of_other_splits",
    "runs_below",
    "sample_rows",
    "scope_of",
    "seed_groups",
    "series_on_axes",
    "series_on_axis",
    "short_names",
    "spreads",
    "step_places",
    "summary_facts",
    "telemetry_file",
    "telemetry_rows",
    "time_unit",
    "unique_name",
    "version_of",
    "writes_files",
    "x_unit",
]
