"""Hausdorff distances, by hand and against SciPy."""

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, distance_transform_edt
from scipy.spatial.distance import directed_hausdorff

import jaxmetrics as jm


def distance(preds, labels, **options):
    metric = jm.HausdorffDistance(classes=2, scores="preds", **options)
    return float(jm.evaluate(metric, preds=preds, labels=labels))


def blobs(seed, shape):
    """Return two overlapping regions, int32 `[2, *shape]`."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    balls = []
    for _ in range(2):
        centre, radius = rng.uniform(0.3, 0.7, len(shape)) * shape, min(shape) / 3
        noise = rng.normal(0, 1, shape)
        balls.append(np.linalg.norm(place - centre, axis=-1) + noise < radius)
    return np.int32(balls)


@pytest.mark.parametrize("seed", range(5))
def test_of_whole_regions_it_is_scipys(seed):
    preds, labels = blobs(seed, (20, 24))
    a, b = np.argwhere(preds), np.argwhere(labels)
    right = max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0])
    assert distance(preds, labels, edges=False) == pytest.approx(right, rel=1e-6)


@pytest.mark.parametrize("percentile", [100, 95])
@pytest.mark.parametrize(
    ("shape", "spacing"), [((20, 24), (0.5, 2.0)), ((8, 10, 9), (3.0, 1.0, 0.7))]
)
def test_of_edges_it_is_that_of_distance_transforms(shape, spacing, percentile):
    pair = blobs(7, shape)
    edges = [(x == 1) & ~binary_erosion(x) for x in pair]
    apart = [
        distance_transform_edt(~other, sampling=spacing)[own]
        for own, other in (edges, edges[::-1])
    ]
    right = max(np.percentile(x, percentile) for x in apart)
    value = distance(*pair, spacing=spacing, percentile=percentile)
    assert value == pytest.approx(right, rel=1e-5)


def test_a_hole_has_an_edge_of_its_own():
    full = np.ones((5, 5), np.int32)
    holed = full.copy()
    holed[2, 2] = 0
    assert distance(full, holed) == 1
    assert distance(full, holed, edges=False) == 1
    assert distance(full, full) == 0


def test_a_region_on_one_side_only_is_left_out_and_reported():
    region, none = np.int32([[0, 1, 1]]), np.zeros((1, 3), np.int32)
    metric = jm.HausdorffDistance(classes=2, scores="preds")
    state = metric.update(
        preds=np.stack([region, none, region]), labels=np.stack([region, region, none])
    )
    assert state.compute() == 0
    assert state.diagnostics() == {"missed": 2}
    state = metric.update(preds=none, labels=none)
    assert np.isnan(state.compute()) and not state.diagnostics()


def test_impossible_settings_and_shapes_are_refused():
    with pytest.raises(ValueError, match="percentile is 0"):
        jm.HausdorffDistance(classes=2, percentile=0)
    with pytest.raises(ValueError, match="one number above 0 for each axis"):
        jm.HausdorffDistance(classes=2, spacing=(1.0, 0.0))
    with pytest.raises(ValueError, match=r"the last 3 axes must be those of an image"):
        distance([[0, 1]], [[0, 1]], spacing=(1.0, 1.0, 1.0))
