"""How near the fusion methods come to the truth of small phantoms; `scripts/bench fuse` measures large ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from planish.fuse.method import Method
from planish.fuse.methods import PIXEL_METHODS
from planish.fuse.selective import Selective
from planish.fuse.stack import fuse_stack
from planish.phantom.clumps import CLUMPS
from planish.phantom.quality import Quality, quality, ssim
from planish.phantom.stacks import HALO, FocalStack, clump_stack, tissue_stack
from planish.phantom.tissue import TISSUES

TISSUE = [("tissue", texture, seed) for texture in TISSUES for seed in (0, 1)]
CLUMP = [("clumps", texture, seed) for texture in CLUMPS for seed in (0, 1)]


@pytest.fixture(scope="module")
def phantoms() -> dict[tuple[str, str, int], FocalStack]:
    # As steep as 17 planes of 2048 px, roughly: hills grow with the image, planes do not.
    made = {("tissue", texture, seed): tissue_stack(320, 5, seed, texture) for _, texture, seed in TISSUE}
    return {**made, **{("clumps", texture, seed): clump_stack(320, 7, seed, texture) for _, texture, seed in CLUMP}}


def of_nearest(phantom: FocalStack) -> Quality:
    return quality(phantom, phantom.taken(phantom.nearest), phantom.nearest)


def of_method(phantom: FocalStack, method: str | Method, **parameters: Any) -> Quality:
    fused = fuse_stack(phantom.stack, method, backend="numpy", jobs=1, **parameters)
    return quality(phantom, fused.image, fused.plane_index if fused.depth is None else fused.depth)


@pytest.mark.parametrize("key", TISSUE)
def test_pick_is_as_good_as_the_true_nearest_plane_on_tissue(
    phantoms: dict[tuple[str, str, int], FocalStack], key: tuple[str, str, int]
) -> None:
    picked, nearest = of_method(phantoms[key], "pick"), of_nearest(phantoms[key])
    assert picked.psnr["whole"] > nearest.psnr["whole"] - 0.1
    assert picked.depth_error is not None and picked.depth_error < 0.27


@pytest.mark.parametrize("key", CLUMP)
def test_pick_is_better_than_the_true_nearest_plane_on_clumps(
    phantoms: dict[tuple[str, str, int], FocalStack], key: tuple[str, str, int]
) -> None:
    picked, nearest = of_method(phantoms[key], "pick"), of_nearest(phantoms[key])
    assert picked.psnr["whole"] > nearest.psnr["whole"]
    assert picked.psnr["halo"] > nearest.psnr["halo"] + 1
    assert picked.depth_error is not None and picked.depth_error < 0.45


@pytest.mark.parametrize("keys", [TISSUE, CLUMP])
def test_soft_is_better_than_pick(
    phantoms: dict[tuple[str, str, int], FocalStack], keys: list[tuple[str, str, int]]
) -> None:
    gains = []
    for key in keys:
        soft, picked = of_method(phantoms[key], "soft", depth=True), of_method(phantoms[key], "pick")
        gains.append(soft.psnr["whole"] - picked.psnr["whole"])
        assert soft.ssim["whole"] > picked.ssim["whole"]
        assert soft.depth_error is not None and picked.depth_error is not None
        assert soft.depth_error < picked.depth_error
    assert min(gains) > 0.2
    assert np.mean(gains) > 0.3


@pytest.mark.parametrize("key", CLUMP)
def test_soft_has_weaker_halos_than_selective(
    phantoms: dict[tuple[str, str, int], FocalStack], key: tuple[str, str, int]
) -> None:
    soft = of_method(phantoms[key], "soft").psnr["halo"]
    ours, reference = (of_method(phantoms[key], Selective(compat=compat)).psnr["halo"] for compat in (False, True))
    assert soft > ours
    assert soft > reference + 1.5


@pytest.mark.parametrize("key", TISSUE + CLUMP)
def test_selective_is_nearer_to_the_truth_than_its_reference(
    phantoms: dict[tuple[str, str, int], FocalStack], key: tuple[str, str, int]
) -> None:
    ours, reference = (of_method(phantoms[key], Selective(compat=compat)).psnr for compat in (False, True))
    assert ours["whole"] > reference["whole"]


@pytest.mark.parametrize("method", PIXEL_METHODS)
def test_every_method_beats_the_middle_plane(phantoms: dict[tuple[str, str, int], FocalStack], method: str) -> None:
    for phantom in phantoms.values():
        middle = quality(phantom, phantom.stack[len(phantom.stack) // 2])
        assert of_method(phantom, method).psnr["whole"] > middle.psnr["whole"] + 3


def test_a_phantom_is_the_same_each_time_and_another_with_another_seed(
    phantoms: dict[tuple[str, str, int], FocalStack],
) -> None:
    assert np.array_equal(tissue_stack(320, 5, 1, "nuclei").stack, phantoms["tissue", "nuclei", 1].stack)
    assert np.array_equal(clump_stack(320, 7, 1, "cells").stack, phantoms["clumps", "cells", 1].stack)
    assert not np.array_equal(phantoms["tissue", "nuclei", 0].depth, phantoms["tissue", "nuclei", 1].depth)
    assert not np.array_equal(phantoms["clumps", "cells", 0].stack, phantoms["clumps", "cells", 1].stack)


def test_parts_of_a_phantom_are_what_they_are_called(phantoms: dict[tuple[str, str, int], FocalStack]) -> None:
    for (kind, _, _), phantom in phantoms.items():
        planes, height, width = phantom.stack.shape[:3]
        assert phantom.depth.shape == (height, width)
        assert np.nanmin(phantom.depth) >= 0 and np.nanmax(phantom.depth) <= planes - 1
        assert phantom.specimen.all() == (kind == "tissue")
        assert not (phantom.specimen & phantom.glass).any()
        assert not (phantom.halo & ~phantom.glass).any()
        assert phantom.halo.sum() < phantom.glass.sum() or kind == "tissue"
        assert not (phantom.textured & phantom.glass).any()
        assert phantom.textured.mean() > 0.1


def test_a_halo_ends_where_it_should() -> None:
    depth = np.full((99, 99), np.nan, np.float32)
    depth[49, 49] = 0
    phantom = FocalStack(np.zeros((1, 99, 99), np.uint8), np.zeros((99, 99), np.float32), depth, depth == 0)
    assert phantom.halo[49, 49 + HALO] and not phantom.halo[49, 50 + HALO] and not phantom.halo[49, 49]


def test_defocus_blurs_by_its_distance() -> None:
    phantom = tissue_stack(320, 9, 0)
    lowest = phantom.depth < 1
    change = [np.abs(plane[lowest] - phantom.truth[lowest]).mean() for plane in phantom.stack.astype(np.float32)]
    assert change[2:] == sorted(change[2:])
    assert change[8] > 3 * change[0]


def test_one_plane_can_be_made() -> None:
    assert tissue_stack(64, 1).stack.shape == (1, 64, 64)
    assert clump_stack(64, 1).stack.shape == (1, 64, 64, 3)


def test_quality_of_the_truth_and_of_a_known_error() -> None:
    truth = np.full((32, 32), 100, np.float32)
    depth = np.full((32, 32), 0.25, np.float32)
    phantom = FocalStack(np.full((2, 32, 32), 100, np.uint8), truth, depth, np.ones((32, 32), bool))
    found = quality(phantom, phantom.stack[0] + np.uint8(10), np.full((32, 32), 1))
    assert found.psnr == pytest.approx({"whole": 20 * np.log10(25.5), "specimen": 20 * np.log10(25.5)})
    assert (found.depth_error, found.plane_error) == (0.75, 1)
    # Without any contrast, SSIM is its first factor, with C₁ = (0.01 · 255)².
    assert found.ssim["whole"] == pytest.approx((2 * 100 * 110 + 6.5025) / (100**2 + 110**2 + 6.5025))


def test_ssim_is_one_for_equal_images_and_falls_with_noise() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    noisy = [image + rng.normal(0, sigma, image.shape) for sigma in (10, 40)]
    assert ssim(image, image, 255).shape == (40, 50)
    assert np.allclose(ssim(image, image, 255), 1)
    assert 1 > ssim(noisy[0], image, 255).mean() > ssim(noisy[1], image, 255).mean()
