"""Print one line of text per record."""

from __future__ import annotations

import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TextIO, TypeGuard

from jaxmetrics.record import (
    SHORT_NAMES,
    Record,
    UnnumberedRecord,
    escape,
    require_numbers,
)
from jaxmetrics.writers._progress import Progress
from jaxmetrics.writers._settings import WriterSettings
from jaxmetrics.writers._writer import Writer

_RATE_SUFFIXES = ("_per_second", "_per_sec")
_FRACTIONS = {"mfu", "recent_mfu", "hfu", "goodput"}
_LEARNING_RATES = {"lr", "learning_rate"}
_TOTALS = ("tokens", "samples", "steps", "_seen")
_SCALES = ("", "k", "M", "B", "T")
_PERFORMANCE = ("perf/", "mem/", "tpu/", "goodput/")
_MAX_PERFORMANCE = 4
_FIRST_PERFORMANCE = (
    "perf/recent_mfu",
    "perf/mfu",
    "perf/recent_tokens_per_second",
    "perf/tokens_per_second",
    "perf/samples_per_second",
    "perf/steps_per_second",
    "perf/step_seconds",
)
_PER_GROUP = ("grad/", "param/", "update/", "delta/", "ema/", "moe/", "lr/")
_MAX_STATISTICS = 4
_FIRST_STATISTICS = ("grad/norm", "update/ratio", "param/norm", "update/norm")
_BOUND = "_error_bound"
_MAX_ENTRIES = 4  # of one value that has several, such as the recall of each class
_FLAGS = frozenset({"health/collected"})  # tells about other values, and is none
_JOIN_SECONDS = 0.75  # and at most 0.16 until a line is looked at
_MAX_WAITING = 64


