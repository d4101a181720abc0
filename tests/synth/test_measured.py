"""The measured generator on pictures at the edges of what there is, and on real clips."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from infra.media.decode import sample_frames
from infra.media.encode import encode_image, encode_video
from infra.sample_world.draw import draw_world
from infra.sample_world.render import render_shot
from synth.answers import parse
from synth.generator import Request
from synth.generators.measured import colour, faces
from synth.generators.measured.generator import Measured
from synth.generators.measured.measure import observe
from synth.style import EDUCATION_LEVELS, PROFILES, READABILITY

Frames = NDArray[np.uint8]
KINDS = ("video_captions", "frame_captions", "image_query", "video_query")


def answers(frames: Frames, fps: int = 12, clip_id: str = "c1", seed: int = 1, style: int = 0) -> list[str]:
    """Checked answers to every kind of request about a clip, captions first."""
    video, duration_s = encode_video(frames, fps), len(frames) / fps
    levels = (PROFILES[style], READABILITY[style], EDUCATION_LEVELS[style])
    slots = dict(zip(("profile", "readability", "education_level"), levels, strict=True))
    picture = encode_image(frames[len(frames) // 2])
    part_s = (0.25 * duration_s, 0.75 * duration_s)
    asked = [Request(kind, clip_id, seed, video, duration_s, picture, b"", part_s, "", slots) for kind in KINDS]
    of_video, of_frame, with_image, with_video = (answer.text for answer in Measured().answer(asked))
    return [
        *parse("video_captions", of_video, clip_id),
        *parse("frame_captions", of_frame, clip_id),
        parse("image_query", with_image, clip_id)[0],
        parse("video_query", with_video, clip_id)[0],
    ]


def clips_without_things() -> Iterator[Frames]:
    """Black, flat, noise, a flicker, two frames, a narrow strip, a picture without one common colour."""
    rng = np.random.default_rng(0)
    yield np.zeros((30, 96, 128, 3), np.uint8)
    yield np.full((30, 96, 128, 3), (90, 120, 60), np.uint8)
    yield rng.integers(0, 256, (30, 96, 128, 3), dtype=np.uint8)
    yield np.repeat(rng.integers(0, 256, (30, 1, 1, 3), dtype=np.uint8), 128, axis=2).repeat(96, axis=1)
    yield rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    yield rng.integers(100, 140, (20, 256, 32, 3), dtype=np.uint8)
    mosaic = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), (128, 96), interpolation=cv2.INTER_NEAREST)
    yield np.stack([np.roll(mosaic, 4 * i, axis=1) for i in range(30)])


@pytest.mark.parametrize("frames", list(clips_without_things()))
def test_every_answer_passes_where_there_is_nothing_to_tell(frames: Frames) -> None:
    for style in range(3):
        texts = answers(frames, style=style)
        assert not re.search(r"\b(circle|star|triangle|face)\b", " ".join(texts))


def test_an_answer_depends_on_the_request_alone() -> None:
    spec = draw_world(4, 3)
    frames = np.stack(list(render_shot(spec, spec.shots[0])))
    assert answers(frames, spec.fps) == answers(frames, spec.fps)
    wordings = {tuple(answers(frames, spec.fps, seed=seed)) for seed in range(3)}
    assert len(wordings) == 3
    assert answers(frames, spec.fps, clip_id="c2")[:5] != answers(frames, spec.fps)[:5]


def test_answers_stay_with_their_clips() -> None:
    """Asked about two clips at once, the generator answers about each as when asked alone."""
    requests = []
    for index in (5, 6):
        spec = draw_world(4, index)
        video = encode_video(render_shot(spec, spec.shots[0]), spec.fps)
        requests.append(Request("video_captions", f"c{index}", 1, video, spec.shots[0].frames / spec.fps))
    together = Measured().answer(requests)
    assert together == [Measured().answer([request])[0] for request in requests]
    assert [json.loads(answer.text)["clip_id"] for answer in together] == ["c5", "c6"]


def test_names_of_colours() -> None:
    """Colours of the web's basic palette keep the names they were given there."""
    basic = {"black": "000000", "white": "ffffff", "gray": "808080", "red": "ff0000", "blue": "0000ff",
             "cyan": "00ffff", "green": "008000", "yellow": "ffff00", "orange": "ffa500", "purple": "800080",
             "pink": "ffc0cb", "brown": "8b4513"}  # fmt: skip
    rgb = np.array([list(bytes.fromhex(code)) for code in basic.values()], np.uint8)
    assert [colour.NAMES[i] for i in colour.label(colour.cells(rgb))] == list(basic)


def test_a_fade_is_no_movement() -> None:
    """A picture that only gets darker has a still camera and hardly any change besides."""
    texture = cv2.resize(np.random.default_rng(1).integers(0, 255, (12, 16, 3), dtype=np.uint8), (160, 120))
    frames = np.stack([(texture * (1 - i / 60)).astype(np.uint8) for i in range(40)])
    seen = observe(frames, np.arange(40) / 10, 4.0)
    assert seen.camera.move == "still"
    assert seen.activity.share < 0.02
    assert seen.activity.light < -0.1


@pytest.mark.parametrize("index", range(12))
def test_no_faces_in_the_sample_world(index: int) -> None:
    spec = draw_world(9, index)
    frame = next(render_shot(spec, spec.shots[0]))
    large = cv2.resize(frame, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    assert faces.count(large[None]) == 0


REAL = {  # file: (what must be said, what must not)
    "gradio_art_critic.mp4": ("face", "circle"),
    "intel_cars_topdown.mp4": ("gray", "face"),
    "moviepy_chaplin.mp4": ("still camera", "red"),
    "udacity_highway.mp4": ("blue", "circle"),
    "gradio_earth_night.mp4": ("black", "square"),
    "marimo_outputs.webm": ("white", "pans"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_clips(name: str, real_videos: Path) -> None:
    frames, times = sample_frames(str(real_videos / name), 48, 0.0, 8.0)
    height, width = frames.shape[1:3]
    factor = 300 / min(height, width)
    size = (round(width * factor / 2) * 2, 300)
    small = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
    assert times[-1] > 7
    said, unsaid = REAL[name]
    text = " ".join(answers(small, fps=6, clip_id=name))
    assert said in text
    assert unsaid not in text
