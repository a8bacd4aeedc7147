"""Images as PNG, without an image library."""

from __future__ import annotations

import struct
import zlib
from typing import Any, NamedTuple

import numpy as np

_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # by number of channels


class Picture(NamedTuple):
    """A PNG file's bytes, and its size in pixels."""

    png: bytes
    height: int
    width: int
    channels: int


def picture(image: Any) -> Picture:
    """An array as PNG.

    Args:
      image: `[height, width]` or `[height, width, channels]` of 1, 3 or 4 channels:
        uint8, or floats, of which those outside of [0, 1] are cut and nan is black.

    Raises:
      ValueError: It has another shape or type.
    """
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    is_real = array.dtype.kind == "f" or "float" in array.dtype.name
    known = array.ndim == 3 and array.shape[2] in _COLOUR_TYPES and array.size
    if not known or not (is_real or array.dtype in (np.uint8, np.bool_)):
        raise ValueError(
            f"An image got an array of shape {array.shape} and {array.dtype}; expected "
            f"[height, width, 1, 3 or 4] of uint8, or of floats in [0, 1]. Transpose "
            f"or convert it."
        )
    if is_real:
        array = np.nan_to_num(np.clip(array.astype(np.float64), 0.0, 1.0)) * 255 + 0.5
    elif array.dtype == np.bool_:
        array = array * 255
    height, width, channels = array.shape
    pixels = array.astype(np.uint8).reshape(height, width * channels)
    lines = np.hstack([np.zeros((height, 1), np.uint8), pixels])  # no filter
    size = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", size)
        + _chunk(b"IDAT", zlib.compress(lines.tobytes()))
        + _chunk(b"IEND", b"")
    )
    return Picture(png, height, width, channels)


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
