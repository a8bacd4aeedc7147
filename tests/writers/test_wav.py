"""Audio encoded as WAV."""

import io
import wave

import numpy as np
import pytest

from jaxmetrics.writers._wav import encode_wav


def decoded(audio):
    """Return the samples `[frames, channels]` and the rate that Python reads."""
    with wave.open(io.BytesIO(audio.wav)) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return data.reshape(-1, file.getnchannels()), file.getframerate()


def test_floats_are_clipped_and_nan_is_silence():
    audio = encode_wav([0.0, 1.0, -1.0, 0.5, 7.0, -7.0, np.inf, np.nan], 8000)
    samples, rate = decoded(audio)
    expected = [0, 32767, -32767, 16384, 32767, -32767, 32767, 0]
    assert samples[:, 0].tolist() == expected
    assert (rate, audio.sample_rate, audio.frames, audio.channels) == (8000, 8000, 8, 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int16])
def test_channels_and_types_are_kept(dtype):
    frames = np.array([[0, 1], [1, 0], [1, 1]], dtype)
    samples, _ = decoded(encode_wav(frames, 44_100))
    scale = 1 if dtype is np.int16 else 32767
    np.testing.assert_array_equal(samples, frames.astype(np.int64) * scale)
