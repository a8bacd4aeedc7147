"""Commands; each returns its exit status."""

from __future__ import annotations

import dataclasses
import fnmatch
import shutil
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxmetrics.cli._overwrite import write_or_ask
from jaxmetrics.record import METRICS_JSONL, REPORT_HTML, dumps, escape, redact

if TYPE_CHECKING:
    from jaxmetrics.runs import Comparison, Run
    from jaxmetrics.runs.reading import History

_MAX_WARNINGS = 10


def list_runs(args: Namespace) -> int:
    """Print one row for each run."""
    from jaxmetrics.cli._tables import run_lines
    from jaxmetrics.runs import list as list_runs

    every = list_runs(args.root, better=dict(args.better))
    if not every:
        _warn(
            f"there are no runs in {args.root}. Give the folder of all projects",
            args.command,
        )
        return 1
    listed = every if args.where is None else every.where(args.where)
    listed = listed if args.sort is None else listed.sorted(args.sort)
    shown = listed[: args.limit]
    if args.json:
        print(shown.to_json())
    elif shown:
        print("\n".join(run_lines(shown, _terminal_width())))
    for entry in shown:
        if entry.problem is not None:
            _warn(f"{entry.id}: {entry.problem}", args.command)
    if not shown:
        _warn(f"none of the {len(every):,} runs meets --where", args.command)
        return 1
    if len(shown) < len(listed) and not args.json:
        _warn(f"{len(listed) - len(shown):,} more runs; see --limit", args.command)
    return 0


def report(args: Namespace) -> int:
    """Write the report, the page, and the plots."""
    from jaxmetrics.runs import generate_page, generate_report

    history = _load_history(args)
    folder = Path(args.output) if args.output else history.output
    # The text comes first: plots take seconds, and may not be possible here.
    text = write_or_ask(
        lambda force: generate_report(
            history, save_dir=folder, plot_paths=(), overwrite=force
        ),
        args.force,
    )
    page = write_or_ask(
        lambda force: generate_page(history, folder / REPORT_HTML, overwrite=force),
        args.force,
    )
    plots = [] if args.no_plots else _write_plots(args, history, folder)
    if plots:
        generate_report(history, save_dir=folder, plot_paths=plots, overwrite=True)
    if args.json:
        files = {"report": str(text), "page": str(page), "plots": [*map(str, plots)]}
        print(dumps(files))
    else:
        _print_paths([text, page, *plots])
    return 0


def plot(args: Namespace) -> int:
    """Write the plots."""
    history = _load_history(args)
    folder = Path(args.output) if args.output else history.output
    look = {"dpi": args.dpi, "format": args.format, "theme": args.theme}
    paths = _write_plots(args, history, folder, **look)
    if args.json:
        print(dumps({"plots": [*map(str, paths)]}))
    else:
        _print_paths(paths)
    return 0


def compare(args: Namespace) -> int:
    """Print a comparison of runs; write its page and plots on request."""
    from jaxmetrics.cli._tables import comparison_lines
    from jaxmetrics.runs import compare

    runs = [_load(args, path) for path in _find_all(args)]
    if len(runs) < 2:
        _warn("give two runs or more, or a project that has them", args.command)
        return 2
    targets, better = dict(args.target), dict(args.better)
    comparison = compare(
        runs,
        args.x,
        target=targets,
        better=better,
        seed=args.seed,
        rank_by=args.rank_by,
        where=args.where,
        sort=args.sort,
    )
    any_in_common = bool(comparison.keys)
    if args.keys:
        comparison = _select_keys(comparison, args.keys)
    if args.page:
        page = write_or_ask(
            lambda force: comparison.page(args.page, overwrite=force), args.force
        )
        print(f"page: {escape(str(page))}", file=sys.stderr)
    if args.plots:
        plots = write_or_ask(
            lambda force: comparison.generate_plots(args.plots, overwrite=force),
            args.force,
        )
        print(f"{len(plots)} plots in {escape(args.plots)}", file=sys.stderr)
    if args.json:
        print(dumps(_comparison_data(comparison)))
    else:
        lines = comparison_lines(comparison, _terminal_width())
        print("\n".join(lines).lstrip("\n"))
    if not comparison.keys:
        keys = "of these keys in common" if any_in_common else "in common"
        _warn(f"these runs have no metric {keys}", args.command)
        return 1
    return 0


