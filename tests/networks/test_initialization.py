"""First weights: variances, one generator for each tensor, statistics of batch normalization."""

import numpy as np
import pytest

from imgtool.networks.declaration import BatchNorm, Conv, Flatten, Identity, Linear, ReLU, Sequence, Sum
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.lenet import lenet
from imgtool.networks.numpy_backend import NumpyNetwork


def test_weights_have_hes_variance_and_no_bias():
    network = Sequence(
        conv=Conv(8, 64, 5), groups=Conv(64, 64, 5, groups=8), fc1=Linear(600, 300), thin=Linear(300, 300, 100),
        fc2=Linear(300, 200),
    )  # fmt: skip
    arrays = draw_arrays(network, 0)
    variances = {"conv.weight": 2 / 200, "groups.weight": 2 / 200, "fc1.weight": 2 / 600, "thin.right": 1 / 300,
                 "thin.left": 2 / 100, "fc2.weight": 1 / 300}  # fmt: skip
    for name, variance in variances.items():
        assert arrays[name].dtype == np.float32
        assert arrays[name].var() == pytest.approx(variance, rel=0.05)
        assert abs(arrays[name].mean()) < 0.05 * variance**0.5
    assert not any(array.any() for name, array in arrays.items() if name.endswith("bias"))


def test_the_seed_and_the_name_decide():
    first, again, other = (draw_arrays(lenet(), seed) for seed in (1, 1, 2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert name.endswith("bias") or not np.array_equal(array, other[name])
    # Other classes change the last layer alone.
    for name, array in draw_arrays(lenet(3), 1).items():
        assert name.startswith("fc3") or np.array_equal(array, first[name])
    twins = draw_arrays(Sequence(a=Linear(5, 5), b=Linear(5, 5), c=Linear(5, 5)), 0)
    assert not np.array_equal(twins["a.weight"], twins["b.weight"])


def deep(blocks=12):
    """A residual network whose activations double their variance in every block."""

    def block():
        body = Sequence(conv=Conv(8, 8, 3, padding=1, bias=False), bn=BatchNorm(8))
        return Sequence(Sum(body, Identity()), ReLU())

    return Sequence(Conv(3, 8, 3), *[block() for _ in range(blocks)], Flatten(), Linear(8 * 4 * 4, 5))


def test_statistics_are_those_of_a_pass_of_random_images():
    network = deep()
    arrays = draw_arrays(network, 0, (3, 6, 6))
    assert all((array == 1).all() for name, array in arrays.items() if name.endswith("bn.weight"))
    rng = np.random.default_rng(9)
    x = rng.standard_normal((64, 3, 6, 6)) + rng.standard_normal((64, 3, 1, 1))
    for name in [name for name in arrays if name.endswith("running_var")]:
        assert not (arrays[name] == 1).any()
    free = {name: array.astype(np.float64) for name, array in arrays.items()}
    NumpyNetwork(network, free).set_statistics(x)
    for name, array in arrays.items():
        if name.endswith("running_var"):
            assert 1 / 3 < np.median(array / free[name]) < 3, name


def test_without_a_shape_statistics_are_0_and_1():
    arrays = draw_arrays(deep(), 0)
    assert not any(array.any() for name, array in arrays.items() if name.endswith("running_mean"))
    assert all((array == 1).all() for name, array in arrays.items() if name.endswith("running_var"))
