"""The pictures of filters/README.md: what each filter drops of films with one fault each, beside what it keeps.

    python tests/filters/draw_examples.py --out filters/examples

Films are of the sample world, their faults those of the filters' tests.
"""

import argparse
import shutil
import sys
import tempfile
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import cv2
import numpy as np
from copies import write_copy
from sample_clips import Frames, damage, shot, write_video
from suffered import SUFFERED, shaken, written_over

from filters.picture import Quality
from flows.aside import run_aside
from flows.examples import PAGE, draw_examples
from flows.recipe import Recipe
from infra.sample_world.draw import draw_world
from infra.sample_world.render import render
from synth.ingest import list_sources

SEED = 12
EXAMPLES = 2  # of each reason
COPIES = ("mirror", "crop to 70% width", "brighter", "speed 1.04")
QUALITY = Quality(allow=("film",))
TEXTURED = ("wrong_aspect", "blocky", "letterboxed", "texted")  # what the flat colours of the sample world do not show


def film(number: int) -> Frames:
    """Some seconds of the `number`-th video of one shot, 12 pictures a second, large enough for every filter."""
    specs = (draw_world(SEED, index) for index in count())
    spec = next(islice((spec for spec in specs if len(spec.shots) == 1), number, None))
    size = (2 * spec.width, 2 * spec.height)  # smoothly: repeated pixels would count as blocks
    return [np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC), np.uint8) for frame in render(spec)][:72]


def write_films(folder: Path) -> None:
    """Sound films, films with a fault each, and copies of the sound ones."""
    for number, name in enumerate(COPIES):
        write_video(folder / f"sound-{number}.mp4", film(number), fps=12, options={"crf": "16"})
        write_copy(folder / f"{name.replace(' ', '-')}.mp4", name, film(number), 12)
    shutil.copy(folder / "sound-0.mp4", folder / "same-bytes.mp4")
    faults = {
        **SUFFERED,
        "shaky": lambda _: shaken(shot(7, 72, 360, 640), 0.06),
        "texted": written_over,
        "slides": lambda _: [picture for seed in range(3) for picture in shot(seed, 1, 360, 640) * 60],
        "too_short": lambda frames: frames[:10],
    }
    for number, (name, suffer) in enumerate(faults.items()):
        frames = shot(9, 72, 360, 640) if name in TEXTURED else film(len(COPIES) + number)
        write_video(folder / f"{name}.mp4", suffer(frames), fps=12, options={"crf": "16"})
    damage(folder / "sound-3.mp4", folder / "damaged.mp4", 1.0, 3.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    out = parser.parse_args().out
    recipe = replace(Recipe(), quality=QUALITY)
    chain = recipe.chain()
    stages = chain[: [stage.name for stage in chain].index("perceptual") + 1]
    with tempfile.TemporaryDirectory(prefix="uvr-filters-") as folder:
        videos, lake = Path(folder, "videos"), str(Path(folder, "lake"))
        videos.mkdir()
        write_films(videos)
        with run_aside(recipe, stages, list_sources(str(videos)), lake):
            pass
        for path in draw_examples(lake, out, EXAMPLES):
            if path.name == PAGE:
                path.unlink()
            else:
                print(path)


if __name__ == "__main__":
    main()
