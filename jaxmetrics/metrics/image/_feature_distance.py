"""Distances between the features of generated images and those of real ones."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxmetrics.core import (
    Array,
    Direction,
    Metric,
    buffer_leaf,
    count_leaf,
    count_where,
    divide,
    mask_like,
    mean_and_covariance,
    moments_leaf,
    moments_of_sums,
    namespace,
    require_host,
)

_BLOCK = 1024  # rows of the matrix of kernels that are computed at a time


class FrechetDistance(Metric):
    """Distance of two sets of features as normal distributions (FID); lower is better.

    `|m1 - m2|^2 + trace(C1 + C2 - 2 sqrt(C1 C2))` with the mean and the covariance
    (`ddof=1`) of the rows of `features` and of `reference_features`, at least 0; nan
    with fewer than two rows of either. As Heusel et al. (2017) and pytorch-fid, where
    the features are those of an Inception network, which is not part of this package.
    Values compare only for the same network, preprocessing and number of images: the
    estimate is biased upwards by the order of `1 / rows`.

    Reads `features` and `reference_features`, real `[..., size]`. Either may be left
    out of an update, so that the reference is read once. With both, a `mask` has the
    leading axes of each. A row with a NaN or an infinity is left out and counted in
    `invalid`.

    Means and covariances are merged about a common centre, so that nothing cancels at
    an offset, with an error of at most 1e-6 of the largest variance, for features whose
    deviations are between 1e-16 and 1e18. The root is that
    of float64, `trace(sqrt(C1 C2)) = sum(sqrt(eigenvalues of sqrt(C1) C2 sqrt(C1)))`.
    Directions in which one set has no variance (as with fewer rows than `size`) each
    add an error of up to 1e-3 of the largest variance. `compute` runs on the host only.
    The state takes `48 size^2` bytes: 201 MB for 2048 features.

    Args:
      size: Number of features.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.FrechetDistance(size=1)
      >>> generated, real = [[1.0], [3.0]], [[2.0], [8.0]]
      >>> value = jm.evaluate(metric, features=generated, reference_features=real)
      >>> round(float(value), 4)  # 3^2 + (sqrt(2) - sqrt(18))^2
      17.0
    """

    higher_is_better: ClassVar[Direction] = False

    size: int = dataclasses.field(kw_only=True)
    sums: Any = moments_leaf("size size")
    reference_sums: Any = moments_leaf("size size")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse a size below 1."""
        _check_size("FrechetDistance", self.size)

    def observe(
        self, *, features: Any = None, reference_features: Any = None, mask: Any = None
    ) -> dict[str, Any]:
        """Return the batch's moments of both sets, and rows that are not finite."""
        sets = _two_sets(
            "FrechetDistance", features, reference_features, self.size, mask
        )
        (own, valid, invalid), (reference, reference_valid, more_invalid) = sets
        return dict(
            sums=moments_of_sums(own, valid),
            reference_sums=moments_of_sums(reference, reference_valid),
            invalid=invalid + more_invalid,
        )

    def compute(self) -> Any:
        """Return the distance, in the squared unit of the features."""
        require_host(self, "the root of a matrix needs float64")
        mean, covariance = mean_and_covariance(self.sums, ddof=1)
        mean_2, covariance_2 = mean_and_covariance(self.reference_sums, ddof=1)
        traces = [np.trace(x, axis1=-2, axis2=-1) for x in (covariance, covariance_2)]
        distance = ((mean - mean_2) ** 2).sum(-1) + traces[0] + traces[1]
        known = np.isfinite(distance)
        covariance, covariance_2 = (
            np.where(known[..., None, None], x, 0) for x in (covariance, covariance_2)
        )
        values, vectors = np.linalg.eigh(covariance)
        scaled = vectors * np.sqrt(np.maximum(values, 0))[..., None, :]
        root = scaled @ np.swapaxes(vectors, -1, -2)
        eigenvalues = np.linalg.eigvalsh(root @ covariance_2 @ root)
        shared = np.sqrt(np.maximum(eigenvalues, 0)).sum(-1)
        return np.where(known, np.maximum(distance - 2 * shared, 0), np.nan)[()]


