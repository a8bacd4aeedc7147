"""The command line: `jaxmetrics demo|report|plot|compare|tail|export|doctor`.

Nothing is imported before it is needed: what reads runs back starts without jax.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
      argv: The arguments; None takes those of the process.

    Returns:
      The exit status: 0, 1 when there is a problem, 2 for wrong arguments, 130 when
      interrupted, 141 when nobody reads the output.
    """
    try:
        return _run(argv)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _unread()


def _run(argv: Sequence[str] | None) -> int:
    import sys

    from jaxmetrics.cli._arguments import make_parser

    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if (change := getattr(stream, "reconfigure", None)) is not None:
            change(errors="backslashreplace")  # bars, in a terminal without them
    if arguments[:1] == ["demo"]:
        from jaxmetrics.demo import main as demo

        return demo(arguments[1:])
    parser = make_parser()
    try:
        given = parser.parse_args(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    from jaxmetrics.cli import _verbs as verbs

    try:
        status = getattr(verbs, given.verb)(given)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError, KeyError, ImportError) as error:
        if given.debug:
            raise
        print(f"jaxmetrics {given.verb}: {verbs.told(error)}", file=sys.stderr)
        return 1
    return status


def _unread() -> int:
    """End as a program that a closed pipe has ended."""
    import os
    import sys

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 141