class Console(Writer):
    """Prints a line for each step and split.

    Records of one step and split that arrive within a second are one line. It has the
    losses first, that of the split before others, then the other values as given, of
    norms and the like at most four, the learning rate, the counts of tokens and
    samples, and at most four performance figures. Where a record has both a figure of
    recent steps and that of all steps, such as `recent_mfu` and `mfu`, only the
    recent one is printed: the step time is one of recent steps too. Error bounds are
    left out, and so are values of one name for more than four classes or layers, such
    as `recall/0` to `recall/9`. `keys` chooses other values. On a terminal that is too
    narrow the last values are left out.

    Colours are used on a terminal only, and never if `NO_COLOR` is set. With
    `total_steps` the lines of train steps end with the progress: `25.0%`, and from the
    second line on the steps per second since the line before and the time left at this
    rate. Both use training seconds, which continue over restarts.

    Args:
      use_colors: If true, a terminal gets colours. Default: the setting of the logger.
      compact: If true, print the short form,
        `[12.3m] step=1000 | loss=1.500 | tok/s=364k`. Default: the `compact_format` of
        the logger.
      total_steps: Step at which the run ends, if known. Default None.
      file: Stream to print to. Default: `sys.stdout` at the time of opening; nothing is
        printed if it is None or closed.
      every: As in `Writer`. Default: the `print_every` of the logger.
      clock: Returns monotonic seconds, for the lines that wait. Default
        `time.monotonic`.
      options: Options of `Writer`.
    """

    needs_run_dir: ClassVar[bool] = False
    is_display: ClassVar[bool] = True

    def __init__(
        self,
        *,
        use_colors: bool | None = None,
        compact: bool | None = None,
        total_steps: int | None = None,
        file: TextIO | None = None,
        every: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        **options: Any,
    ) -> None:
        super().__init__(every=1 if every is None else every, **options)
        if total_steps is not None:
            require_numbers("Console", total_steps=total_steps)
        if total_steps is not None and total_steps < 1:
            raise ValueError(
                f"Console got total_steps={total_steps!r}, expected a positive "
                f"integer. Leave it out when it is not known."
            )
        arguments = {"every": every, "use_colors": use_colors, "compact": compact}
        self._defaults = {name for name, value in arguments.items() if value is None}
        self.use_colors: bool = use_colors is not False
        self.compact: bool = compact is True
        self._progress = None if total_steps is None else Progress(total_steps)
        self._stream = file
        self._file: TextIO | None = file
        self._terminal: Any = None
        self._clock = clock
        self._waiting: dict[tuple[int, str], tuple[float, Record]] = {}

    def configure(self, settings: WriterSettings) -> None:
        """Use `print_every`, `use_colors` and `compact_format` as defaults."""
        if "every" in self._defaults:
            self.every: int = settings.print_every
        if "use_colors" in self._defaults:
            self.use_colors = settings.use_colors
        if "compact" in self._defaults:
            self.compact = settings.compact_format

    def open(self, run_dir: Path | None, resume_step: int | None) -> None:
        """Look up the stream, and whether it shows colours."""
        self._reset_progress()
        self._waiting.clear()
        file = self._stream if self._stream is not None else sys.stdout
        self._file = file
        is_terminal = _is_open(file) and file.isatty()
        if self.use_colors and is_terminal and not os.environ.get("NO_COLOR"):
            from rich.console import Console as Terminal

            self._terminal = Terminal(file=self._file, soft_wrap=True, highlight=False)

    def write(self, record: Record) -> bool | None:
        """Print one line, a second later; return False if there is no stream."""
        if not _is_open(self._file):
            return False
        if not record.values and not record.counts:
            return False
        place = record.step, record.split
        since, earlier = self._waiting.get(place, (self._clock(), None))
        joined = record if earlier is None else earlier.joined(record)
        self._waiting[place] = since, joined
        self._print_waiting(until=self._clock() - _JOIN_SECONDS)
        return None

    def idle(self) -> None:
        """Print the lines that have waited for a second."""
        if self._waiting:
            self._print_waiting(until=self._clock() - _JOIN_SECONDS)

    def flush(self) -> None:
        """Print the lines that wait, and flush the stream."""
        self._print_waiting()
        if _is_open(self._file):
            self._file.flush()

    def close(self) -> None:
        """Print the lines that wait, and release the stream, which stays open."""
        self.flush()
        self._file = self._terminal = None

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Forget the last record, so that no rate spans the restore."""
        self._reset_progress()

    def _print_waiting(self, until: float = math.inf) -> None:
        """Print the first lines: those that wait since `until`, and surplus ones."""
        while self._waiting:
            place, (since, record) = next(iter(self._waiting.items()))
            if since > until and len(self._waiting) <= _MAX_WAITING:
                break
            del self._waiting[place]
            self._print(record)

    def _print(self, record: Record) -> None:
        if not _is_open(self._file):
            return
        keys = None if self.keys is None else list(record.values)
        parts = list(
            line_parts(record, self.compact, *self._advance(record), keys=keys)
        )
        parts = _fitting(parts, _width(self._file))
        if self._terminal is not None:
            from rich.text import Text

            self._terminal.print(Text.assemble(*parts))
        else:
            line = "".join(text for text, _ in parts) + "\n"
            self._file.write(_encodable(line, self._file))
        self._file.flush()

    def _reset_progress(self) -> None:
        if self._progress is not None:
            self._progress.reset()

    def _advance(self, record: Record) -> tuple[int | None, Sequence[str]]:
        """Return the last step and the texts of the progress, for train steps."""
        numbered = record.split == "train" and not isinstance(record, UnnumberedRecord)
        if self._progress is None or not numbered:
            return None, ()
        texts = self._progress.advance(record.step, record.time, self.compact)
        return self._progress.total_steps, texts


def line_parts(
    record: Record,
    compact: bool = False,
    total_steps: int | None = None,
    progress: Sequence[str] = (),
    keys: Sequence[str] | None = None,
) -> Iterator[tuple[str, str]]:
    """Yield the parts of the line of a record, each with its style.

    A separator begins each part but the first two.

    Args:
      record: The record.
      compact: If true, use the short form.
      total_steps: Step at which the run ends, if known.
      progress: Texts at the end of the line.
      keys: Keys to show, in order. None chooses them (see `Console`).

    >>> values = {"lr/lr": 3e-4, "perf/mfu": 0.56, "train/loss": 1.5}
    >>> record = Record(1000, "train", values, 738.0)
    >>> "".join(text for text, _ in line_parts(record, compact=True))
    '[12.3m] step=1000 | loss=1.500 | lr=3e-04 | mfu=0.56'
    """
    bar = " | " if compact else " \u2502 "
    minutes = f"{record.time / 60:.1f}"
    yield f"[{minutes if compact else minutes.rjust(6)}m] ", "dim"
    separator = ""
    if record.split != "train":
        yield f"[{escape(record.split.upper())}] ", "bold magenta"
    elif not isinstance(record, UnnumberedRecord):
        yield f"step={record.step}", "bold"
        if total_steps is not None:
            yield f"/{total_steps}", "dim"
        separator = bar
    counts = record.counts
    values: dict[str, float | int] = dict(record.values)
    if keys is None:
        losses, others, rates, performance = _chosen(values)
        own_loss = f"{record.split}/loss"  # first, since a narrow line is cut
        losses.sort(key=lambda key: key != own_loss)
        keys = [*losses, *others, *rates, *counts, *performance]
    values |= counts
    for key in keys:
        value = values[key]
        if separator:
            yield separator, "dim"
        separator = bar
        split = "train" if key in counts else record.split
        yield escape(short_name(key, split, compact)) + "=", "cyan"
        yield format_value(key, value, compact), _value_style(value)
    for text in progress:
        yield bar, "dim"
        yield text, "green"


def _chosen(
    values: Mapping[str, object],
) -> tuple[list[str], list[str], list[str], list[str]]:
    """Return the keys of losses, other values, the learning rate, performance."""
    losses, others, rates, performance = [], [], [], []
    own = [k for k in values if k.startswith(_PER_GROUP) and k.count("/") == 1]
    statistics = _first(own, _FIRST_STATISTICS, _MAX_STATISTICS)
    parents = Counter(k.rpartition("/")[0] for k in values if k.count("/") > 1)
    for key in values:
        name = key.rsplit("/", 1)[-1]
        if key.startswith(_PERFORMANCE):
            if key.replace("/", "/recent_", 1) not in values:
                performance.append(key)
        elif key.startswith("lr/"):
            rates.append(key)
        elif key in _FLAGS or (key.startswith(_PER_GROUP) and key not in statistics):
            continue
        elif key.endswith(_BOUND) or parents[key.rpartition("/")[0]] > _MAX_ENTRIES:
            continue
        elif name == "loss" or name.endswith("_loss"):
            losses.append(key)
        else:
            others.append(key)
    shown = _first(performance, _FIRST_PERFORMANCE, _MAX_PERFORMANCE)
    rate = ["lr/lr"] if "lr/lr" in rates else rates[:1]
    return losses, others, rate, [key for key in performance if key in shown]


def _first(keys: Sequence[str], preferred: Sequence[str], most: int) -> set[str]:
    """Return at most so many of some keys, the preferred ones first."""
    first = [key for key in preferred if key in keys]
    return set([*first, *(key for key in keys if key not in first)][:most])


def short_name(key: str, split: str = "train", compact: bool = False) -> str:
    """Return the name to print for a key of a record of `split`.

    >>> short_name("train/loss"), short_name("val/loss", "val")
    ('loss', 'val_loss')
    """
    name = SHORT_NAMES.get(key, key.removeprefix(f"{split}/"))
    if compact and name == "tokens_per_sec":
        name = "tok/s"
    if split == "train" or name.startswith((f"{split}_", "health/")):
        return name
    return f"{split}_{name}"


def format_value(key: str, value: float | str, compact: bool = False) -> str:
    """Return the text of a value, by the first rule that matches its key and size.

    Rates and integers have thousands separators, fractions of a peak are percentages,
    learning rates and very small or large values have an exponent, and all others have
    three decimals. The compact form is shorter in each case. No value but 0 is printed
    as 0.

    >>> format_value("perf/mfu", 0.56), format_value("train/loss", 1.5)
    ('56.0%', '1.500')
    """
    if isinstance(value, str):
        return escape(value)
    name = key.rsplit("/", 1)[-1]
    if not isinstance(value, int) and not math.isfinite(value):
        return str(float(value))
    is_total = name.endswith(_TOTALS) and float(value).is_integer()
    # A rate of a few steps in a minute would be 0 without decimals.
    is_slow = abs(value) < 10 and not float(value).is_integer()
    is_rate = name.endswith(_RATE_SUFFIXES) and not is_slow
    if isinstance(value, int) or is_total or is_rate:
        return _abbreviated(value) if compact else f"{value:,.0f}"
    if name in _FRACTIONS:
        return _fraction(value, compact)
    is_learning_rate = key.startswith("lr/") or name in _LEARNING_RATES
    if is_learning_rate or (value != 0 and not 1e-3 <= abs(value) < 1e6):
        return _exponent(value, compact)
    return f"{value:.3f}"


def _abbreviated(value: float) -> str:
    """Return a rate or count in at most four characters and a sign: `364k`, `1.2M`."""
    scale = 0
    size = float(abs(value))
    while round(size) >= 1000 and scale < len(_SCALES) - 1:
        size /= 1000
        scale += 1
    digits = f"{size:.1f}" if scale and size < 9.95 else f"{size:.0f}"
    sign = "-" if value < 0 else ""
    return sign + digits.removesuffix(".0") + _SCALES[scale]


def _fraction(value: float, compact: bool) -> str:
    """Return `56.0%`, or `0.56` in the compact form; small values keep two digits."""
    size, digits = (value, 2) if compact else (value * 100, 1)
    text = f"{size:.{digits}f}"
    if value and abs(float(text)) < 10 * 10**-digits:
        text = f"{size:.2g}"
    return text if compact else text + "%"


def _exponent(value: float, compact: bool) -> str:
    """Return `3.000e-04`, or `3e-04` in the compact form."""
    text = f"{value:.3e}"
    if not compact:
        return text
    digits, exponent = text.split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{exponent}"


def _value_style(value: float | str) -> str:
    """Return the style of a value; values that are not finite are red."""
    if isinstance(value, float) and not math.isfinite(value):
        return "bold red"
    return ""


def _encodable(line: str, file: TextIO) -> str:
    """Return the line with characters that the encoding of the stream has."""
    encoding = getattr(file, "encoding", None) or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        plain = line.replace("\u2502", "|")
        return plain.encode(encoding, "backslashreplace").decode(encoding)
    return line


def _is_open(file: TextIO | None) -> TypeGuard[TextIO]:
    return file is not None and not getattr(file, "closed", False)


def _width(file: TextIO) -> int | None:
    """Return the columns of a terminal, or None for other streams."""
    try:
        return os.get_terminal_size(file.fileno()).columns if file.isatty() else None
    except (OSError, ValueError, AttributeError):
        return None


def _fitting(
    parts: Sequence[tuple[str, str]], width: int | None
) -> Sequence[tuple[str, str]]:
    """Return the first parts of a line that fit, without the last separator."""
    if width is None or sum(len(text) for text, _ in parts) < width:
        return parts
    texts = [text for text, _ in parts]
    ends = [i for i, text in enumerate(texts) if text in (" | ", " \u2502 ")]
    fits = [end for end in ends if sum(map(len, texts[:end])) < width]
    return parts[: fits[-1]] if fits else parts[: ends[0]] if ends else parts