def export(args: Namespace) -> int:
    """Write the records in another format."""
    from jaxmetrics.runs import find_runs
    from jaxmetrics.runs.reading import (
        FORMATS,
        Format,
        export,
        export_chunks,
        export_left_out,
        names_run,
    )

    name = args.format or Path(args.output or "").suffix.removeprefix(".")
    format: Format | None = next((known for known in FORMATS if known == name), None)
    if format is None:
        _warn("give --format csv, json or parquet", args.command)
        return 2
    if format == "parquet" and not args.output and sys.stdout.isatty():
        _warn("parquet is a binary format; give --output FILE", args.command)
        return 2
    paths = find_runs(args.run, args.root)
    runs = [_load(args, path) for path in paths]
    if not any(map(len, runs)):
        place = paths[0] if len(paths) == 1 else args.run
        raise ValueError(f"{place} has no records yet. Export it once it has.")
    source = runs[0] if names_run(args.run, args.root) else runs
    if left_out := export_left_out(source, format):
        _warn(left_out, args.command)
    if args.output:
        with _quiet():
            path = write_or_ask(
                lambda force: export(source, args.output, format, overwrite=force),
                args.force,
            )
        print(escape(str(path)))
    else:
        for chunk in export_chunks(source, format):
            sys.stdout.buffer.write(chunk)
    return 0


def tail(args: Namespace) -> int:
    """Follow runs, or print their state once."""
    from jaxmetrics.cli._live import show, watch
    from jaxmetrics.runs import Overview, Tail, overview_lines, tail_lines
    from jaxmetrics.runs.reading import names_run

    keys = args.keys or ("*",)
    paths = _find_all(args)
    if len(paths) == 1:
        one = Tail(paths[0], keys)
        if args.json:
            is_run = len(args.runs) == 1 and names_run(args.runs[0], args.root)
            data = one.read().to_dict()
            print(dumps(data if is_run else [data]))
            return 0

        def lines(now: float, width: int, height: int | None) -> list[str]:
            return tail_lines(one.read(), now, width, height)
    else:
        several = Overview(lambda: _find_all(args), keys)
        if args.json:
            print(dumps([view.to_dict() for view in several.read()]))
            if several.left_out:
                _warn(f"{several.left_out:,} runs before these are left out", "tail")
            return 0

        def lines(now: float, width: int, height: int | None) -> list[str]:
            views = several.read()
            return overview_lines(views, now, width, height, several.left_out)

    if args.once or not sys.stdout.isatty():
        show(lines)
    else:
        watch(lines, args.every)
    return 0


def view(args: Namespace) -> int:
    """Serve the viewer until interrupted."""
    from jaxmetrics.runs import view

    view(args.root, port=args.port, host=args.host, open_browser=args.open)
    return 0


def doctor(args: Namespace) -> int:
    """Check this machine."""
    from jaxmetrics.doctor import checks

    results = []
    for check in checks(args.root):
        results.append(check)
        if not args.json:
            print(escape(check.line()), flush=True)
    failed = [check for check in results if not check.passed]
    if args.json:
        rows = [check._asdict() for check in results]
        print(dumps({"passed": not failed, "checks": rows}))
    elif failed:
        print(f"{len(failed)} of {len(results)} checks failed")
    else:
        print(f"all {len(results)} checks passed")
    return 1 if failed else 0


def _find_all(args: Namespace) -> list[Path]:
    """Return the paths of all runs that the arguments name, each once."""
    from jaxmetrics.runs import find_runs
    from jaxmetrics.runs.reading import real_path

    paths = [path for name in args.runs for path in find_runs(name, args.root)]
    return list({real_path(path): path for path in paths}.values())


def _load(args: Namespace, path: Path) -> Run:
    from jaxmetrics.runs import Run

    with _quiet():
        run = Run.load(path, "skip" if args.skip_damaged else "raise")
    _warn_of_left_out(run, args.command)
    return run


