"""Pixels equal those of transformers' Qwen2-VL processors."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize as theirs

from infra.errors import RowError
from train.pixels import PatchCache, Patches, normalize, patchify, resize, smart_resize, unpatchify

LOW, HIGH = 56 * 56, 200 * 28 * 28


def noise(frames: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def waves(height: int, width: int) -> np.ndarray:
    """A smooth picture [height, width, 3] whose resampling never overshoots the range of bytes."""
    y, x, channel = np.ogrid[:height, :width, :3]
    return (128 + 80 * np.sin(y / 9 + channel) * np.cos(x / 7)).astype(np.uint8)


def ours(frames: np.ndarray) -> tuple[torch.Tensor, tuple[int, int, int]]:
    patches = patchify(resize(frames, LOW, HIGH))
    return normalize(patches.data), patches.grid


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_smart_resize_is_the_published_rule(height: int, width: int) -> None:
    if max(height, width) > 200 * min(height, width):
        with pytest.raises(RowError, match="extreme_aspect_ratio"):
            smart_resize(height, width, LOW, HIGH)
    else:
        assert smart_resize(height, width, LOW, HIGH) == theirs(height, width, 28, LOW, HIGH)


@pytest.mark.parametrize(("height", "width", "atol"), [(84, 140, 1e-6), (90, 121, 0.04), (37, 500, 0.04)])
def test_image_patches_match_the_pil_processor(height: int, width: int, atol: float) -> None:
    """Exact where nothing is resized; PIL's bicubic rounds some bytes differently, by 2 at most: 0.03 here."""
    frame = waves(height, width)
    processor = Qwen2VLImageProcessorPil(size={"shortest_edge": LOW, "longest_edge": HIGH})
    expected = processor(Image.fromarray(frame), return_tensors="pt")
    patches, grid = ours(frame[None])
    assert [list(grid)] == expected["image_grid_thw"].tolist()
    torch.testing.assert_close(patches, expected["pixel_values"], atol=atol, rtol=0)


@pytest.mark.parametrize(("frames", "height", "width"), [(8, 144, 256), (5, 90, 121), (2, 720, 1280), (2, 20, 20)])
def test_video_patches_are_those_of_the_video_processor(frames: int, height: int, width: int) -> None:
    try:
        from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
    except (ImportError, RuntimeError):
        pytest.skip("torchvision does not load beside this torch")
    clip = noise(frames, height, width)
    processor = Qwen2VLVideoProcessor(size={"shortest_edge": LOW, "longest_edge": HIGH})
    expected = processor([torch.from_numpy(clip).permute(0, 3, 1, 2)], return_tensors="pt")
    patches, grid = ours(clip)
    assert [list(grid)] == expected["video_grid_thw"].tolist()
    assert torch.equal(patches, expected["pixel_values_videos"])


def test_image_patches_are_those_of_the_torchvision_processor() -> None:
    try:
        from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
    except (ImportError, RuntimeError):
        pytest.skip("torchvision does not load beside this torch")
    frame = noise(1, 333, 517)
    processor = Qwen2VLImageProcessor(size={"shortest_edge": LOW, "longest_edge": HIGH})
    expected = processor(torch.from_numpy(frame[0]).permute(2, 0, 1), return_tensors="pt")
    assert torch.equal(ours(frame)[0], expected["pixel_values"])


def test_rows_run_by_pair_of_frames_then_block_then_patch() -> None:
    """Every pixel holds the number of the row it must land in, counted in the order Qwen2-VL merges blocks."""
    t, h, w = 2, 4, 6
    numbers = np.zeros((2 * t, 14 * h, 14 * w, 3), dtype=np.uint8)
    row = 0
    for pair in range(t):
        for y in range(0, h, 2):
            for x in range(0, w, 2):
                for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    top, left = 14 * (y + dy), 14 * (x + dx)
                    numbers[2 * pair : 2 * pair + 2, top : top + 14, left : left + 14] = row
                    row += 1
    patches = patchify(torch.from_numpy(numbers).permute(0, 3, 1, 2))
    assert patches.grid == (t, h, w)
    assert patches.tokens == t * h * w // 4
    assert torch.equal(patches.data, torch.arange(row, dtype=torch.uint8)[:, None].expand(-1, 1176))


def test_an_odd_frame_is_repeated() -> None:
    clip = noise(3, 56, 56)
    padded = np.concatenate([clip, clip[-1:]])
    assert torch.equal(patchify(resize(clip, LOW, HIGH)).data, patchify(resize(padded, LOW, HIGH)).data)


def test_the_cache_makes_once_what_fits_and_says_when_something_did_not() -> None:
    made: list[bytes] = []

    def make(data: bytes) -> Patches:
        made.append(data)
        return Patches(torch.zeros(1, 100, dtype=torch.uint8), (1, 1, 1))

    cache = PatchCache(250)
    for data in (b"a", b"b", b"a", b"b"):
        cache.read(data, make)
    assert made == [b"a", b"b"]
    assert not cache.full
    cache.read(b"c", make)
    cache.read(b"c", make)
    assert not cache.reserve(1)
    assert made == [b"a", b"b", b"c", b"c"]
    assert cache.full
    assert cache.size_bytes == 200


def test_two_threads_that_make_the_same_at_once_share_it_and_it_counts_once() -> None:
    both, cache = Barrier(2), PatchCache(250)

    def make(data: bytes) -> Patches:
        both.wait()
        return Patches(torch.zeros(100, dtype=torch.uint8), (1, 2, 2))

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: cache.read(b"a", make), range(2))
    assert first is second
    assert cache.size_bytes == 100


def test_unpatchify_gives_the_frames_back() -> None:
    pixels = resize(noise(4, 56, 84), LOW, HIGH)
    assert torch.equal(unpatchify(patchify(pixels)), pixels)
