"""Random changes of training images: the windows they show, and their colors."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

from imgtool.networks.augment import Draws, augment  # noqa: E402
from imgtool.networks.recipe import Augmentation  # noqa: E402

HEIGHT, WIDTH = 24, 32
STILL = Augmentation(horizontal_flip=False)


def draws(count, seed=0):
    return Draws.of(count, torch.Generator().manual_seed(seed))


def maps(count):
    """Images whose channels are the column, the row and noise: what comes out says where it was taken from."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    noise = np.random.default_rng(0).random((HEIGHT, WIDTH), dtype=np.float32)
    return torch.from_numpy(np.stack([columns, rows, noise])).expand(count, 3, HEIGHT, WIDTH).clone()


def windows(images):
    """Return width and height of each window as shares of the image (negative: mirrored), from its inner pixels."""
    columns, rows = images[:, 0].numpy(), images[:, 1].numpy()
    side = images.shape[-1]
    middle = side // 2
    width = (columns[:, middle, middle + 1] - columns[:, middle, middle]) * side / WIDTH
    return width, (rows[:, middle + 1, middle] - rows[:, middle, middle]) * side / HEIGHT


@pytest.mark.parametrize("side", [8, 33])
@pytest.mark.parametrize(
    "how",
    [
        STILL,
        Augmentation(),
        Augmentation(shift=0.3),
        Augmentation(min_crop_area=0.3),
        Augmentation(shift=0.1, min_crop_area=0.5, max_aspect_ratio=2.0),
    ],
)
def test_a_window_is_what_scipy_samples_there(how, side):
    before = maps(40)
    after = augment(before, how, draws(len(before)), side).numpy()
    assert after.shape == (40, 3, side, side)
    for columns, rows, noise in after:
        np.testing.assert_array_less(np.ptp(columns, axis=0), 1e-4)  # a window stands upright
        np.testing.assert_array_less(np.ptp(rows, axis=1), 1e-4)
        sampled = map_coordinates(before[0, 2].numpy(), [rows, columns], order=1, mode="nearest")
        np.testing.assert_allclose(noise, sampled, atol=1e-4)


def test_without_changes_images_stay():
    images = torch.rand(3, 3, 8, 8)
    np.testing.assert_allclose(augment(images, STILL, draws(len(images))).numpy(), images.numpy(), atol=1e-6)


