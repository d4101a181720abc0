"""Test-time scaling (appendix A.12): more or larger frames, and as much more room for them."""

import pytest

from infra.errors import UsageError
from train.settings import TINY_INPUTS, InputSettings


def test_nothing_given_changes_nothing() -> None:
    odd = InputSettings(frame_max_pixels=200 * 28 * 28 + 5)
    assert odd.scaled(None, None) == odd.scaled(8, 200) == odd


@pytest.mark.parametrize("settings", [InputSettings(), TINY_INPUTS])
@pytest.mark.parametrize(("frames", "tokens"), [(16, None), (48, None), (None, 400), (48, 800), (7, 9)])
def test_texts_keep_their_room_beside_a_video(settings: InputSettings, frames: int | None, tokens: int | None) -> None:
    scaled = settings.scaled(frames, tokens)
    assert (scaled.frames, scaled.frame_tokens) == (frames or settings.frames, tokens or settings.frame_tokens)
    assert room(scaled) >= room(settings)


def room(settings: InputSettings) -> int:
    """Tokens that a clip leaves; two frames are one grid, an odd one too."""
    return settings.max_tokens - (settings.frames + 1) // 2 * settings.frame_tokens


def test_fewer_frames_take_no_room_away() -> None:
    assert InputSettings().scaled(1, 4).max_tokens == 8192


def test_a_frame_smaller_than_the_least_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 4 tokens"):
        InputSettings().scaled(8, 3)
