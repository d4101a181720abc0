"""Videos of the sample world and copies of them, scanned and cut into clips: what the stage `perceptual` reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from copies import COPIES, scaled, write_copy
from sample_clips import clips, write_video

from filters.perceptual.stage import Perceptual
from infra.sample_world.draw import draw_world
from infra.sample_world.render import render
from infra.stage import Row


class Fact(NamedTuple):
    """What a clip really is."""

    key: str
    video: int  # of the world
    transformation: str  # empty for an original
    start_s: float
    end_s: float
    video_s: float  # length of the file


def add_copies(manifest: Path, seed: int, names: Sequence[str]) -> None:
    """Copies of the first videos of a written world beside them, one of each transformation, at the manifest's end."""
    for video, name in enumerate(names):
        spec, path = draw_world(seed, video), manifest.parent / f"copy-{video}.mp4"
        if not path.exists():
            write_copy(path, name, list(render(spec)), spec.fps)
        with manifest.open("a") as lines:
            lines.write(f"{path.name},\n")


def table(rows: Sequence[Row]) -> pa.Table:
    """Clips as the stage is given them: sorted by key."""
    names = ("key", *Perceptual.needs)
    return pa.Table.from_pylist([{name: row[name] for name in names} for row in sorted(rows, key=lambda r: r["key"])])


def clip_rows(path: Path) -> list[Row]:
    """The clips of a video that the quality filter keeps, with the file's size."""
    return [clip | {"size_bytes": path.stat().st_size} for clip in clips(path)[0]]


def copies_of_the_world(
    folder: Path, videos: int, names: Sequence[str] = tuple(COPIES), seed: int = 5
) -> tuple[pa.Table, list[Fact]]:
    """The clips of `videos` videos and of one copy of each; transformations take turns."""
    rows: list[Row] = []
    facts: list[Fact] = []
    for video in range(videos):
        spec = draw_world(seed, video)
        frames = [scaled(frame, 1.5, 1.5) for frame in render(spec)]  # large enough to be scaled down and cropped
        name = names[video % len(names)]
        suffix = ".webm" if "vp9" in name else ".mp4"
        original = write_video(folder / f"{video}.mp4", frames, fps=spec.fps, options={"crf": "18"})
        copy = write_copy(folder / f"{video}-copy{suffix}", name, frames, spec.fps)
        for path, transformation in ((original, ""), (copy, name)):
            made = clip_rows(path)
            rows += made
            facts += [
                Fact(row["key"], video, transformation, row["start_s"], row["end_s"], row["duration_s"]) for row in made
            ]
            path.unlink()
    return table(rows), facts


def has_original(copy: Fact, facts: Sequence[Fact]) -> bool:
    """Whether some clip of the original shows half of a copy's clip: not every shot of both passes the filter."""
    originals = [fact for fact in facts if fact.video == copy.video and not fact.transformation]
    for fact in originals:
        start_s, end_s = _in_original(copy, fact.video_s)
        overlap_s = min(end_s, fact.end_s) - max(start_s, fact.start_s)
        if overlap_s >= 0.6 * min(end_s - start_s, fact.end_s - fact.start_s):
            return True
    return False


def _in_original(copy: Fact, original_s: float) -> tuple[float, float]:
    """Where in the original a clip of a copy was, in seconds."""
    speed = float(copy.transformation.split()[1]) if copy.transformation.startswith("speed") else 1.0
    shift_s = {"trim start": 1.3, "trim both": 0.9, "embedded": -3.0}.get(copy.transformation, 0.0)
    return copy.start_s * speed + shift_s, min(copy.end_s * speed + shift_s, original_s)
