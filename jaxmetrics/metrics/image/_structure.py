"""Structural similarity of images, at one scale and at several."""

from __future__ import annotations

import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxmetrics.core import Direction, check_choice, difference
from jaxmetrics.metrics.image._images import PairedImageMean, check_max_value, unit_of

_WINDOWS = {"gaussian": 11, "uniform": 7}
_BETAS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang et al. (2003)


class SSIM(PairedImageMean):
    """Structural similarity of images; the mean over images.

    Means, variances and the covariance of both images within a window around each pixel
    give `(2 m1 m2 + c1) (2 cov + c2) / ((m1^2 + m2^2 + c1) (v1 + v2 + c2))` with
    `c1 = (k1 max_value)^2` and `c2 = (k2 max_value)^2`. The value of an image is the
    mean over its channels, and over the pixels whose window lies inside the image. In
    [-1, 1], higher is better, nan without data. As Wang et al. (2004), and as
    scikit-image's `structural_similarity` with `gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False`; torchmetrics also averages over windows that reach
    over the border, and so over mirrored pixels.

    Windows are summed in float32, of values less the mean of the image: the error is
    about 1e-5.

    Reads `preds` and `targets`, real `[..., height, width, channels]`, of one shape.

    Args:
      max_value: Range of the values, the largest possible one less the smallest: 1.0
        for images in [0, 1], 255 for bytes. Required.
      window: "gaussian" (the default) or "uniform".
      window_size: Odd length of the window. Default 11 if it is Gaussian, else 7.
      sigma: Standard deviation of the Gaussian window, in pixels. Default 1.5.
      k1: Constant of the means. Default 0.01.
      k2: Constant of the variances. Default 0.03.
      sample_covariance: Divide variances by the pixels of the window less one; the
        default of scikit-image (with a uniform window). Default False.
      weighted: Require `weights`, of the leading axes, and weight each image by them.
      stderr: Compute mean and standard error, as `Mean(stderr=True)`. Default False.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxmetrics as jm
      >>> targets = jnp.linspace(0, 1, 2 * 16 * 16).reshape(2, 16, 16, 1)
      >>> metric = jm.SSIM(max_value=1.0)
      >>> round(float(jm.evaluate(metric, preds=targets, targets=targets)), 4)
      1.0
    """

    higher_is_better: ClassVar[Direction] = True

    max_value: float | None = None
    window: str = "gaussian"
    window_size: int | None = None
    sigma: float = 1.5
    k1: float = 0.01
    k2: float = 0.03
    sample_covariance: bool = False

    def validate(self) -> None:
        """Refuse a missing range of the values, and impossible windows."""
        name = type(self).__name__
        check_max_value(name, self.max_value)
        check_choice(name, "window", self.window, tuple(_WINDOWS))
        if self._size < 3 or self._size % 2 == 0:
            raise ValueError(
                f"{name}: window_size is {self.window_size}, but must be odd and at "
                "least 3. Leave it out for the default."
            )
        if not all(x > 0 for x in (self.sigma, self.k1, self.k2)):
            raise ValueError(
                f"{name}: sigma, k1 and k2 must be above 0, got {self.sigma}, "
                f"{self.k1} and {self.k2}. Leave them out for the defaults."
            )

    @property
    def _size(self) -> int:
        size = self.window_size
        return _WINDOWS[self.window] if size is None else size

    def _of_images(self, preds: jax.Array, targets: jax.Array) -> jax.Array:
        return self._terms(*self._centred(preds, targets))[0]

    @property
    def _unit(self) -> float:
        return unit_of(self.max_value or 1.0)

    def _centred(
        self, preds: jax.Array, targets: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Return the images less the means of the true ones, and these, in units.

        Variances are differences of squares, which cancel less around the mean.
        """
        share = 1 / self._unit
        scaled = targets.astype(jnp.float32) * share
        centre = scaled.mean((-3, -2, -1), keepdims=True)
        offset = centre * self._unit
        x, y = (difference(z, offset) * share for z in (preds, targets))
        return x, y, centre

    def _terms(
        self, x: jax.Array, y: jax.Array, centre: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Return the similarity of each image, and its factor of contrast."""
        kernel = self._kernel()
        shortest = min(y.shape[-3:-1])
        if shortest < kernel.size:
            raise ValueError(
                f"{type(self).__name__}: images of {y.shape[-3:-1]} are smaller "
                f"than the window of {kernel.size}. Set window_size=..., or resize."
            )
        channels = y.shape[-1]
        # A row is one axis of width x channels, which CPUs add as vectors.
        rows = (*y.shape[:-2], y.shape[-2] * channels)
        x, y = x.reshape(rows), y.reshape(rows)
        centre = centre[..., 0]
        fields = jnp.stack([x, y, x * x + y * y, x * y])
        mean_x, mean_y, squares, xy = _windowed(fields, kernel, channels)
        pixels = kernel.size**2
        scale = pixels / (pixels - 1) if self.sample_covariance else 1.0
        variances = scale * (squares - (mean_x * mean_x + mean_y * mean_y))
        covariance = scale * (xy - mean_x * mean_y)
        mean_x, mean_y = mean_x + centre, mean_y + centre
        largest = (self.max_value or 1.0) / self._unit
        c1, c2 = ((k * largest) ** 2 for k in (self.k1, self.k2))
        contrast = (2 * covariance + c2) / (variances + c2)
        means = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
        return _mean_of_rows(means * contrast), _mean_of_rows(contrast)

    def _kernel(self) -> np.ndarray:
        """Return the window along one axis."""
        if self.window == "uniform":
            return np.full(self._size, 1 / self._size, np.float32)
        offset = np.arange(self._size) - self._size // 2
        weight = np.exp(-0.5 * (offset / self.sigma) ** 2)
        return (weight / weight.sum()).astype(np.float32)


class MultiScaleSSIM(SSIM):
    """Structural similarity of images at several scales; the mean over images.

    `SSIM` at the coarsest scale and its factor of contrast at the others, each to a
    power, multiplied; from one scale to the next, images are averaged over 2 x 2
    pixels. In [0, 1], higher is better, nan without data: a negative factor counts as 0
    (as in torchmetrics with `normalize="relu"` and in TensorFlow). As Wang et al.
    (2003). Factors are averaged over the channels before they are multiplied, and over
    windows inside the image. The other arguments are those of `SSIM`.

    Args:
      betas: Power of each scale, from the finest. The default, of Wang et al., has five
        scales, for which images need at least 176 pixels along each axis.

    Example:
      >>> import jax.numpy as jnp
      >>> import jaxmetrics as jm
      >>> targets = jnp.linspace(0, 1, 2 * 32 * 32).reshape(2, 32, 32, 1)
      >>> metric = jm.MultiScaleSSIM(max_value=1.0, betas=(0.5, 0.5))
      >>> round(float(jm.evaluate(metric, preds=targets, targets=targets)), 4)
      1.0
    """

    higher_is_better: ClassVar[Direction] = True

    betas: tuple[float, ...] = _BETAS

    def validate(self) -> None:
        """Refuse powers that are not positive."""
        super().validate()
        if not self.betas or not all(beta > 0 for beta in self.betas):
            raise ValueError(
                f"MultiScaleSSIM: betas are {self.betas}, but must be positive, one "
                "for each scale. Leave them out for five scales."
            )

    def _of_images(self, preds: jax.Array, targets: jax.Array) -> jax.Array:
        value = jnp.ones(targets.shape[:-3], jnp.float32)
        x, y, centre = self._centred(preds, targets)
        for i, beta in enumerate(self.betas):
            if i:
                x, y = _halved(x), _halved(y)
            similarity, contrast = self._terms(x, y, centre)
            last = i == len(self.betas) - 1
            value = value * _power(similarity if last else contrast, beta)
        return value


def _power(factor: jax.Array, beta: float) -> jax.Array:
    """Return `max(factor, 0)^beta`, of slope 0 where the factor is not positive."""
    rises = ~(factor <= 0)  # a nan stays
    return jnp.where(rises, jnp.where(rises, factor, 1) ** beta, 0)


def _windowed(fields: jax.Array, kernel: np.ndarray, channels: int) -> list[jax.Array]:
    """Return weighted means of each field over the windows that lie inside images.

    A sum of shifted images along each axis: no convolution, which accelerators compute
    from operands of 16 bits. The sum along the height must be stored, and not be
    computed anew for each shift along the width. XLA:CPU ignores the barrier, but
    stores an array that one loop reads at more than 15 places, here at `kernel.size`
    places of each field: so the fields are one array.

    Args:
      fields: Float32 `[fields, ..., height, width * channels]`.
      kernel: Weights of the window along one axis.
      channels: Number of channels.
    """
    columns = lax.optimization_barrier(_shifted_sum(fields, kernel, -2, 1))
    return [_shifted_sum(x, kernel, -1, channels) for x in columns]


def _mean_of_rows(rows: jax.Array) -> jax.Array:
    """Return the means over the last two axes.

    XLA:CPU computes the operand of a product before the product, with vectors, but the
    operand of a sum inside its loop, one by one.
    """
    width = rows.shape[-1]
    ones = np.full((width,), 1 / width, np.float32)
    return jnp.dot(rows, ones, precision=lax.Precision.HIGHEST).mean(-1)


def _shifted_sum(
    rows: jax.Array, kernel: np.ndarray, axis: int, stride: int
) -> jax.Array:
    """Return the weighted sum of entries that are `stride` apart along an axis."""
    axis += rows.ndim
    length = rows.shape[axis] - (kernel.size - 1) * stride
    shifted = [
        weight * lax.slice_in_dim(rows, i * stride, i * stride + length, axis=axis)
        for i, weight in enumerate(kernel)
    ]
    return functools.reduce(jnp.add, shifted)


def _halved(images: jax.Array) -> jax.Array:
    """Return the means of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (n // 2 for n in images.shape[-3:-1])
    blocks = images[..., : 2 * height, : 2 * width, :]
    shape = (*images.shape[:-3], height, 2, width, 2, images.shape[-1])
    return blocks.reshape(shape).mean((-4, -2))
