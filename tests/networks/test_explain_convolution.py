"""A layer of convolutions is explained by the numbers of SciPy and PyTorch, and its three ways agree."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import imgtool
from imgtool.errors import ParameterError
from imgtool.networks import explain_convolution as module
from imgtool.networks.explain_convolution import WAYS

SMALL = {
    "shape": st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)), "kernel": st.integers(1, 5),
    "outputs": st.integers(1, 3), "stride": st.integers(1, 4), "padding": st.integers(0, 3),
    "seed": st.integers(0, 99),
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _one_run_of_each_way():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TIMED_SECONDS", 0)
        yield


@given(**SMALL)
@settings(max_examples=60)
def test_the_result_is_scipys_and_all_ways_give_it(shape, kernel, outputs, stride, padding, seed):
    assume(min(shape[1:]) + 2 * padding >= kernel)
    found = imgtool.explain_convolution(
        shape, kernel=kernel, outputs=outputs, stride=stride, padding=padding, seed=seed
    )
    padded = np.pad(found.image, ((0, 0), (padding, padding), (padding, padding)))
    expected = np.stack([
        sum(scipy.signal.correlate2d(plane, taps, mode="valid") for plane, taps in zip(padded, each, strict=True))
        for each in found.weights
    ])[:, ::stride, ::stride]  # fmt: skip
    np.testing.assert_array_equal(found.result, expected)
    assert found.result.shape[1:] == tuple((side + 2 * padding - kernel) // stride + 1 for side in shape[1:])
    for name, way in WAYS.items():
        np.testing.assert_allclose(way(found.image, found.weights, stride, padding), expected, atol=1e-10, err_msg=name)
        assert found.seconds[name] > 0
    assert found.largest_difference < 1e-10
    assert found.multiply_adds == expected.size * shape[0] * kernel**2
    np.testing.assert_array_equal(found.product, found.weights.reshape(outputs, -1) @ found.columns)
    np.testing.assert_array_equal(found.product.reshape(expected.shape), expected)


def test_the_matrix_of_windows_is_pytorchs():
    torch = pytest.importorskip("torch", reason="needs the extra 'torch'")
    found = imgtool.explain_convolution((3, 7, 8), kernel=3, stride=2, padding=1)
    image = torch.from_numpy(found.image)[None]
    expected = torch.nn.functional.unfold(image, 3, padding=1, stride=2)[0].numpy()
    np.testing.assert_array_equal(found.columns, expected)
    result = torch.nn.functional.conv2d(image, torch.from_numpy(found.weights), stride=2, padding=1)[0].numpy()
    np.testing.assert_array_equal(found.result, result)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kernel": 6}, "a window of 6 does not fit into 5"), ({"shape": (5, 5)}, "channels, rows and columns"),
        ({"shape": (1, 0, 5)}, "shape"), ({"stride": 0}, "stride must be"), ({"padding": -1}, "padding must be"),
        ({"shape": (64, 1000, 1000), "outputs": 64}, "multiply-adds"), ({"shape": (1, 2**40, 9)}, "shape must be"),
        ({"outputs": 2.5}, "outputs must be a whole number"), ({"shape": "1x5x5"}, "shape must be"),
    ],
)  # fmt: skip
def test_what_cannot_be_computed_is_refused_before_it_is(wrong, said):
    with pytest.raises(ParameterError, match=said):
        imgtool.explain_convolution(**wrong)
