"""The table of a network's layers: sums, published figures, and receptive fields against what outputs depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.networks import declaration as declared
from imgtool.networks.alexnet import alexnet
from imgtool.networks.declaration import AvgPool, BatchNorm, Concat, Conv, Identity, MaxPool, ReLU, Sequence, Sum
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.lenet import lenet
from imgtool.networks.numpy_backend import NumpyNetwork
from imgtool.networks.resnet import basic_block, resnet
from imgtool.networks.summary import COSTS, advance, start, summary


def test_rows_add_up():
    rows = summary(lenet(), (3, 32, 32))
    assert rows[0] == {
        "layer": "conv1",
        "kind": "Conv",
        "output": "6x28x28",
        "kernel": 5,
        "stride": 1,
        "padding": 0,
        "parameters": 456,
        "multiply-adds": 352_800,
        "memory": 4 * (6 * 28 * 28 + 456),
        "receptive-field": 5,
    }
    assert rows[-1]["parameters"] == 62_006
    assert rows[-1]["multiply-adds"] == 651_720
    for cost in COSTS:
        assert rows[-1][cost] == sum(row[cost] for row in rows[:-1])
    assert all(list(row) == list(rows[0]) for row in rows)


def test_a_tree_counts_branches_once():
    network = Sequence(
        first=basic_block(4, 6, 1), last=Sequence(Concat(Identity(), same=Conv(6, 2, 3, padding="same", groups=2)))
    )
    rows = summary(network, (4, 5, 6))
    assert [(row["layer"], row["kind"], row["output"]) for row in rows] == [
        ("first.conv1", "Conv", "6x5x6"),
        ("first.bn1", "BatchNorm", "6x5x6"),
        ("first.relu", "ReLU", "6x5x6"),
        ("first.conv2", "Conv", "6x5x6"),
        ("first.bn2", "BatchNorm", "6x5x6"),
        ("first.downsample.0", "Conv", "6x5x6"),
        ("first.downsample.1", "BatchNorm", "6x5x6"),
        ("first.sum", "Sum", "6x5x6"),
        ("first.relu", "ReLU", "6x5x6"),
        ("last.same", "Conv", "2x5x6"),
        ("last.0", "Concat", "8x5x6"),
        ("all", "", ""),
    ]
    assert [row["padding"] for row in rows if row["kind"] == "Conv"] == [1, 1, 0, "same"]
    assert all(row[cost] == 0 for row in rows if row["kind"] in ("Sum", "Concat") for cost in COSTS)
    assert rows[-1]["parameters"] == network.parameters()
    assert rows[-1]["multiply-adds"] == network.multiply_adds((4, 5, 6))
    assert rows[7]["receptive-field"] == 5  # of the body, which sees more than the shortcut


@pytest.mark.parametrize(
    ("network", "parameters", "multiply_adds", "fields"),
    [
        (alexnet(1000), 61_100_840, 714_188_480, {"features.12": 195}),
        (resnet(18, 1000), 11_689_512, 1_814_073_344, {"layer1.1.sum": 43, "layer4.1.sum": 435}),
    ],
    ids=["alexnet", "resnet18"],
)
def test_figures_are_the_published_ones(network, parameters, multiply_adds, fields):
    """torchvision's counts; the fields of Araujo, Norris and Sim, "Computing receptive fields", Distill 2019."""
    rows = {row["layer"]: row for row in summary(network, (3, 224, 224))}
    assert (rows["all"]["parameters"], rows["all"]["multiply-adds"]) == (parameters, multiply_adds)
    assert {name: rows[name]["receptive-field"] for name in fields} == fields


def dependence(network, shape):
    """Return for each row of the image (first axis) which rows of the output it changes.

    Where no weight is negative, a brighter row shows in every output that depends on it, behind largest values too.
    """
    arrays = {name: abs(array).astype(np.float64) for name, array in draw_arrays(network, 0).items()}
    images = np.random.default_rng(0).random((1, *shape)).repeat(shape[1] + 1, axis=0)
    for row, image in enumerate(images[1:]):
        image[:, row] += 100
    y = NumpyNetwork(network, arrays).predict(images)
    changed = (y[1:] != y[0]).any(axis=tuple(axis for axis in (1, 3) if axis < y.ndim))
    return changed.reshape(shape[1], -1)


def fields_of(matrix):
    """Return begin and size of what each output depends on; 0 of those that see padding only."""
    begins = matrix.argmax(axis=0)
    return begins, np.where(matrix.any(axis=0), len(matrix) - matrix[::-1].argmax(axis=0) - begins, 0)


WINDOWS = st.tuples(
    st.sampled_from([Conv, MaxPool, AvgPool]), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.booleans()
)


def window(case):
    """Return a layer of two channels, or a sum of it and a narrower one."""
    kind, size, stride, padding, as_sum = case
    if kind is Conv:
        layer = Conv(2, 2, size, stride, padding if padding < 2 else "same")
        plain = padding == (size - 1) / 2
        return Sequence(Sum(body=layer, shortcut=Conv(2, 2, 1, stride))) if as_sum and plain else layer
    return kind(size, stride, min(padding, size // 2), ceil=as_sum)


@given(st.lists(WINDOWS, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_receptive_fields_and_their_steps_are_what_outputs_depend_on(cases):
    network = Sequence(*(window(case) for case in cases), BatchNorm(2), ReLU())
    shape = (2, 100, 45)
    axis = advance(network, start(shape)).axes[0]
    begins, sizes = fields_of(dependence(network, shape))
    assert axis.count == len(sizes)
    assert sizes.max() == axis.size
    inside = np.flatnonzero(sizes == axis.size)
    assert set(np.diff(begins[inside])) <= {axis.step}


@pytest.mark.parametrize("side", [32, 35])
def test_receptive_fields_of_lenet(side):
    network = lenet(classes=3, channels=1)
    for count, row in enumerate(summary(network, (1, side, side))[:-1], start=1):
        part = Sequence(**dict(network.parts[:count]))
        if row["kind"] not in ("Flatten", "Linear") and row["layer"] not in ("relu3", "relu4"):
            assert fields_of(dependence(part, (1, side, side)))[1].max() == row["receptive-field"]
        elif row["layer"] == "fc1":  # the last rows of 35 are in no pool
            assert fields_of(dependence(part, (1, side, side)))[1].max() == row["receptive-field"] == 32


@pytest.mark.parametrize(("rows", "columns", "size"), [(13, 6, 4), (6, 6, 6), (3, 9, 6), (7, 7, 1)])
def test_receptive_fields_of_adaptive_pools(rows, columns, size):
    network = Sequence(conv=Conv(1, 1, 3, padding=1), pool=declared.AdaptiveAvgPool(size))
    axes = advance(network, start((1, rows, columns))).axes
    for axis, shape in zip(axes, [(1, rows, columns), (1, columns, rows)], strict=True):
        assert fields_of(dependence(network, shape))[1].max() == min(axis.size, shape[1])
        assert axis.count == size
