"""The stages `captions` and `queries` over files in a lake."""

import json
from collections.abc import Sequence

import pytest

from infra.errors import RowError, UsageError
from infra.media.encode import encode_image, encode_video
from infra.sample_world.draw import draw_world
from infra.sample_world.render import render_shot
from infra.stage import Fault, Outcome, Row
from infra.workspace import LakeWorkspace
from synth.asking import without_repeats
from synth.caption import Captions, caption_row
from synth.generator import Answer, Request
from synth.generators.measured.generator import Measured
from synth.generators.settings import GeneratorSettings
from synth.query import Queries, query_row
from synth.style import PROFILES, Shares, draw_slots


class Late(Measured):
    """A generator that answers each question with what the question before it asked: the in-flight batching bug."""

    def __init__(self) -> None:
        super().__init__()
        self.last: list[Answer] = []

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        current = super().answer(requests)
        answers, self.last = self.last or current, current
        return answers


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> tuple[LakeWorkspace, list[Row]]:
    """Two clips with their frames and sub-clips, as the stages before leave them."""
    workspace = LakeWorkspace(str(tmp_path_factory.mktemp("lake")), "cut/abc")
    return workspace, [_row(workspace, index) for index in (0, 3)]


def _row(workspace: LakeWorkspace, index: int) -> Row:
    spec = draw_world(12, index)
    frames = list(render_shot(spec, spec.shots[0]))
    duration_s, third = len(frames) / spec.fps, len(frames) // 3
    return {
        "key": f"clip{index}",
        "clip_path": workspace.save(f"clip{index}.mp4", encode_video(frames, spec.fps)),
        "clip_duration_s": duration_s,
        "frame_path": workspace.save(f"clip{index}.jpg", encode_image(frames[third])),
        "subclip_path": workspace.save(f"clip{index}_part.mp4", encode_video(frames[third : 2 * third], spec.fps)),
        "subclip_start_s": third / spec.fps,
        "subclip_end_s": 2 * third / spec.fps,
        "caption": "",
    }


@pytest.mark.parametrize("stage", [Captions(), Queries()])
def test_rows_have_the_columns_of_the_schema(stage: Captions | Queries, lake: tuple[LakeWorkspace, list[Row]]) -> None:
    workspace, rows = lake
    found = list(stage.open(workspace)(rows))
    assert found == list(stage.open(workspace)(rows))
    for row, out in zip(rows, found, strict=True):
        assert isinstance(out, dict)
        assert set(row) >= {"key", *stage.needs}
        assert set(out) == {"key", "parent", *stage.schema.names}
        assert out["key"] == out["parent"] == row["key"]
        for name in {"captions", "frame_captions"} & set(out):
            assert len(out[name]) == len(set(out[name])) == 5


def test_captions_of_another_clip_are_refused(lake: tuple[LakeWorkspace, list[Row]]) -> None:
    workspace, (first, second) = lake
    generator = Late()
    assert caption_row(Captions(), generator, workspace, first)
    with pytest.raises(RowError, match="wrong_clip"):
        caption_row(Captions(), generator, workspace, second)


def test_queries_of_another_clip_are_refused(lake: tuple[LakeWorkspace, list[Row]]) -> None:
    workspace, (first, second) = lake
    generator = Late()
    assert query_row(Queries(), generator, workspace, first)
    with pytest.raises(RowError, match="wrong_clip"):
        query_row(Queries(), generator, workspace, second)


def test_media_that_cannot_be_read_are_a_fault_of_the_row(lake: tuple[LakeWorkspace, list[Row]]) -> None:
    workspace, (first, second) = lake
    broken = {**first, "clip_path": workspace.save("broken.mp4", b"no video")}
    fault, row = Captions().open(workspace)([broken, second])
    assert isinstance(fault, Fault)
    assert fault.key == first["key"]
    assert isinstance(row, dict)
    assert row["key"] == second["key"]


def test_one_answer_for_many_clips_is_no_answer() -> None:
    def rows(same: int, other: int) -> list[Outcome]:
        return [{"key": str(i), "text": "same" if i < same else f"text {i}"} for i in range(same + other)]

    assert without_repeats(rows(4, 4), ("text",)) == rows(4, 4)
    assert without_repeats(rows(12, 52), ("text",)) == rows(12, 52)
    for same, other in ((5, 4), (13, 51)):
        checked = without_repeats(rows(same, other), ("text",))
        faults = [outcome for outcome in checked if isinstance(outcome, Fault)]
        assert {fault.reason for fault in faults} == {"repeated_answer"}
        assert [fault.key for fault in faults] == [str(i) for i in range(same)]
        assert checked[same:] == rows(same, other)[same:]


def test_profiles_are_drawn_by_their_shares() -> None:
    shares = Shares(0.3, 0.6, 0.1)
    drawn = [draw_slots(shares, 7, "video_captions", f"clip{i}")["profile"] for i in range(4000)]
    for profile, share in zip(PROFILES, (0.3, 0.6, 0.1), strict=True):
        assert drawn.count(profile) / 4000 == pytest.approx(share, abs=0.03)
    assert draw_slots(shares, 7, "video_captions", "clip1") == draw_slots(shares, 7, "video_captions", "clip1")


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="sum to 1"):
        Captions(shares=Shares(0.9, 0.6, 0.1))
    with pytest.raises(UsageError, match=r"needs generator\.model"):
        GeneratorSettings(kind="vllm")
    assert json.dumps(Captions().fingerprint([])) != json.dumps(Captions(seed=1).fingerprint([]))
