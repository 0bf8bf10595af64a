"""Row D4 of docs/reliability.md: flat, tiny, huge-valued and NaN images, for every descriptor."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from imgtool.classifiers.embedding import Embedding
from imgtool.classifiers.registry import open_model
from imgtool.errors import ImgtoolError
from imgtool.features.dalal_triggs import dalal_triggs
from imgtool.features.encoding import encode
from imgtool.features.gist import gist
from imgtool.features.hog import hog
from imgtool.features.keypoints import sparse_sift
from imgtool.features.phow import phow
from imgtool.features.sift import dense_sift, root
from imgtool.features.uoctti import uoctti, vlfeat_dalal_triggs


@functools.cache
def codebook():
    return open_model("sift-fv-svm").codebook


@functools.cache
def lenet():
    return Embedding.of("lenet@mnist")


DESCRIPTORS = {
    "embed": lambda image: lenet()(image),
    "hog": functools.partial(hog, cell=4, block=1),
    **{f"hog {norm}": functools.partial(hog, cell=4, norm=norm) for norm in ("L1", "L1-sqrt", "L2", "none")},
    "hog sqrt": functools.partial(hog, cell=4, sqrt=True),
    "dalal-triggs": functools.partial(dalal_triggs, cell=4),
    "uoctti": functools.partial(uoctti, cell=4),
    "vlfeat-dalal-triggs": functools.partial(vlfeat_dalal_triggs, cell=4),
    "gist": functools.partial(gist, size=32),
    "gist color": functools.partial(gist, size=32, color=True),
    "sift": lambda image: dense_sift(image).values,
    "sift flat window": lambda image: dense_sift(image, window="flat").values,
    "root sift": lambda image: root(dense_sift(image).values),
    "phow": lambda image: phow(image, sizes=(4, 6)).values,
    "keypoints": lambda image: sparse_sift(image).values,
    **{name: lambda image, name=name: encode(image, codebook(), encoding=name) for name in ("fisher", "vlad", "bow")},
}
SPECIAL = [0.0, -0.0, 1.0, -1.0, 1e-45, 1e-38, 1e-300, 255.0, 1e6, 1e15, 1e19, 3e38, 1e300, np.inf, -np.inf, np.nan]


@st.composite
def images(draw):
    """Draw an image of some type, size and number of channels, flat or with a few pixels that are not."""
    dtype = draw(st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 40)), *draw(st.sampled_from([(), (1,), (2,), (3,), (4,)])))
    if np.dtype(dtype).kind == "u":
        values = st.sampled_from([0, 1, np.iinfo(dtype).max])
    else:
        with np.errstate(over="ignore"):
            values = st.sampled_from([float(dtype(each)) for each in SPECIAL])
    return draw(npst.arrays(dtype, shape, elements=values, fill=values))


@pytest.mark.parametrize("name", DESCRIPTORS)
@given(image=images())
@settings(max_examples=60)
def test_D4_a_descriptor_is_finite_or_an_error_says_why(name, image):
    values, reason = np.zeros(0), "."
    try:
        values = DESCRIPTORS[name](image)
    except ImgtoolError as error:
        reason = str(error)
    assert len(reason.splitlines()) == 1
    assert np.isfinite(values).all()


@pytest.mark.parametrize("name", [name for name in DESCRIPTORS if name not in ("uoctti", "embed")])
@pytest.mark.parametrize("value", [0, 1, 255, 0.1, 1e-30, 1e14])
def test_D4_a_flat_image_gives_zeros(name, value):
    dtype = np.uint8 if isinstance(value, int) else np.float64
    values = DESCRIPTORS[name](np.full((48, 40, 3), value, dtype))
    assert not np.any(values)
