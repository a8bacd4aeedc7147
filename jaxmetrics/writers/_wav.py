"""Encode audio as WAV, without an audio library."""

from __future__ import annotations

import io
import wave
from typing import Any, NamedTuple

import numpy as np


class EncodedAudio(NamedTuple):
    """Encoded audio.

    Attributes:
      wav: Bytes of the WAV file, 16 bits a sample.
      sample_rate: Frames per second.
      channels: Number of channels.
      frames: Number of frames.
    """

    wav: bytes
    sample_rate: int
    channels: int
    frames: int


def encode_wav(samples: Any, sample_rate: int) -> EncodedAudio:
    """Encode samples as WAV.

    Args:
      samples: Array `[frames]` or `[frames, channels]`, int16, or floats, which are
        clipped to [-1, 1]; NaN is silence.
      sample_rate: Frames per second.
    """
    array = np.asarray(samples)
    if array.ndim == 1:
        array = array[:, None]
    if array.dtype != np.int16:
        clipped = np.nan_to_num(np.clip(array.astype(np.float64), -1.0, 1.0))
        array = np.round(clipped * 32767).astype(np.int16)
    file = io.BytesIO()
    with wave.open(file, "wb") as audio:
        audio.setnchannels(array.shape[1])
        audio.setsampwidth(2)
        audio.setframerate(sample_rate)
        audio.writeframes(array.astype("<i2").tobytes())
    return EncodedAudio(file.getvalue(), sample_rate, array.shape[1], len(array))
