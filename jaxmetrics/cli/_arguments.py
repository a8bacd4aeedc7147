"""Arguments of the command line."""

from __future__ import annotations

import argparse
import math

_RUN = (
    "run directory, file of metrics, project/run_name below --root, or project, for "
    "its latest run; also its address or that of its mirror, such as gs://bucket/..."
)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands but `demo`, which has its own."""
    from jaxmetrics import __version__

    parser = argparse.ArgumentParser(
        prog="jaxmetrics",
        description="Read, report, compare and export recorded training runs.",
        epilog="Exit status: 0, 1 on errors, 2 for wrong arguments.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    debug = argparse.ArgumentParser(add_help=False)
    debug.add_argument(
        "--debug", action="store_true", help="show the traceback of an error"
    )
    root = argparse.ArgumentParser(add_help=False, parents=[debug])
    root.add_argument(
        "--root", default="runs", help="folder of all projects (default: runs)"
    )
    damage = argparse.ArgumentParser(add_help=False)
    damage.add_argument(
        "--skip-damaged", action="store_true", help="skip damaged lines, and name them"
    )
    force = argparse.ArgumentParser(add_help=False)
    force.add_argument(
        "--force", action="store_true", help="replace files without asking"
    )
    json = argparse.ArgumentParser(add_help=False)
    json.add_argument("--json", action="store_true", help="print JSON instead of text")

    commands.add_parser("demo", help="train, get killed, resume, and show the record")
    listing = commands.add_parser(
        "list", parents=[debug, json], help="list runs, one row each"
    )
    report = commands.add_parser(
        "report",
        parents=[root, damage, force, json],
        help="write training_report.md, report.html and all plots",
    )
    plot = commands.add_parser(
        "plot", parents=[root, damage, force, json], help="write all plots"
    )
    compare = commands.add_parser(
        "compare",
        parents=[root, damage, force, json],
        help="compare two or more runs",
    )
    tail = commands.add_parser(
        "tail", parents=[root, json], help="follow runs in the terminal"
    )
    view = commands.add_parser(
        "view", parents=[debug], help="show all runs in a browser"
    )
    export = commands.add_parser(
        "export",
        parents=[root, damage, force],
        help="write the records as CSV, Parquet or JSON",
    )
    doctor = commands.add_parser(
        "doctor", parents=[debug, json], help="check this machine and its devices"
    )
    for command in (report, plot):
        command.add_argument("run", metavar="RUN", help=_RUN)
        command.add_argument(
            "--output",
            metavar="DIR",
            help="output folder (default: that of the run; for a run in a mirror or a "
            "bucket the current one)",
        )
    report.add_argument(
        "--no-plots", action="store_true", help="write and show no PNG files"
    )
    plot.add_argument(
        "--dpi", type=_positive, default=180, help="dots per inch (default: 180)"
    )
    plot.add_argument(
        "--format",
        choices=("png", "svg", "pdf"),
        default="png",
        help="format of the files (default: png)",
    )
    plot.add_argument(
        "--theme",
        choices=("dark", "light"),
        default="dark",
        help="colors; light is for print (default: dark)",
    )
    _add_list_arguments(listing)
    _add_compare_arguments(compare)
    _add_tail_arguments(tail)
    _add_view_arguments(view)
    _add_export_arguments(export)
    doctor.add_argument(
        "--root",
        metavar="DIR",
        help="further folder to test, such as the one where runs are written",
    )
    return parser


def _add_list_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "root",
        metavar="ROOT",
        nargs="?",
        default="runs",
        help="folder of all projects, or a project; also its address, or that of a "
        "mirror (default: runs)",
    )
    _add_where_arguments(command)
    command.add_argument(
        "--limit", metavar="N", type=_count, help="show the first N runs"
    )


def _add_where_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--where",
        metavar="CONDITION",
        help="show the runs that meet a condition, such as 'lr>1e-3 and width==512', "
        "'best(val/loss)<2', or 'state==\"crashed\"'",
    )
    command.add_argument(
        "--sort",
        metavar="NAME",
        help="sort by a key, a value of the configuration or a field such as elapsed, "
        "the best first; a key stands for its best value, or for the last one if its "
        "direction is not known; last(KEY) and best(KEY) choose; a - before it "
        "(--sort=-NAME) reverses the order; runs that diverged are last",
    )
    command.add_argument(
        "--better",
        metavar="KEY=min|max",
        action="append",
        type=_better,
        default=[],
        help="whether lower or higher values are better, if the name does not tell",
    )


def _add_compare_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="two or more: run directories, files of metrics, project/run_name below "
        "--root, patterns such as 'sweep/lr*', or projects, for all of their runs",
    )
    command.add_argument(
        "--x",
        choices=("step", "tokens", "time", "flops"),
        default="step",
        help="axis on which the runs are aligned (default: step)",
    )
    command.add_argument(
        "--target",
        metavar="KEY=VALUE",
        action="append",
        type=_target,
        default=[],
        help="show where each run first reaches a value, such as val/loss=2.0",
    )
    command.add_argument(
        "--rank-by",
        metavar="KEY",
        help="metric by whose best value the runs are ranked, or of a training loss by "
        "its level at the end (default: the loss of the evaluation, or the training "
        "loss)",
    )
    command.add_argument(
        "--seed",
        metavar="NAME",
        default="seed",
        help="name in the configuration in which runs of a group may differ (default: "
        "seed)",
    )
    _add_where_arguments(command)
    _add_keys_argument(command)
    command.add_argument("--page", metavar="FILE", help="write an HTML page")
    command.add_argument("--plots", metavar="DIR", help="write a plot of each key")


def _add_tail_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="as for `report`, or a project or pattern, for all of its runs; several "
        "runs are shown with one line each",
    )
    command.add_argument("--once", action="store_true", help="print once and exit")
    _add_keys_argument(command)
    command.add_argument(
        "--every",
        metavar="SECONDS",
        type=_positive,
        default=1.0,
        help="seconds between updates (default: 1)",
    )


def _add_view_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "root",
        metavar="ROOT",
        nargs="?",
        default="runs",
        help="folder of all projects, project, or run directory; or its address, such "
        "as gs://bucket/runs (default: runs)",
    )
    command.add_argument(
        "--port", type=int, default=6007, help="0 takes a free one (default: 6007)"
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1, for this machine only)",
    )
    command.add_argument(
        "--open", action="store_true", help="open the address in a browser"
    )


def _add_export_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "run",
        metavar="RUN",
        help="as for `report`, or a project or pattern, for all of its runs, which "
        "then have their names in a column run",
    )
    command.add_argument(
        "--format",
        choices=("csv", "json", "parquet"),
        help="format (default: by the suffix of --output)",
    )
    command.add_argument(
        "--output", metavar="FILE", help="output file (default: standard output)"
    )


def _add_keys_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--keys",
        metavar="GLOB",
        action="append",
        help="keys to show, such as 'train/*'; may be repeated",
    )


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:18])):
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text[:18])


def _target(text: str) -> tuple[str, float]:
    key, separator, value = text.rpartition("=")
    try:
        if separator and key and math.isfinite(number := float(value)):
            return key, number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, such as val/loss=2.0")


def _better(text: str) -> tuple[str, str]:
    key, _, value = text.rpartition("=")
    if not key or value not in ("min", "max"):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=min or KEY=max")
    return key, value
