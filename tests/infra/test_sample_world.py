"""The sample world: its pixels show what its truth says, and its files are the same every time."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from infra.media.decode import sample_frames
from infra.sample_world.draw import draw_world
from infra.sample_world.path import is_visible, on_screen
from infra.sample_world.render import render, render_shot
from infra.sample_world.spec import CAMERAS, MOTIONS, SHAPES, TEXTURES, THING_COLOURS
from infra.sample_world.weak import KINDS
from infra.sample_world.write import write_world


def test_a_video_depends_on_seed_and_index_alone() -> None:
    assert draw_world(3, 17) == draw_world(3, 17)
    assert len({draw_world(seed, index) for seed in (3, 4) for index in range(50)}) == 100


def test_everything_occurs() -> None:
    videos = [draw_world(1, index) for index in range(400)]
    shots = [shot for video in videos for shot in video.shots]
    things = [thing for shot in shots for thing in shot.things]
    assert {thing.shape for thing in things} == set(SHAPES)
    assert {thing.colour for thing in things} == set(THING_COLOURS)
    assert {leg.motion for thing in things for leg in thing.legs} == set(MOTIONS)
    assert {shot.background.texture for shot in shots} == set(TEXTURES)
    assert {shot.camera for shot in shots} == set(CAMERAS)
    assert {len(shot.things) for shot in shots} == {1, 2, 3}
    assert {len(video.shots) for video in videos} == {1, 2, 3}
    assert {video.weak_kind for video in videos} == set(KINDS)


@pytest.mark.parametrize("index", range(25))
def test_pixels_show_the_truth(index: int) -> None:
    """The middle of every thing has its colour, at the place and at the times the truth gives."""
    spec = draw_world(2, index)
    for shot in spec.shots:
        frames = list(render_shot(spec, shot))
        assert len(frames) == shot.frames
        for number in (0, shot.frames // 3, shot.frames - 1):
            for thing in shot.things:
                u = number / (shot.frames - 1)
                x, y, _ = on_screen(shot, thing, u, spec.width / spec.height)
                pixel = frames[number][round(y * spec.height - 0.5), round(x * spec.width - 0.5)]
                is_shown = bool(np.abs(pixel.astype(int) - THING_COLOURS[thing.colour]).max() < 8)
                assert is_shown == (is_visible(thing, u) and thing.shape != "ring"), (thing, u, pixel)


def test_files_match_manifest_and_truth(tmp_path: Path) -> None:
    manifest = Path(write_world(str(tmp_path), 5, seed=8))
    rows = list(csv.DictReader(manifest.open()))
    truth = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert (
        [row["path"] for row in rows] == [fact["path"] for fact in truth] == [draw_world(8, i).name for i in range(5)]
    )
    for index, (row, fact) in enumerate(zip(rows, truth, strict=True)):
        spec = draw_world(8, index)
        assert row["caption"] == spec.weak_caption == fact["weak_caption"]
        assert (tmp_path / row["path"]).stat().st_size == fact["size_bytes"]
        wanted = list(render(spec))
        assert fact["spans_s"][0][0] == 0
        assert fact["spans_s"][-1][1] == pytest.approx(len(wanted) / spec.fps)
        decoded, times = sample_frames(str(tmp_path / row["path"]), len(wanted))
        assert decoded.shape == (len(wanted), spec.height, spec.width, 3)
        assert times[-1] == pytest.approx((len(wanted) - 1) / spec.fps, abs=1e-3)
        assert np.abs(decoded[-1].astype(int) - wanted[-1]).mean() < 12


def test_writing_again_adds_only_what_is_missing(tmp_path: Path) -> None:
    write_world(str(tmp_path / "one"), 4, seed=8)
    before = {path.name: path.read_bytes() for path in (tmp_path / "one").glob("*.mp4")}
    cut, kept = draw_world(8, 1).name, tmp_path / "one" / draw_world(8, 0).name
    (tmp_path / "one" / cut).write_bytes(before[cut][:100])
    stamp = kept.stat().st_mtime_ns
    write_world(str(tmp_path / "one"), 6, seed=8)
    assert kept.stat().st_mtime_ns == stamp
    assert (tmp_path / "one" / cut).read_bytes() == before[cut]
    write_world(str(tmp_path / "two"), 6, seed=8, workers=2)
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
