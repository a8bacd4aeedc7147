"""What each verb does; all of them return the exit status."""

from __future__ import annotations

import dataclasses
import fnmatch
import re
import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from jaxmetrics.cli._asking import unless_refused
from jaxmetrics.record import dumps, escape, redact

if TYPE_CHECKING:
    from jaxmetrics.runs import Comparison, Run
    from jaxmetrics.runs.reading import History

# What the messages of functions call their arguments, and what it is here.
_OPTIONS = {
    r"overwrite=True": "--force",
    r"read with errors='skip'": "pass over such lines with --skip-damaged",
    r"Give better=.*": "Give --better KEY=min or KEY=max.",
    r"another save_dir": "another folder",
    r"another path": "another file",
}


def told(error: Exception) -> str:
    """The message of an error, for people who give options and not arguments."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or ''}: {error.strerror}.".removeprefix(": ")
    else:
        text = str(error.args[0] if isinstance(error, KeyError) else error)
    for argument, option in _OPTIONS.items():
        text = re.sub(argument, option, text)
    return escape(text)


def report(given: Namespace) -> int:
    """Write the report, the page, and the plots."""
    from jaxmetrics.record import REPORT_HTML
    from jaxmetrics.runs import generate_page, generate_report

    read = _history(given)
    folder = Path(given.output) if given.output else read.folder
    plots = [] if given.no_plots else _plots(given, read, folder)
    text = unless_refused(
        lambda force: generate_report(read, save_dir=folder, overwrite=force),
        given.force,
    )
    page = unless_refused(
        lambda force: generate_page(read, folder / REPORT_HTML, overwrite=force),
        given.force,
    )
    if given.json:
        files = {"report": str(text), "page": str(page), "plots": [*map(str, plots)]}
        print(dumps(files))
    else:
        _print_all([text, page, *plots])
    return 0


def plot(given: Namespace) -> int:
    """Write the plots."""
    read = _history(given)
    folder = Path(given.output) if given.output else read.folder
    paths = _plots(given, read, folder, dpi=given.dpi)
    if given.json:
        print(dumps({"plots": [*map(str, paths)]}))
    else:
        _print_all(paths)
    return 0


def compare(given: Namespace) -> int:
    """Print runs beside each other."""
    from jaxmetrics.cli._tables import lines_of
    from jaxmetrics.runs import compare

    if len(given.runs) < 2:
        _say("give two runs or more", "compare")
        return 2
    loaded = [_load(given, name) for name in given.runs]
    targets, better = dict(given.target), dict(given.better)
    found = compare(loaded, given.x, target=targets, better=better)
    common = bool(found.keys)
    if given.keys:
        found = _only(found, given.keys)
    if given.page:
        page = unless_refused(
            lambda force: found.page(given.page, overwrite=force), given.force
        )
        print(f"page: {escape(str(page))}", file=sys.stderr)
    if given.plots:
        plots = unless_refused(
            lambda force: found.generate_plots(given.plots, overwrite=force),
            given.force,
        )
        print(f"{len(plots)} plots in {escape(given.plots)}", file=sys.stderr)
    if given.json:
        print(dumps(_compared(found)))
    else:
        print("\n".join(lines_of(found)).lstrip("\n"))
    if not found.keys:
        which = "of these keys in common" if common else "in common"
        _say(f"these runs have no metric {which}", "compare")
        return 1
    return 0


def export(given: Namespace) -> int:
    """Write the records in another format."""
    from jaxmetrics.runs.reading import FORMATS, Format, export, exported

    wanted = given.format or Path(given.output or "").suffix.removeprefix(".")
    form: Format | None = next((known for known in FORMATS if known == wanted), None)
    if form is None:
        _say("give --format csv, json or parquet", "export")
        return 2
    if form == "parquet" and not given.output and sys.stdout.isatty():
        _say("parquet is no text; give --output FILE", "export")
        return 2
    run = _load(given, given.run)
    if not len(run):
        raise ValueError(f"{run.path} has no records yet. Export it once it has.")
    if given.output:
        path = unless_refused(
            lambda force: export(run, given.output, form, overwrite=force), given.force
        )
        print(escape(str(path)))
    else:
        for piece in exported(run, form):
            sys.stdout.buffer.write(piece)
    return 0


def tail(given: Namespace) -> int:
    """Show a run while it goes on."""
    from jaxmetrics.cli._live import show, watch
    from jaxmetrics.runs import Tail, find_run

    path = find_run(given.run, given.root)
    follows = Tail(path, given.keys or ("*",))
    if given.json:
        print(dumps(follows.read().told()))
    elif given.once or not sys.stdout.isatty():
        show(follows)
    else:
        watch(follows, given.every)
    return 0


def doctor(given: Namespace) -> int:
    """Check this machine."""
    from jaxmetrics.doctor import checks

    found = []
    for check in checks(given.root):
        found.append(check)
        if not given.json:
            print(escape(check.line()), flush=True)
    failed = [check for check in found if not check.passed]
    if given.json:
        told = [check._asdict() for check in found]
        print(dumps({"passed": not failed, "checks": told}))
    elif failed:
        print(f"{len(failed)} of {len(found)} checks failed")
    else:
        print(f"all {len(found)} checks passed")
    return 1 if failed else 0


def _load(given: Namespace, name: str) -> Run:
    from jaxmetrics.runs import Run, find_run

    run = Run.load(
        find_run(name, given.root), "skip" if given.skip_damaged else "raise"
    )
    _say_of(run, given.verb)
    return run


def _history(given: Namespace) -> History:
    from jaxmetrics.runs import find_run
    from jaxmetrics.runs.reading import history

    path = find_run(given.run, given.root)
    read = history(path, "skip" if given.skip_damaged else "raise")
    if read.run is not None:
        _say_of(read.run, given.verb)
    keys = [] if read.run is None else read.run.keys()
    epochs = read.unit == "epoch" and (read.series or read.more)
    if not keys and not epochs:
        raise ValueError(
            f"{path} has no values yet that are numbers. Look again once it has, or "
            f"see what it holds with `jaxmetrics tail`."
        )
    return read


def _only(found: Comparison, globs: Iterable[str]) -> Comparison:
    """A comparison of some keys."""

    def wanted(key: str) -> bool:
        return any(fnmatch.fnmatchcase(key, glob) for glob in globs)

    return dataclasses.replace(
        found,
        keys=[key for key in found.keys if wanted(key)],
        results=[result for result in found.results if wanted(result.key)],
        spreads=[spread for spread in found.spreads if wanted(spread.key)],
    )


def _compared(found: Comparison) -> dict[str, object]:
    """A comparison as data."""
    return {
        "x": found.x,
        "runs": {name: str(run.path) for name, run in found.runs.items()},
        "notes": list(found.notes),
        "configuration": redact(dict(found.difference)),
        "groups": dict(found.groups),
        "results": [row._asdict() for row in found.results],
        "spreads": [row._asdict() for row in found.spreads],
        "targets": [row._asdict() for row in found.reached],
    }


def _plots(
    given: Namespace, read: History, folder: Path, dpi: float = 180
) -> list[Path]:
    from jaxmetrics.runs import generate_all_plots
    from jaxmetrics.runs.reading import goodput_of

    spent = goodput_of(read.run.events) if read.run and read.run.events else None
    try:
        return unless_refused(
            lambda force: generate_all_plots(
                read, folder, goodput=spent, dpi=dpi, overwrite=force
            ),
            given.force,
        )
    except ImportError as error:
        if given.verb == "plot":
            raise
        raise ImportError(f"{error} Or leave them out with --no-plots.") from error


def _say_of(run: Run, verb: str) -> None:
    """Say what of a run is left out."""
    for name, line, reason in run.bad[:10]:
        _say(f"{name}, line {line:,} was passed over: {reason}", verb)
    if len(run.bad) > 10:
        _say(f"{len(run.bad):,} lines were passed over", verb)
    for key, count in list(run.left_out.items())[:10]:
        _say(f"{key}: {count:,} values are no numbers, and are left out", verb)


def _say(text: str, verb: str) -> None:
    print(f"jaxmetrics {verb}: {escape(text)}", file=sys.stderr)


def _print_all(paths: Iterable[Path]) -> None:
    for path in paths:
        print(escape(str(path)))