def test_mirror_changes_left_and_right_of_about_half():
    images = torch.rand(200, 1, 6, 6)
    changed = augment(images, Augmentation(horizontal_flip=True), draws(len(images)))
    mirrored = [torch.allclose(a, b.flip(2), atol=1e-5) for a, b in zip(changed, images, strict=True)]
    kept = [torch.allclose(a, b, atol=1e-5) for a, b in zip(changed, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 70 < sum(mirrored) < 130


def inside(images):
    """Return whether no window leaves the image: each inner pixel differs from its neighbor, none repeats an edge."""
    columns, rows = images[:, 0].diff(dim=2)[:, :, 1:-1], images[:, 1].diff(dim=1)[:, 1:-1]
    return bool((columns > 0.1).all() and (rows > 0.1).all())


@pytest.mark.parametrize("zoom", [0.25, 0.6])
def test_windows_keep_the_share_of_the_area_and_stay_inside(zoom):
    after = augment(maps(400), Augmentation(horizontal_flip=False, min_crop_area=zoom), draws(400), 16)
    width, height = windows(after)
    np.testing.assert_allclose(width, height, atol=1e-5)
    share = width * height
    assert zoom - 1e-4 <= share.min() < zoom + 0.05
    assert 0.95 < share.max() <= 1 + 1e-4
    assert inside(after)


@pytest.mark.parametrize("stretch", [4 / 3, 2.0])
def test_windows_are_stretched_both_ways_as_far_as_told(stretch):
    after = augment(
        maps(600), Augmentation(horizontal_flip=False, min_crop_area=0.3, max_aspect_ratio=stretch), draws(600), 16
    )
    assert inside(after)
    width, height = windows(after)
    assert max(width.max(), height.max()) <= 1 + 1e-4
    logarithm = np.log(width / height) / np.log(stretch)
    assert -1.001 <= logarithm.min() < -0.9
    assert 0.9 < logarithm.max() <= 1.001


@pytest.mark.parametrize("shift", [0.05, 0.2])
def test_shifts_reach_as_far_as_told_in_each_direction(shift):
    before, how = maps(600), Augmentation(horizontal_flip=False, shift=shift)
    moved = augment(before, how, draws(600), 16) - augment(before, STILL, draws(600), 16)
    for channel, side in ((0, WIDTH), (1, HEIGHT)):
        share = moved[:, channel, 8, 8].numpy() / side
        assert -shift - 1e-4 <= share.min() < -0.9 * shift
        assert 0.9 * shift < share.max() <= shift + 1e-4
    assert abs(np.corrcoef(moved[:, 0, 8, 8], moved[:, 1, 8, 8])[0, 1]) < 0.15


def spread(images):
    """Return brightness, contrast and saturation of each: mean, deviation of the gray, deviation from the gray."""
    gray = images.mean(dim=1, keepdim=True)
    return images.mean(dim=(1, 2, 3)), gray.std(dim=(1, 2, 3)), (images - gray).std(dim=(1, 2, 3))


def test_jitter_changes_brightness_contrast_and_saturation_each_on_its_own():
    before = (
        torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 0.2 + 0.4
    )  # so that nothing is clipped
    after = augment(before, Augmentation(horizontal_flip=False, color_jitter=0.3), draws(400))
    means, grays, colors = (new / old for new, old in zip(spread(after), spread(before), strict=True))
    factors = [means, grays / means, colors / grays]
    for factor in factors:
        assert 0.699 < factor.min() < 0.72
        assert 1.28 < factor.max() < 1.301
    assert np.abs(np.corrcoef(np.stack(factors)) - np.eye(3)).max() < 0.15


def test_jitter_stays_within_black_and_white():
    changed = augment(torch.rand(20, 3, 4, 4), Augmentation(horizontal_flip=False, color_jitter=0.5), draws(20))
    assert 0 <= changed.min() <= changed.max() <= 1
    white = augment(torch.ones(50, 3, 4, 4), Augmentation(horizontal_flip=False, color_jitter=0.5), draws(50))
    assert white.max() == 1


AXES = np.array([[0.2, 0.19, 0.18], [0.05, -0.01, -0.045], [0.01, -0.02, 0.01]])  # about those of photographs


@pytest.mark.parametrize("amount", [0.1, 0.3])
def test_colors_are_shifted_along_the_axes_as_in_the_paper(amount):
    before = (
        torch.rand(500, 3, 5, 5, generator=torch.Generator().manual_seed(1)) * 0.2 + 0.4
    )  # so that nothing is clipped
    how = Augmentation(horizontal_flip=False, pca_color=amount)
    after = augment(before, how, draws(500), axes=AXES)
    shift = (after - before).numpy()
    np.testing.assert_allclose(shift, shift[:, :, :1, :1].repeat(5, 2).repeat(5, 3), atol=1e-6)
    factors = np.linalg.solve(AXES.T, shift[:, :, 0, 0].T.astype(float))  # those of the paper's sum over the axes
    np.testing.assert_allclose(factors.mean(axis=1), 0, atol=amount / 6)
    np.testing.assert_allclose(np.cov(factors), amount**2 * np.eye(3), atol=amount**2 / 5)
    at_random = draws(500).normals.numpy().astype(float)
    direct = before.numpy() + amount * sum(
        at_random[:, [k], None, None] * AXES[k][None, :, None, None] for k in range(3)
    )
    np.testing.assert_allclose(after.numpy(), direct, atol=1e-6)


def test_shifted_colors_stay_within_black_and_white():
    how = Augmentation(horizontal_flip=False, pca_color=1.0)
    changed = augment(torch.rand(90, 3, 4, 4), how, draws(90), axes=AXES * 5)
    assert (changed.min(), changed.max()) == (0, 1)


def test_only_the_draws_decide_and_nothing_else_is_touched():
    images = torch.rand(9, 3, 12, 12)
    copy, state = images.clone(), torch.get_rng_state()
    how = Augmentation(shift=0.1, min_crop_area=0.5, max_aspect_ratio=1.5, color_jitter=0.2)
    first, again, other = (augment(images, how, draws(9, seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, copy)
    assert torch.equal(torch.get_rng_state(), state)


def test_an_images_changes_do_not_depend_on_its_batch():
    images, how = torch.rand(9, 3, 12, 12), Augmentation(shift=0.1, min_crop_area=0.5, color_jitter=0.2, pca_color=0.1)
    whole = augment(images, how, draws(9), axes=AXES)
    for part in (np.array([4]), np.array([8, 0, 3])):
        torch.testing.assert_close(augment(images[part], how, draws(9)[part], axes=AXES), whole[part])
