"""Convert records to TensorBoard events."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from jaxmetrics.record import (
    Media,
    binned,
    dumps,
    flatten,
    images_of,
    markdown_table,
)
from jaxmetrics.writers._png import encode_png
from jaxmetrics.writers._wav import encode_wav

_MAX_TEXT_LENGTH = 2**16


class Summaries:
    """Builds serialized events from the protobuf messages of tensorboardX.

    Raises:
      ImportError: tensorboardX is not installed.
    """

    def __init__(self) -> None:
        self._events = importlib.import_module("tensorboardX.proto.event_pb2")
        self._protos = importlib.import_module("tensorboardX.proto.summary_pb2")
        self._builders = importlib.import_module("tensorboardX.summary")

    def version(self, now: float) -> bytes:
        """Return the first event of a file."""
        return self._event(now, 0, file_version="brain.Event:2")

    def restart(self, now: float, step: int) -> bytes:
        """Return an event that hides earlier events of `step` and later steps."""
        log = self._events.SessionLog
        return self._event(now, step, session_log=log(status=log.START))

    def hparams(self, now: float, hparams: object) -> Iterator[bytes]:
        """Yield the event that starts a session with a configuration, and its end.

        No event describes the experiment: TensorBoard then offers all scalars of all
        runs as metrics to compare.
        """
        _, start, end = self._builders.hparams(dict(hparam_values(hparams)), {})
        for summary in (start, end):
            yield self._event(now, 0, summary=summary)

    def cards(self, now: float, layout: Mapping[str, Mapping[str, list[str]]]) -> bytes:
        """Return the event that arranges tags in cards, by category and title.

        It is of step 0, so that no restart hides it; of several the last one counts.
        """
        charts = {
            category: {title: ["Multiline", tags] for title, tags in cards.items()}
            for category, cards in layout.items()
        }
        return self._event(now, 0, summary=self._builders.custom_scalars(charts))

    def scalars(
        self,
        now: float,
        step: int,
        values: Mapping[str, Any],
        images: Mapping[str, np.ndarray],
    ) -> bytes:
        """Return one event with all scalars and images of a step, by tag."""
        value_message = self._protos.Summary.Value
        with np.errstate(over="ignore"):
            scalars = [
                value_message(tag=tag, simple_value=_as_float32(value))
                for tag, value in values.items()
            ]
        summary = self._protos.Summary(value=scalars)
        for tag, image in images.items():
            summary.value.extend(self._image(tag, image))
        return self._event(now, step, summary=summary)

    def media(self, now: float, media: Media) -> bytes:
        """Return one event with all values of a media record."""
        convert = {
            "text": self._text,
            "table": self._table,
            "image": self._images,
            "audio": self._audio,
            "histogram": self._histogram,
        }[media.kind]
        summary = self._protos.Summary()
        for key, value in media.values.items():
            summary.value.extend(convert(key, value))
        return self._event(now, media.step, summary=summary)

    def _event(self, now: float, step: int, **fields: Any) -> bytes:
        event = self._events.Event(wall_time=now, step=step, **fields)
        return event.SerializeToString()

    def _text(self, tag: str, text: str) -> Iterable[Any]:
        return self._builders.text(tag, text[:_MAX_TEXT_LENGTH]).value

    def _table(self, tag: str, table: tuple[Any, Any]) -> Iterable[Any]:
        names, rows = table
        text = markdown_table(list(names), rows, _escaped_cell)
        return self._text(tag, text.removesuffix("\n"))

    def _images(self, tag: str, value: Any) -> Iterable[Any]:
        images = images_of(value)
        for index, image in enumerate(images):
            yield from self._image(tag if len(images) == 1 else f"{tag}/{index}", image)

    def _audio(self, tag: str, value: Any) -> Iterable[Any]:
        audio = encode_wav(*value)
        message = self._protos.Summary.Audio(
            sample_rate=audio.sample_rate,
            num_channels=audio.channels,
            length_frames=audio.frames,
            encoded_audio_string=audio.wav,
            content_type="audio/wav",
        )
        return [self._protos.Summary.Value(tag=tag, audio=message)]

    def _image(self, tag: str, image: Any) -> Iterable[Any]:
        png, height, width, channels = encode_png(image)
        message = self._protos.Summary.Image(
            height=height, width=width, colorspace=channels, encoded_image_string=png
        )
        return [self._protos.Summary.Value(tag=tag, image=message)]

    def _histogram(self, tag: str, values: Any) -> Iterable[Any]:
        bins = binned(values)
        value_message = self._protos.Summary.Value
        if bins.counts.size:
            histogram = self._protos.HistogramProto(
                min=bins.minimum,
                max=bins.maximum,
                num=bins.counts.sum(),
                sum=bins.total,
                sum_squares=bins.squares,
                # Only right edges are stored; an empty first bin holds the left one.
                bucket_limit=bins.edges.tolist(),
                bucket=[0.0, *bins.counts.tolist()],
            )
            yield value_message(tag=tag, histo=histogram)
        if bins.nonfinite:
            yield value_message(tag=f"{tag}_nonfinite", simple_value=bins.nonfinite)


def hparam_values(hparams: object) -> Iterator[tuple[str, Any]]:
    """Yield the values of a configuration with their paths; lists become JSON.

    >>> dict(hparam_values({"lr": 0.1, "model": {"layers": 2, "dims": [1, 2]}}))
    {'lr': 0.1, 'model/layers': 2, 'model/dims': '[1,2]'}
    """
    for path, value in flatten(hparams):
        if isinstance(value, str | bool | int | float):
            yield path or "hparams", value
        elif value is not None and not isinstance(value, Mapping):
            yield path or "hparams", dumps(value)


def _escaped_cell(value: object) -> str:
    text = " ".join(str(value).splitlines())
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _as_float32(value: Any) -> float:
    """Round a number to float32; one that is too large becomes infinite."""
    try:
        return float(np.float32(value))
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
