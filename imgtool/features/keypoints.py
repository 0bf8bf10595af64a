"""SIFT at keypoints, and pairs of images that show the same thing.

Lowe, "Distinctive image features from scale-invariant keypoints", IJCV 60(2), 2004, as OpenCV computes it. Two
keypoints match when the nearest descriptor of the other image is clearly nearer than the second; of the matches those
count that one homography explains (RANSAC; Fischler and Bolles, 1981).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from imgtool.errors import ImageError, ParameterError
from imgtool.features.sift import Descriptors, normalize
from imgtool.features.validation import require_finite
from imgtool.image.color import to_gray
from imgtool.image.pixels import convert_depth

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


def sparse_sift(image: np.ndarray) -> Descriptors:
    """Return the keypoints: frames (N, 4): x, y, diameter in pixels, angle in degrees clockwise from the right.

    image: (height, width[, channels]); gray of colors (Rec. 601), in 8 bits; floats are taken as 0..1. values: (N, 128)
    of unit length; norms: the keypoints' contrast (OpenCV's response). Raises ImageError for NaN, infinity and images
    smaller than 12 pixels a side. No keypoints give no rows.
    """
    if min(image.shape[:2]) < _MIN_SIDE_PIXELS:
        size = f"{image.shape[1]}x{image.shape[0]}"
        raise ImageError(f"is {size} pixels; SIFT at keypoints needs {_MIN_SIDE_PIXELS}x{_MIN_SIDE_PIXELS}")
    require_finite(image, "SIFT")
    found, values = cv2.SIFT.create().detectAndCompute(convert_depth(to_gray(image), "8"), None)
    frames = np.array([(*each.pt, each.size, each.angle) for each in found], np.float32).reshape(-1, 4)
    norms = np.array([each.response for each in found], np.float32)
    rows = np.zeros((0, 128), np.float32) if values is None else np.asarray(values, np.float32)
    normalize(rows)
    return Descriptors(frames, rows, norms)


def match(left: Descriptors, right: Descriptors, *, ratio: float = RATIO) -> Matches:
    """Return the pairs that pass Lowe's ratio test, and the homography on which most of them agree.

    ratio: a match's distance is below this share of that to the second nearest descriptor. Each right keypoint stands
    in one pair at most, that of its nearest left one.
    """
    if not 0 < ratio <= 1:
        raise ParameterError(f"ratio must be above 0 and up to 1, got {ratio}")
    pairs = _pairs(left.values, right.values, ratio)
    from_points, to_points = left.frames[pairs[:, 0], :2], right.frames[pairs[:, 1], :2]
    homography, inliers = None, np.zeros(len(pairs), bool)
    if len(pairs) >= _HOMOGRAPHY_PAIRS:
        homography, mask = cv2.findHomography(from_points, to_points, cv2.RANSAC, TOLERANCE_PIXELS)
        inliers = inliers if homography is None else np.asarray(mask).ravel() > 0
    return Matches(from_points, to_points, inliers, homography)


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
