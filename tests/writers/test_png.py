"""Images encoded as PNG."""

import numpy as np
import pytest
from support.png import decode_png

from jaxmetrics.writers._png import encode_png


@pytest.mark.parametrize(
    ("image", "pixels"),
    [
        ([[0.0, 0.5], [1.0, np.nan]], [[0, 128], [255, 0]]),
        ([[-1.0, 2.0]], [[0, 255]]),
        ([[True, False]], [[255, 0]]),
        (np.uint8([[[1, 2, 3, 4]]]), [[1, 2, 3, 4]]),
    ],
    ids=["floats", "clipped", "bools", "four channels"],
)
def test_pixels_are_encoded(image, pixels):
    encoded = encode_png(image)
    decoded = decode_png(encoded.png)
    np.testing.assert_array_equal(decoded.ravel(), np.ravel(pixels))
    assert decoded.shape == (encoded.height, encoded.width, encoded.channels)


@pytest.mark.parametrize(
    "image", [np.zeros((2, 2), int), np.zeros((2, 2, 2)), np.zeros(3), np.zeros((0, 2))]
)
def test_arrays_of_other_types_and_shapes_are_refused(image):
    with pytest.raises(ValueError, match="image"):
        encode_png(image)
