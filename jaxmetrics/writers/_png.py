"""Encode images as PNG, without an image library."""

from __future__ import annotations

import struct
import zlib
from typing import Any, NamedTuple

import numpy as np

_COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # PNG colour type by number of channels


class EncodedImage(NamedTuple):
    """An encoded image.

    Attributes:
      png: Bytes of the PNG file.
      height: Height in pixels.
      width: Width in pixels.
      channels: Number of channels, 1, 3 or 4.
    """

    png: bytes
    height: int
    width: int
    channels: int


def encode_png(image: Any) -> EncodedImage:
    """Encode an array as PNG.

    Args:
      image: Array `[height, width]` or `[height, width, channels]` with 1, 3 or 4
        channels, of uint8 or bool, or of floats, which are clipped to [0, 1]; NaN is
        black.

    Raises:
      ValueError: The array has another shape or type.
    """
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[:, :, None]
    is_float = array.dtype.kind == "f" or "float" in array.dtype.name
    is_image = array.ndim == 3 and array.shape[2] in _COLOUR_TYPES and array.size
    if not is_image or not (is_float or array.dtype in (np.uint8, np.bool_)):
        raise ValueError(
            f"An image got an array of shape {array.shape} and {array.dtype}; expected "
            f"[height, width, 1, 3 or 4] of uint8, or of floats in [0, 1]. Transpose "
            f"or convert it."
        )
    if is_float:
        array = np.nan_to_num(np.clip(array.astype(np.float64), 0.0, 1.0)) * 255 + 0.5
    elif array.dtype == np.bool_:
        array = array * 255
    height, width, channels = array.shape
    pixels = array.astype(np.uint8).reshape(height, width * channels)
    # A leading 0 in each line of pixels means that no filter is used.
    lines = np.hstack([np.zeros((height, 1), np.uint8), pixels])
    size = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", size)
        + _chunk(b"IDAT", zlib.compress(lines.tobytes()))
        + _chunk(b"IEND", b"")
    )
    return EncodedImage(png, height, width, channels)


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(name + data)
    length = struct.pack(">I", len(data))
    return length + name + data + struct.pack(">I", checksum)
