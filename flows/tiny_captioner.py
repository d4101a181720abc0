"""Makes the tiny captioner that a model server serves on a laptop, once for its settings.

python -m flows.tiny_captioner FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import train.captioner
from infra.progress import Watcher
from train.captioner.settings import CaptionerSettings

MARKS_FILE = "captioner.json"  # written last: a folder that has it is whole
HELD_OUT_SEED, HELD_OUT_VIDEOS = 90_002, 200


def make_captioner(
    folder: str | Path,
    settings: CaptionerSettings | None = None,
    workers: int = 2,
    watcher: Watcher | None = None,
) -> Path:
    """The folder of a trained captioner in Hugging Face's layout; nothing is done where it is there already.

    `workers` processes render what it learns from. `captioner.json` beside the weights tells what they
    were made from, as a digest, and how often they are right about scenes they never saw.
    """
    settings, path = settings or CaptionerSettings(), Path(folder)
    made_from, marks = digest(settings), path / MARKS_FILE
    if marks.is_file() and json.loads(marks.read_text())["made_from"] == made_from:
        return path
    shutil.rmtree(path, ignore_errors=True)
    report = _learn(path, settings, workers, watcher)
    marks.write_text(json.dumps({"made_from": made_from, **report}, indent=2) + "\n")
    return path


def digest(settings: CaptionerSettings) -> str:
    """Names what decides the weights: the settings, but for how the machine is used, and the captioner's own code."""
    found = hashlib.sha256(json.dumps(asdict(replace(settings, threads=0)), sort_keys=True).encode())
    for source in sorted(Path(train.captioner.__path__[0]).glob("*.py")):
        found.update(source.read_bytes())
    return found.hexdigest()[:16]


def _learn(path: Path, settings: CaptionerSettings, workers: int, watcher: Watcher | None) -> dict[str, object]:
    """Train, save, and mark on a world of another seed."""
    from train.captioner.loop import train_captioner
    from train.captioner.marks import mark
    from train.captioner.scenes import Scene, draw_views, render_scenes

    views = draw_views(settings.world)
    print(f"captioner: rendering {len(views)} scenes, then {settings.steps} steps of training", flush=True)
    scenes: Sequence[Scene] = list(render_scenes(views, settings.inputs, workers))
    captioner, _ = train_captioner(scenes, settings, watcher)
    captioner.save(path)
    held_out = replace(settings.world, seed=HELD_OUT_SEED, videos=HELD_OUT_VIDEOS, canaries=0)
    unseen = list(render_scenes(draw_views(held_out), settings.inputs))
    return {kind: asdict(mark(captioner, unseen, kind)) for kind in ("video_captions", "frame_captions")}


def main() -> None:
    """Make it in the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Train a tiny captioner for vLLM to serve on a laptop.")
    parser.add_argument("folder", help="gets the model in Hugging Face's layout")
    path = make_captioner(parser.parse_args().folder)
    print((path / MARKS_FILE).read_text())


if __name__ == "__main__":
    main()
