"""What the command line takes."""

from __future__ import annotations

import argparse

_RUN = (
    "a run directory, a file of metrics, project/run_name below --root, or a project, "
    "for its latest run"
)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all verbs but `demo`, which has its own."""
    from jaxmetrics import __version__

    parser = argparse.ArgumentParser(
        prog="jaxmetrics",
        description="Read back what a training has recorded.",
        epilog="Exit status: 0, 1 when there is a problem, 2 for wrong arguments.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--debug", action="store_true", help="show where in the code an error came from"
    )
    reads = argparse.ArgumentParser(add_help=False, parents=[common])
    reads.add_argument(
        "--root", default="runs", help="the folder of all projects; runs if not given"
    )
    strict = argparse.ArgumentParser(add_help=False)
    strict.add_argument(
        "--skip-damaged", action="store_true", help="pass over damaged lines, named"
    )
    writes = argparse.ArgumentParser(add_help=False)
    writes.add_argument(
        "--force", action="store_true", help="replace files without asking"
    )
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--json", action="store_true", help="print data, not text")

    verbs.add_parser("demo", help="train, be killed, resume, and show the record")
    report = verbs.add_parser(
        "report",
        parents=[reads, strict, writes, data],
        help="write training_report.md, report.html and all plots",
    )
    plot = verbs.add_parser(
        "plot", parents=[reads, strict, writes, data], help="write all plots as PNG"
    )
    compare = verbs.add_parser(
        "compare",
        parents=[reads, strict, writes, data],
        help="print runs beside each other",
    )
    tail = verbs.add_parser("tail", parents=[reads, data], help="watch a run")
    export = verbs.add_parser(
        "export",
        parents=[reads, strict, writes],
        help="write the records as CSV, Parquet or JSON",
    )
    doctor = verbs.add_parser(
        "doctor", parents=[common, data], help="check this machine and its devices"
    )
    for verb in (report, plot, tail, export):
        verb.add_argument("run", metavar="RUN", help=_RUN)
    for verb in (report, plot):
        verb.add_argument(
            "--output", metavar="DIR", help="the folder; the run's if not given"
        )
    report.add_argument("--no-plots", action="store_true", help="leave the PNGs out")
    plot.add_argument("--dpi", type=_positive, default=180, help="180 if not given")
    _compare(compare)
    _tail(tail)
    _export(export)
    doctor.add_argument(
        "--root", metavar="DIR", help="a folder to try too, such as that of the runs"
    )
    return parser


def _compare(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("runs", metavar="RUN", nargs="+", help=f"two or more: {_RUN}")
    verb.add_argument(
        "--x",
        choices=("step", "tokens", "time", "flops"),
        default="step",
        help="what the runs are aligned by; step if not given",
    )
    verb.add_argument(
        "--target",
        metavar="KEY=VALUE",
        action="append",
        type=_target,
        default=[],
        help="tell when each run reaches a value: val/loss=2.0",
    )
    verb.add_argument(
        "--better",
        metavar="KEY=min|max",
        action="append",
        type=_better,
        default=[],
        help="whether less or more is better, where the name of a key does not tell",
    )
    _keys(verb)
    verb.add_argument("--page", metavar="FILE", help="write an HTML page too")
    verb.add_argument("--plots", metavar="DIR", help="write overlaid plots too")


def _tail(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--once", action="store_true", help="print once, and end")
    _keys(verb)
    verb.add_argument(
        "--every",
        metavar="SECONDS",
        type=_positive,
        default=1.0,
        help="how often to look; 1 if not given",
    )


def _export(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--format",
        choices=("csv", "json", "parquet"),
        help="if not given, as --output ends",
    )
    verb.add_argument(
        "--output", metavar="FILE", help="the file; standard output if not given"
    )


def _keys(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--keys",
        metavar="GLOB",
        action="append",
        help="keys to show, such as 'train/*'; may be given several times",
    )


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _target(text: str) -> tuple[str, float]:
    key, given, value = text.rpartition("=")
    try:
        if given and key:
            return key, float(value)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, such as val/loss=2.0")


def _better(text: str) -> tuple[str, str]:
    key, _, which = text.rpartition("=")
    if not key or which not in ("min", "max"):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=min or KEY=max")
    return key, which