class KernelDistance(Metric):
    """Squared maximum mean discrepancy of two sets of features (KID); lower is better.

    The unbiased estimate with k(x, y) = `(gamma x . y + coefficient)^degree`: the mean
    of k over pairs of different rows of `features`, plus that of `reference_features`,
    less twice that over pairs of both. Around 0, and below it by chance, if both sets
    come from one distribution; nan with fewer than two rows of either. As Binkowski et
    al. (2018), but over all rows, where they and torchmetrics average over random
    subsets: the expected value is the same, without the noise of the subsets. The
    kernel is not invariant to a shift of the features.

    Reads `features` and `reference_features`, real `[..., size]`. Either may be left
    out of an update. With both, a `mask` has the leading axes of each. A row with a NaN
    or an infinity is left out and counted in `invalid`.

    All rows are kept, and computing takes `rows^2 size` operations: float64 on the
    host, float32 under jit, where the error is 1e-5 of the largest of the three means.
    The state takes `8 capacity size` bytes. Reading more than `capacity` rows of a set
    is an error on the host and gives nan under jit.

    Args:
      size: Number of features.
      capacity: Number of rows of each set to keep.
      degree: Degree of the kernel. Default 3.
      gamma: Factor of the scalar product; None (the default) is `1 / size`.
      coefficient: Constant term of the kernel. Default 1.

    Example:
      >>> import jaxmetrics as jm
      >>> metric = jm.KernelDistance(size=1, capacity=8)
      >>> generated, real = [[1.0], [1.0]], [[0.0], [0.0]]
      >>> value = jm.evaluate(metric, features=generated, reference_features=real)
      >>> float(value)  # 2^3 + 1 - 2
      7.0
    """

    higher_is_better: ClassVar[Direction] = False

    size: int = dataclasses.field(kw_only=True)
    capacity: int = dataclasses.field(kw_only=True)
    degree: int = dataclasses.field(default=3, kw_only=True)
    gamma: float | None = dataclasses.field(default=None, kw_only=True)
    coefficient: float = dataclasses.field(default=1.0, kw_only=True)
    rows: Array = buffer_leaf("capacity", "size")
    reference_rows: Array = buffer_leaf("capacity", "size")
    invalid: Array = count_leaf()

    def validate(self) -> None:
        """Refuse sizes and a degree below 1, and a kernel of nan."""
        _check_size("KernelDistance", self.size)
        if math.isnan((self.gamma or 0.0) + self.coefficient):
            raise ValueError(
                f"KernelDistance: gamma is {self.gamma} and coefficient "
                f"{self.coefficient}, but must be numbers. Leave them out for the "
                "defaults."
            )
        if self.capacity < 1 or self.degree < 1:
            raise ValueError(
                "KernelDistance: capacity and degree must be at least 1, got "
                f"capacity={self.capacity}, degree={self.degree}. Set capacity to the "
                "number of rows of the larger set."
            )

    def observe(
        self, *, features: Any = None, reference_features: Any = None, mask: Any = None
    ) -> dict[str, Any]:
        """Return the batch's rows of both sets, and rows that are not finite."""
        sets = _two_sets(
            "KernelDistance", features, reference_features, self.size, mask
        )
        (own, valid, invalid), (reference, reference_valid, more_invalid) = sets
        return dict(
            rows=(own, valid),
            reference_rows=(reference, reference_valid),
            invalid=invalid + more_invalid,
        )

    def compute(self) -> Any:
        """Return the estimate, in no unit."""
        xp = namespace(self)
        x, y = (
            xp.moveaxis(xp.asarray(rows), 0, -2)
            for rows in (self.rows, self.reference_rows)
        )
        if xp is jnp:
            return self._estimate(x, y)
        # One state after another without its empty rows, so that an ensemble has the
        # bits of its members.
        value = np.empty(x.shape[:-2])
        for i in np.ndindex(value.shape):
            value[i] = self._estimate(*(z[i][~np.isnan(z[i][:, 0])] for z in (x, y)))
        return value[()]

    def _estimate(self, x: Any, y: Any) -> Any:
        own, reference = self._mean_kernel(x, x, True), self._mean_kernel(y, y, True)
        return own + reference - 2 * self._mean_kernel(x, y, False)

    def _mean_kernel(self, x: Any, y: Any, same: bool) -> Any:
        """Return the mean over pairs of rows, of different rows if both are the same.

        Rows that hold nothing are nan.
        """
        xp = namespace(self)
        in_x, in_y = (~xp.isnan(z[..., 0]) for z in (x, y))
        x, y = (xp.where(xp.isnan(z), xp.zeros_like(z), z) for z in (x, y))
        gamma = 1 / self.size if self.gamma is None else self.gamma
        columns = xp.swapaxes(y, -1, -2)
        sum_of_kernels = xp.zeros(x.shape[:-2], x.dtype)
        for start in range(0, x.shape[-2], _BLOCK):
            block = x[..., start : start + _BLOCK, :]
            if xp is np:
                products = block @ columns
            else:
                products = jnp.matmul(block, columns, precision="highest")
            kernels = (gamma * products + self.coefficient) ** self.degree
            pair = in_x[..., start : start + _BLOCK, None] & in_y[..., None, :]
            if same:
                row = np.arange(start, start + block.shape[-2])[:, None]
                pair = pair & (row != np.arange(y.shape[-2])[None])
            kernels = xp.where(pair, kernels, xp.zeros_like(kernels))
            sum_of_kernels = sum_of_kernels + kernels.sum((-2, -1))
        m, n = (z.astype(x.dtype).sum(-1) for z in (in_x, in_y))
        return divide(sum_of_kernels, m * (n - 1 if same else n))


def _check_size(metric: str, size: int) -> None:
    if size < 1:
        raise ValueError(
            f"{metric}: size is {size}, but must be at least 1. Set it to the number "
            "of features, the length of the last axis."
        )


def _two_sets(
    metric: str, features: Any, reference_features: Any, size: int, mask: Any
) -> list[tuple[Any, Any, Any]]:
    """Return rows, where they are finite and not masked, and the number of others.

    Raises:
      TypeError: Both sets are missing.
      ValueError: Rows have another length.
    """
    if features is None and reference_features is None:
        raise TypeError(
            f"{metric} needs output 'features' or 'reference_features'. Pass both, or "
            "each set in updates of its own."
        )
    sets = []
    for name, rows in (
        ("features", features),
        ("reference_features", reference_features),
    ):
        if rows is None:
            empty = jnp.zeros((1, size), jnp.float32)
            sets.append((empty, jnp.zeros(1, bool), jnp.uint32(0)))
            continue
        rows = jnp.asarray(rows).astype(jnp.float32)
        if rows.shape[-1:] != (size,):
            raise ValueError(
                f"{metric}: {name} have shape {rows.shape}, but their last axis must "
                f"have length {size}. Set size=... to the number of features."
            )
        finite = jnp.isfinite(rows).all(axis=-1)
        counted = mask_like(finite, mask)
        sets.append((rows, finite & counted, count_where(~finite, counted)))
    return sets
