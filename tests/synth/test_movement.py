"""Words for ways: every figure is told apart, whatever its size, place and noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from infra.sample_world.path import leg_offset
from infra.sample_world.spec import STRAIGHT
from synth.generators.measured.movement import direction, moves

TIMES = np.linspace(0, 4, 25)


def way(*legs: tuple[str, float], noise: float = 0.002) -> NDArray[np.float64]:
    """A way through legs of equal time (motion, distance) with some noise, in short sides."""
    at = np.array([0.4, 0.5])
    points = []
    for number, (motion, distance) in enumerate(legs):
        count = 25 // len(legs) + (number < 25 % len(legs))
        progress = np.linspace(0, 1, count + 1)[1:] if number else np.linspace(0, 1, count)
        points += [at + np.multiply(leg_offset(motion, float(p)), distance) for p in progress]
        at = points[-1]
    return np.array(points) + np.random.default_rng(0).normal(0, noise, (25, 2))


@pytest.mark.parametrize("motion", STRAIGHT)
@pytest.mark.parametrize("distance", [0.2, 0.7])
def test_straight_ways(motion: str, distance: float) -> None:
    assert [move.kind for move in moves(way((motion, distance)), TIMES)] == [motion]


@pytest.mark.parametrize("motion", ["clockwise", "counterclockwise"])
@pytest.mark.parametrize("radius", [0.12, 0.25])
def test_circles(motion: str, radius: float) -> None:
    assert [move.kind for move in moves(way((motion, radius)), TIMES)] == [motion]


@pytest.mark.parametrize("motion", ["zigzag_left", "zigzag_right"])
def test_zigzags(motion: str) -> None:
    assert [move.kind for move in moves(way((motion, 0.6)), TIMES)] == [motion]


@pytest.mark.parametrize(
    ("legs", "kinds"),
    [
        ([("right", 0.4), ("down", 0.4)], ["right", "down"]),
        ([("up_left", 0.4), ("right", 0.3)], ["up_left", "right"]),
        ([("back_and_forth", 0.4)], ["right", "left"]),
        ([("grow", 1.0), ("left", 0.4)], ["still", "left"]),
        ([("left", 0.4), ("grow", 1.0)], ["left", "still"]),
        ([("grow", 1.0)], ["still"]),
    ],
)
def test_turns_and_rests(legs: list[tuple[str, float]], kinds: list[str]) -> None:
    found = moves(way(*legs), TIMES)
    assert [move.kind for move in found] == kinds
    assert found[0].start_s == 0
    assert found[-1].stop_s == 4
    if len(found) == 2:
        assert found[0].stop_s == pytest.approx(2, abs=0.4)


def test_a_random_walk_has_no_name() -> None:
    walk = np.cumsum(np.random.default_rng(3).normal(0, 0.08, (25, 2)), axis=0)
    assert {move.kind for move in moves(walk, TIMES)} <= {"", "still"}


@given(st.floats(0, 2 * np.pi), st.floats(0.1, 3))
def test_a_direction_is_within_its_sector(angle: float, length: float) -> None:
    named = direction(length * np.array([np.cos(angle), np.sin(angle)]))
    vector = np.sum([STRAIGHT[part] for part in named.removeprefix("mostly_").split("_")], axis=0)
    off = np.rad2deg(np.arccos(np.clip(vector @ [np.cos(angle), np.sin(angle)] / np.linalg.norm(vector), -1, 1)))
    assert off <= (28.01 if named.startswith("mostly_") else 17.01)
