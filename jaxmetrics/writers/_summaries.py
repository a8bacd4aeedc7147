"""What a record is in TensorBoard's own messages."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from jaxmetrics.record import Media, binned, dumps
from jaxmetrics.writers._png import picture

_TEXT_LIMIT = 2**16


class Summaries:
    """Makes serialized events with tensorboardX's messages.

    Raises:
      ImportError: tensorboardX is not installed.
    """

    def __init__(self) -> None:
        self._events = importlib.import_module("tensorboardX.proto.event_pb2")
        self._protos = importlib.import_module("tensorboardX.proto.summary_pb2")
        self._made = importlib.import_module("tensorboardX.summary")

    def version(self, now: float) -> bytes:
        """What a file begins with."""
        return self._event(now, 0, file_version="brain.Event:2")

    def restart(self, now: float, step: int) -> bytes:
        """What hides everything of `step` and later that came before."""
        log = self._events.SessionLog
        return self._event(now, step, session_log=log(status=log.START))

    def hparams(self, now: float, hparams: object) -> Iterator[bytes]:
        """A configuration at the start of a session, and the session's end.

        Without a description of the experiment, from which TensorBoard would take the
        metrics to compare, it takes all scalars of all runs.
        """
        _, start, end = self._made.hparams(dict(flat(hparams)), {})
        for summary in (start, end):
            yield self._event(now, 0, summary=summary)

    def scalars(self, now: float, step: int, values: Mapping[str, Any]) -> bytes:
        """One event with all scalars of a step, by tag."""
        one = self._protos.Summary.Value
        with np.errstate(over="ignore"):
            made = [one(tag=tag, simple_value=_real(v)) for tag, v in values.items()]
        summary = self._protos.Summary(value=made)
        return self._event(now, step, summary=summary)

    def media(self, now: float, media: Media) -> bytes:
        """One event with all that a record shows."""
        make = {
            "text": self._text,
            "table": self._table,
            "image": self._image,
            "histogram": self._histogram,
        }[media.kind]
        summary = self._protos.Summary()
        for key, value in media.values.items():
            summary.value.extend(make(key, value))
        return self._event(now, media.step, summary=summary)

    def _event(self, now: float, step: int, **fields: Any) -> bytes:
        event = self._events.Event(wall_time=now, step=step, **fields)
        return event.SerializeToString()

    def _text(self, tag: str, text: str) -> Iterable[Any]:
        return self._made.text(tag, text[:_TEXT_LIMIT]).value

    def _table(self, tag: str, table: tuple[Any, Any]) -> Iterable[Any]:
        return self._text(tag, markdown(*table))

    def _image(self, tag: str, image: Any) -> Iterable[Any]:
        png, height, width, channels = picture(image)
        made = self._protos.Summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=png
        )
        return [self._protos.Summary.Value(tag=tag, image=made)]

    def _histogram(self, tag: str, values: Any) -> Iterable[Any]:
        bins = binned(values)
        one = self._protos.Summary.Value
        if bins.counts.size:
            made = self._protos.HistogramProto(
                min=bins.minimum,
                max=bins.maximum,
                num=bins.counts.sum(),
                sum=bins.total,
                sum_squares=bins.squares,
                # Only right ends are stored: an empty bin keeps the first left one.
                bucket_limit=bins.edges.tolist(),
                bucket=[0.0, *bins.counts.tolist()],
            )
            yield one(tag=tag, histo=made)
        if bins.nonfinite:
            yield one(tag=f"{tag}_nonfinite", simple_value=bins.nonfinite)


def flat(hparams: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a configuration by their paths; lists are text.

    >>> dict(flat({"lr": 0.1, "model": {"layers": 2, "dims": [1, 2]}}))
    {'lr': 0.1, 'model/layers': 2, 'model/dims': '[1,2]'}
    """
    if isinstance(hparams, Mapping):
        for key, value in hparams.items():
            yield from flat(value, f"{name}/{key}" if name else str(key))
    elif isinstance(hparams, str | bool | int | float):
        yield name or "hparams", hparams
    elif hparams is not None:
        yield name or "hparams", dumps(hparams)


def markdown(columns: Any, rows: Any) -> str:
    """A table as Markdown.

    >>> print(markdown(["word", "count"], [["a|b", 1]]))
    | word | count |
    | --- | --- |
    | a\\|b | 1 |
    """
    head = list(columns)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(c) for c in line)} |" for line in lines)


def _cell(value: object) -> str:
    text = " ".join(str(value).splitlines())
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _real(value: Any) -> float:
    """A number as float32 holds it; one that is too large is infinite."""
    try:
        return float(np.float32(value))
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
