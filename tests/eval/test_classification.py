"""Zero-shot classification: hand-made vectors give the accuracy counted by hand."""

import numpy as np
import pytest

from eval.uvrb.classification import INSTRUCTION, classify
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
    videos = [(b"910", "run"), (b"190", "run"), (b"291", "run"), (b"080", "sit")]
    found = classify(videos, LABELS, Planted())
    assert found.accuracy == 0.5
    assert found.by_label == {"run": pytest.approx(1 / 3), "sit": 1.0}
    assert found.confused == {"run": ("sit", 2)}
    assert (found.videos, found.labels, found.chance) == (4, 3, pytest.approx(1 / 3))


def test_of_equally_near_labels_the_first_is_taken():
    assert classify([(b"055", "sit")], LABELS, Planted()).accuracy == 1
    assert classify([(b"055", "jump")], LABELS, Planted()).accuracy == 0


def test_videos_have_the_instruction_and_labels_have_none():
    embedder = Planted()
    classify([(b"100", "run")], LABELS, embedder)
    assert embedder.instructed == {(True, INSTRUCTION), (False, "")}


@pytest.mark.parametrize(
    ("videos", "labels", "message"),
    [
        ([], LABELS, "no video"),
        ([(b"100", "run")], ("run", "run"), "'run' twice"),
        ([(b"100", "fly")], LABELS, "no label of the set: 'fly'"),
    ],
)
def test_what_cannot_be_scored_is_refused(videos, labels, message):
    with pytest.raises(UsageError, match=message):
        classify(videos, labels, Planted())
