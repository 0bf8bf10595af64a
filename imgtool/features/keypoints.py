"""SIFT at keypoints, and pairs of images that show the same thing.

Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 60(2), 2004, as OpenCV computes it. Two
keypoints match when the nearest descriptor of the other image is clearly nearer than the second; of the matches those
count that one homography explains (RANSAC; Fischler and Bolles, 1981).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import float_array, image_array, real_number
from imgtool.errors import ImageError, ParameterError
from imgtool.features.sift import Descriptors, normalize
from imgtool.features.validation import require_finite
from imgtool.image.color import MAX_CHANNELS, to_gray
from imgtool.image.depth import convert_depth

RATIO = 0.75  # of the distances to the nearest and the second descriptor, below which a match is clear
TOLERANCE_PIXELS = 3.0  # pixels that a match may lie from where the homography puts it
_MIN_SIDE_PIXELS = 12  # pixels a side
_HOMOGRAPHY_PAIRS = 4  # pairs of points that settle one


@dataclass(frozen=True)
class Matches:
    """Matching keypoints of two images.

    left, right: (M, 2), x and y of each pair's points; inliers: (M) bool, those that the homography explains;
    homography: (3, 3), from left to right in homogeneous coordinates, None when the pairs settle none.
    """

    left: np.ndarray
    right: np.ndarray
    inliers: np.ndarray
    homography: np.ndarray | None


def sparse_sift(image: ArrayLike) -> Descriptors:
    """Find keypoints, and describe each by SIFT.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Floats in 0..1, bool, or integers; converted to 8 bits. Transparent images are seen on white; colors are
        converted to gray (Rec. 601).

    Returns
    -------
    Descriptors
        `frames` (N, 4): x, y, diameter in pixels, angle in degrees clockwise from the right; `values` (N, 128) float32
        of unit length; `norms` (N,): the keypoints' contrast. N is 0 if there are no keypoints.

    Raises
    ------
    ImageError
        The image is not valid, is smaller than 12 pixels a side, or contains NaN or infinity.

    Notes
    -----
    Lowe, IJCV 60(2), 2004, as OpenCV's `SIFT` computes it. Its numbers (0 to 255) are scaled to length 1, clipped
    at 0.2 and scaled again.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> imgtool.sparse_sift(np.zeros((32, 32), np.uint8)).values.shape
    (0, 128)
    """
    array = image_array(image, max_channels=MAX_CHANNELS)
    if min(array.shape[:2]) < _MIN_SIDE_PIXELS:
        size = f"{array.shape[1]}x{array.shape[0]}"
        raise ImageError(f"is {size} pixels; SIFT at keypoints needs {_MIN_SIDE_PIXELS}x{_MIN_SIDE_PIXELS}")
    gray = to_gray(array)
    if gray.dtype.kind == "f":  # integers are divided by what is white, however large
        require_finite(gray, "SIFT")
    found, values = cv2.SIFT.create().detectAndCompute(convert_depth(gray, "8"), None)
    frames = np.array([(*each.pt, each.size, each.angle) for each in found], np.float32).reshape(-1, 4)
    norms = np.array([each.response for each in found], np.float32)
    rows = np.zeros((0, 128), np.float32) if values is None else np.asarray(values, np.float32)
    normalize(rows)
    return Descriptors(frames, rows, norms)


def match(left: Descriptors, right: Descriptors, *, ratio: float = RATIO) -> Matches:
    """Match the keypoints of two images.

    Parameters
    ----------
    left, right : Descriptors
        As returned by `sparse_sift`: `frames` (N, 2 or more) and `values` (N, D).
    ratio : float
        The distance of a match must be below this share of the distance to the second nearest descriptor; above 0, at
        most 1.

    Returns
    -------
    Matches
        `left` and `right` (M, 2), the points of each pair; `inliers` (M,) bool, pairs that agree with the homography;
        `homography` (3, 3) from left to right, None if the pairs do not determine one.

    Raises
    ------
    ParameterError
        The ratio is out of range, or the descriptors are not matrices of the same width.

    Notes
    -----
    Lowe's ratio test, then RANSAC (Fischler and Bolles, 1981); inliers lie within 3 pixels of where the homography maps
    them. Each right keypoint is in at most one pair, that with its nearest left keypoint.

    Examples
    --------
    >>> import numpy as np
    >>> import imgtool
    >>> image = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8).repeat(8, 0).repeat(8, 1)
    >>> found = imgtool.sparse_sift(image)
    >>> pairs = imgtool.match(found, found)
    >>> np.allclose(pairs.homography, np.eye(3), atol=1e-6)
    True
    """
    ratio = real_number(ratio, "ratio")
    if not 0 < ratio <= 1:
        raise ParameterError(f"ratio must be above 0 and up to 1, got {ratio}")
    for each in (left, right):
        if not (hasattr(each, "values") and hasattr(each, "frames")):
            raise ParameterError(
                f"descriptors have values and frames, as sparse_sift returns them, unlike {type(each)}"
            )
    values = [np.asarray(float_array(each.values, "values", dimensions=2), np.float32) for each in (left, right)]
    frames = [float_array(each.frames, "frames", dimensions=2) for each in (left, right)]
    if values[0].shape[1] != values[1].shape[1] or any(map(_differ_in_rows, frames, values)):
        shapes = ", ".join(f"{each.shape}" for each in (*frames, *values))
        raise ParameterError(f"descriptors that are matched have equal lengths and a frame each, got {shapes}")
    pairs = _pairs(values[0], values[1], ratio)
    from_points, to_points = frames[0][pairs[:, 0], :2], frames[1][pairs[:, 1], :2]
    homography, inliers = None, np.zeros(len(pairs), bool)
    if len(pairs) >= _HOMOGRAPHY_PAIRS:
        homography, mask = cv2.findHomography(from_points, to_points, cv2.RANSAC, TOLERANCE_PIXELS)
        inliers = inliers if homography is None else np.asarray(mask).ravel() > 0
    return Matches(from_points, to_points, inliers, homography)


def _differ_in_rows(frames: np.ndarray, values: np.ndarray) -> bool:
    """Tell whether there are other than one frame for each descriptor, or frames without x and y."""
    return len(frames) != len(values) or frames.shape[1] < 2


def _pairs(left: np.ndarray, right: np.ndarray, ratio: float) -> np.ndarray:
    """Return (M, 2) rows of left and right, in the order of left."""
    if not len(left) or len(right) < 2:
        return np.zeros((0, 2), np.intp)
    nearest = cv2.BFMatcher(cv2.NORM_L2).knnMatch(left, right, k=2)
    clear = [first for first, second in nearest if first.distance < ratio * second.distance]
    best: dict[int, cv2.DMatch] = {}
    for each in clear:
        if each.trainIdx not in best or each.distance < best[each.trainIdx].distance:
            best[each.trainIdx] = each
    pairs = sorted((each.queryIdx, each.trainIdx) for each in best.values())
    return np.array(pairs, np.intp).reshape(-1, 2)
