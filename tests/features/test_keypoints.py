"""SIFT at keypoints against OpenCV itself; matches of an image with a known transformation of it."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from imgtool.errors import ImageError, ParameterError
from imgtool.features.keypoints import match, sparse_sift
from imgtool.features.sift import Descriptors
from locations import REFERENCE

IMAGES = np.load(REFERENCE / "images.npz")

CAMERA, COFFEE = IMAGES["camera_256"], IMAGES["coffee_200x300"]


def test_keypoints_are_opencvs():
    found = sparse_sift(CAMERA)
    keypoints, values = cv2.SIFT_create().detectAndCompute(CAMERA, None)
    assert len(found.frames) == len(keypoints) > 200
    np.testing.assert_array_equal(found.frames[:, :2], [each.pt for each in keypoints])
    np.testing.assert_array_equal(found.frames[:, 2:], [(each.size, each.angle) for each in keypoints])
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    again = np.minimum(values / lengths, 0.2)  # OpenCV rounds to whole numbers; lengths and the cut are taken again
    np.testing.assert_allclose(found.values, again / np.linalg.norm(again, axis=1, keepdims=True), atol=1e-6)


def test_angles_grow_clockwise():
    turned = sparse_sift(np.ascontiguousarray(np.rot90(CAMERA, -1)))  # a quarter turn clockwise
    found = sparse_sift(CAMERA)
    places = np.column_stack([255 - found.frames[:, 1], found.frames[:, 0]])
    distances = np.linalg.norm(places[:, None] - turned.frames[None, :, :2], axis=2)
    nearest, near = distances.argmin(axis=1), distances.min(axis=1) < 0.6  # OpenCV's places are off by 1/4
    assert near.mean() > 0.8
    turn = (turned.frames[nearest, 3] - found.frames[:, 3])[near] % 360
    assert (np.abs(turn - 90) < 3).mean() > 0.7  # a place may have several keypoints of other angles


def test_colors_and_depths_are_one_picture():
    gray = sparse_sift(CAMERA)
    for same in (np.dstack([CAMERA] * 3), CAMERA.astype(np.uint16) * 257, CAMERA / 255):
        np.testing.assert_array_equal(sparse_sift(same).values, gray.values)


def transformed(image, matrix):
    return cv2.warpPerspective(image, matrix, image.shape[1::-1], flags=cv2.INTER_CUBIC, borderValue=128)


@pytest.mark.parametrize("degrees", [0, 20, 90, 170])
@pytest.mark.parametrize("zoom", [0.7, 1.0, 1.3])
def test_matches_find_a_known_homography(degrees, zoom):
    matrix = np.vstack([cv2.getRotationMatrix2D((150, 100), -degrees, zoom), [0, 0, 1]])
    matrix[2, :2] = (2e-4, -1e-4)
    found = match(sparse_sift(COFFEE), sparse_sift(transformed(COFFEE, matrix)))
    assert found.inliers.sum() >= 20
    corners = np.array([[[50.0, 50.0], [250, 50], [250, 150], [50, 150]]])
    expected, actual = (cv2.perspectiveTransform(corners, each) for each in (matrix, found.homography))
    assert np.abs(actual - expected).max() < 2  # pixels
    assert found.homography[2, 2] == pytest.approx(1)


def test_another_picture_has_few_inliers():
    found = match(sparse_sift(COFFEE), sparse_sift(CAMERA))
    assert found.inliers.sum() < 10


def test_a_right_keypoint_stands_in_one_pair():
    rng = np.random.default_rng(0)
    right = np.abs(rng.standard_normal((5, 128))).astype(np.float32)
    left = np.repeat(right, 2, axis=0) + np.tile([[0.002], [0.001]], (5, 1)).astype(np.float32)
    frames = np.arange(10, dtype=np.float32)[:, None] + np.zeros(4, np.float32)
    found = match(Descriptors(frames, left, frames[:, 0]), Descriptors(frames[:5], right, frames[:5, 0]))
    assert found.left[:, 0].tolist() == [1, 3, 5, 7, 9]
    assert found.right[:, 0].tolist() == [0, 1, 2, 3, 4]


def test_too_few_keypoints_settle_nothing():
    flat = sparse_sift(np.full((40, 40), 9, np.uint8))
    assert flat.values.shape == (0, 128)
    assert flat.frames.shape == (0, 4)
    found = match(flat, sparse_sift(CAMERA))
    assert (len(found.left), found.homography) == (0, None)
    assert match(sparse_sift(CAMERA), flat).homography is None


@given(hnp.arrays(np.float32, (16, 15), elements={"allow_nan": True}))
@settings(max_examples=25)
def test_any_floats_give_numbers_or_one_error(image):
    try:
        assert np.isfinite(sparse_sift(image).values).all()
    except ImageError as error:
        assert "NaN" in str(error) or "1e+15" in str(error)  # noqa: PT017


def test_what_cannot_be_described_is_refused():
    with pytest.raises(ImageError, match=r"11x40.*12x12"):
        sparse_sift(np.zeros((40, 11)))
    with pytest.raises(ParameterError, match="ratio"):
        match(sparse_sift(CAMERA), sparse_sift(CAMERA), ratio=0)
