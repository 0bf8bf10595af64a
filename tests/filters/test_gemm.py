"""The convolution of networks against PyTorch, and its transpose against its definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.filters.convolve import convolve
from imgtool.filters.engine.gemm import col2im, correlate_batch, im2col

pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
layers = st.fixed_dictionaries(
    {
        "size": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "stride": pairs | st.integers(1, 4),
        "padding": st.tuples(st.integers(0, 3), st.integers(0, 3)) | st.integers(0, 3),
        "dilation": pairs | st.integers(1, 3),
    }
)


@given(layers, st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_equals_pytorchs_convolution(layer, n, channels, kernels, seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    size = layer.pop("size")
    reach = [(k - 1) * d + 1 for k, d in zip(size, np.broadcast_to(layer["dilation"], 2), strict=True)]
    images = rng.standard_normal((n, channels, *(side + rng.integers(0, 9) for side in reach)))
    weights = rng.standard_normal((kernels, channels, *size))
    expected = torch.nn.functional.conv2d(torch.from_numpy(images), torch.from_numpy(weights), **layer).numpy()
    np.testing.assert_allclose(correlate_batch(images, weights, **layer), expected, rtol=0, atol=1e-12)


@given(layers, st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_col2im_is_the_transpose_of_im2col(layer, seed):
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((2, 3, 13, 11))
    columns = im2col(images, **layer)
    other = rng.standard_normal(columns.shape)
    back = col2im(other, images.shape, **layer)
    assert np.vdot(columns, other) == pytest.approx(np.vdot(images, back))


def test_a_layer_is_the_method_gemm():
    rng = np.random.default_rng(0)
    image, kernel = rng.random((17, 23)), rng.standard_normal((3, 5))
    layer = correlate_batch(image[None, None], kernel[None, None], padding=(1, 2))[0, 0]
    np.testing.assert_allclose(
        convolve(image, kernel, border="clip", method="gemm", correlate=True), layer, rtol=0, atol=1e-13
    )


def test_a_large_kernel_is_laid_out_in_parts():
    rng = np.random.default_rng(0)
    image, kernel = rng.random((40, 300)), rng.standard_normal((90, 70))
    actual = convolve(image, kernel, method="gemm")
    np.testing.assert_allclose(actual, convolve(image, kernel, method="fft"), rtol=0, atol=1e-10)
