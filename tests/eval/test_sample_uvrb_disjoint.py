"""The sample UVRB is disjoint from the world that models are trained on: by construction, shot by shot, by prints."""

import numpy as np
import pyarrow as pa
import pytest

from eval.sample_uvrb.analogue import Analogue, Dial
from eval.sample_uvrb.benchmark import draw_benchmark
from eval.sample_uvrb.stage import HEIGHT, WIDTH
from eval.sample_uvrb.write import whole
from filters.decontaminate import shown_in
from filters.perceptual.matching import Limits
from flows.demo import WORLD_SEED
from infra.media.fingerprint import Fingerprinter
from infra.sample_world.draw import FRAME_SIZES, draw_world
from infra.sample_world.render import render
from infra.sample_world.spec import Shot, VideoSpec


@pytest.fixture(scope="module")
def drawn() -> dict[str, Analogue]:
    dial = Dial(queries=16, difficulty=0.75, seed=42)
    return {analogue.name: analogue for analogue in draw_benchmark(dial)}


def test_no_shot_is_one_of_the_world_that_models_are_trained_on(drawn: dict[str, Analogue]) -> None:
    """By construction: another size, another stream of random numbers; and so it is."""
    assert (WIDTH, HEIGHT) not in FRAME_SIZES
    ours = {shot for analogue in drawn.values() for spec in analogue.videos for shot in spec.shots}
    trained = {shot for index in range(600) for shot in draw_world(WORLD_SEED, index).shots}
    assert not {_shows(shot) for shot in ours} & {_shows(shot) for shot in trained}


def _shows(shot: Shot) -> tuple[object, ...]:
    """What can be seen of a shot, whatever its length."""
    return shot.background, tuple((thing.colour, thing.shape, thing.x, thing.y) for thing in shot.things)


def test_decontamination_finds_none_of_it_in_the_training_world(drawn: dict[str, Analogue]) -> None:
    ours = [spec for name_ in ("MSRVTT", "CMRB") for spec in drawn[name_].videos]
    trained = [draw_world(WORLD_SEED, index) for index in range(40)]
    sets = pa.table({"set_name": ["sample"] * len(ours), "source": [whole(spec).id for spec in ours],
                     "video_id": [""] * len(ours), "prints": [_prints(spec) for spec in ours]})  # fmt: skip
    rows = pa.table({"key": [spec.name for spec in trained], "start_s": [0.0] * len(trained),
                     "prints": [_prints(spec) for spec in trained]})  # fmt: skip
    assert shown_in(Limits(), sets, rows) == {}


def _prints(spec: VideoSpec) -> bytes:
    maker = Fingerprinter()
    count = 0
    for count, frame in enumerate(render(spec), start=1):
        maker.add((count - 1) / spec.fps, np.ascontiguousarray(frame[..., ::-1]))
    return maker.finish(count / spec.fps, spec.spans_s())