def _load_history(args: Namespace) -> History:
    from jaxmetrics.runs import find_run
    from jaxmetrics.runs.reading import load_history

    path = find_run(args.run, args.root)
    with _quiet():
        history = load_history(path, "skip" if args.skip_damaged else "raise")
    if history.run is not None:
        _warn_of_left_out(history.run, args.command)
    run = history.run
    recorded = run is not None and (run.keys() or run.arrays or run.media)
    epochs = history.unit == "epoch" and (history.series or history.extra)
    if not recorded and not epochs:
        if path.is_dir() and not (path / METRICS_JSONL).is_file():
            raise ValueError(
                f"{path} has no {METRICS_JSONL}, the record from which runs are read. "
                f"A TrainingLogger writes it from its first step on."
            )
        raise ValueError(
            f"{path} has no numeric values yet. Try again once it has, or see what it "
            f"holds with `jaxmetrics tail`."
        )
    return history


def _select_keys(comparison: Comparison, globs: Iterable[str]) -> Comparison:
    """Return the comparison of the keys that match one of the globs.

    The results by which the runs are ranked are kept.
    """

    def matches(key: str) -> bool:
        return any(fnmatch.fnmatchcase(key, glob) for glob in globs)

    return dataclasses.replace(
        comparison,
        keys=[key for key in comparison.keys if matches(key)],
        results=[
            result
            for result in comparison.results
            if matches(result.key) or result.key == comparison.ranked_by
        ],
        spreads=[spread for spread in comparison.spreads if matches(spread.key)],
    )


def _comparison_data(comparison: Comparison) -> dict[str, object]:
    """Return a comparison as plain values, for JSON."""
    return {
        "x": comparison.x,
        "runs": {name: run.address for name, run in comparison.runs.items()},
        "notes": list(comparison.notes),
        "configuration": redact(dict(comparison.difference)),
        "groups": dict(comparison.groups),
        "ranked_by": comparison.ranked_by,
        "ranked": comparison.ranked(),
        "states": {
            name: {n: getattr(e, n) for n in ("state", "error", "step", "elapsed")}
            for name, e in comparison.entries.items()
        },
        "relations": redact([row._asdict() for row in comparison.relations]),
        "results": [row._asdict() for row in comparison.results],
        "spreads": [row._asdict() for row in comparison.spreads],
        "targets": [row._asdict() for row in comparison.reached],
    }


def _write_plots(
    args: Namespace, history: History, folder: Path, **look: Any
) -> list[Path]:
    from jaxmetrics.runs import generate_all_plots

    try:
        return write_or_ask(
            lambda force: generate_all_plots(history, folder, overwrite=force, **look),
            args.force,
        )
    except ImportError as error:
        if args.command == "plot":
            raise
        raise ImportError(f"{error} Or skip the plots with --no-plots.") from error


def _terminal_width() -> int | None:
    """Return the number of characters in a line; None if it is not a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _warn_of_left_out(run: Run, command: str) -> None:
    """Print which lines and values of a run are not used."""
    for name, line, reason in run.bad[:_MAX_WARNINGS]:
        _warn(f"{name}, line {line:,} was skipped: {reason}", command)
    if len(run.bad) > _MAX_WARNINGS:
        _warn(f"{len(run.bad):,} lines were skipped", command)
    for key, count in list(run.left_out.items())[:_MAX_WARNINGS]:
        _warn(f"{key}: {count:,} values are not numbers, and are left out", command)
    for key, conflict in list(run.conflicts.items())[:_MAX_WARNINGS]:
        _warn(
            f"{key}: {conflict.steps:,} steps from {conflict.first:,} have different "
            f"values; the later one counts",
            command,
        )


def _quiet() -> warnings.catch_warnings[None]:
    """Ignore the warnings of a call, which a command prints in a form of its own."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)


def _warn(text: str, command: str) -> None:
    print(f"jaxmetrics {command}: {escape(text)}", file=sys.stderr)


def _print_paths(paths: Iterable[Path]) -> None:
    for path in paths:
        print(escape(str(path)))
