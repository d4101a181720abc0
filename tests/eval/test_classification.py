"""Zero-shot classification: hand-made vectors give the accuracy counted by hand."""

import numpy as np
import pytest

from eval.uvrb.classification import INSTRUCTION, classify, read_label_set
from infra.errors import UsageError
from shards.records import Side

LABELS = ("run", "sit", "jump")


class Planted:
    """Labels lie on the axes; a video lies where its bytes say, one digit an axis."""

    dim = 3

    def __init__(self):
        self.instructed = set()

    def embed(self, sides, instruction=""):
        self.instructed |= {(bool(side.video), instruction) for side in sides}
        rows = np.array([self._at(side) for side in sides], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def _at(self, side: Side):
        return np.eye(3)[LABELS.index(side.text)] if side.text else [int(digit) for digit in side.video.decode()]


def test_the_nearest_label_is_the_answer():
    videos = [b"910", b"190", b"291", b"080"]
    found = classify(videos, ("run", "run", "run", "sit"), LABELS, Planted())
    assert found.accuracy == 0.5
    assert found.by_label == {"run": pytest.approx(1 / 3), "sit": 1.0}
    assert found.confused == {"run": ("sit", 2)}
    assert (found.videos, found.labels, found.chance) == (4, 3, pytest.approx(1 / 3))


def test_of_equally_near_labels_the_first_is_taken():
    assert classify([b"055"], ["sit"], LABELS, Planted()).accuracy == 1
    assert classify([b"055"], ["jump"], LABELS, Planted()).accuracy == 0


def test_videos_have_the_instruction_and_labels_have_none():
    embedder = Planted()
    classify([b"100"], ["run"], LABELS, embedder)
    assert embedder.instructed == {(True, INSTRUCTION), (False, "")}


@pytest.mark.parametrize(
    ("true", "labels", "message"),
    [
        ([], LABELS, "no video"),
        (["run"], ("run", "run"), "'run' twice"),
        (["fly"], LABELS, "no label of the set: 'fly'"),
    ],
)
def test_what_cannot_be_scored_is_refused(true, labels, message):
    with pytest.raises(UsageError, match=message):
        classify([b"100"] * len(true), true, labels, Planted())


def test_a_label_set_is_read_from_a_table_beside_its_videos(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.mp4").write_bytes(name.encode())
    (tmp_path / "acts.csv").write_text("path,label\na.mp4,sit\nb.mp4,run\nc.mp4,sit\n")
    found = read_label_set(str(tmp_path / "acts.csv"))
    assert (found.name, found.labels, found.true) == ("acts", ("sit", "run"), ("sit", "run", "sit"))
    assert list(found.videos()) == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a row a video"),
        ("path,class\na.mp4,sit\n", "a row a video"),
        ("path,label\na.mp4,\n", "a row a video"),
        ("path,label\nx.mp4,sit\ny.mp4,sit\n", "2 of 2 videos are not there, the first is .*x.mp4"),
    ],
)
def test_a_bad_label_set_is_told_in_one_line(tmp_path, text, message):
    (tmp_path / "acts.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_label_set(str(tmp_path / "acts.csv"))
