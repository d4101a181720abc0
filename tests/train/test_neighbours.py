"""Near pairs in one batch: groups by hand and by a naive twin, one pass over every pair, exact after a kill."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_vectors import unit
from numpy.typing import NDArray
from small_training import OFTEN, decisive
from toy_batches import SETTINGS, content, make

from infra.errors import ReleaseCorrupt, UsageError
from shards.index import INDEX, write_index
from shards.manifest import load_manifest
from shards.mining import Minable, Positives, to_steps
from train.batches import TrainBatch, TrainingBatches
from train.loop import train
from train.neighbours import SPARE, near_groups
from train.settings import BatchSettings

RUN = replace(OFTEN, batches=BatchSettings(size=8, tasks=("T2V",), neighbours=3))
NEAR = replace(SETTINGS, size=8, neighbours=3)
Vectors = NDArray[np.float32]


def pairs_of(queries: Vectors, targets: Vectors, videos: Sequence[int], query_ids: Sequence[int]) -> Minable:
    """Pairs whose targets are each a group of duplicates by itself."""
    steps = [to_steps(side.astype(np.float16)) for side in (queries, targets)]
    groups, asked = np.arange(len(queries)), np.array(query_ids)
    return Minable(*steps, np.array(videos), asked, groups, Positives.of(asked, groups))


@st.composite
def drawn_pairs(draw: st.DrawFn) -> Minable:
    """Up to 12 pairs in the plane, in few directions: many are equally near; some share videos and queries."""
    count = draw(st.integers(1, 12))
    some = st.lists(st.integers(0, count // 2), min_size=count, max_size=count)
    angles = np.array([draw(some), draw(some)]) * 0.5
    queries, targets = np.stack([np.cos(angles), np.sin(angles)], axis=2).astype(np.float32)
    return pairs_of(queries, targets, draw(some), draw(some))


def naive_groups(pairs: Minable, neighbours: int) -> list[list[int]]:
    """`near_groups`, one pair at a time."""
    queries, targets = pairs.queries.astype(int), pairs.targets.astype(int)
    left, groups = list(range(len(queries))), []
    while left:
        first = left.pop(0)
        nearness = {n: max(queries[first] @ targets[n], queries[n] @ targets[first]) for n in left}
        allowed = [n for n in left if not (_answers(pairs, first, n) or _answers(pairs, n, first))]
        group = sorted(allowed, key=lambda n: (-nearness[n], n))[:neighbours]
        left = [n for n in left if n not in group]
        groups.append([first, *group])
    return groups


def _answers(pairs: Minable, query: int, target: int) -> bool:
    """Whether a pair's query is answered by another's target: of its video, or of a pair with the same query."""
    named = (pairs.groups[pairs.query_ids == pairs.query_ids[query]] == pairs.groups[target]).any()
    return bool(pairs.videos[query] == pairs.videos[target] or named)


@given(drawn_pairs(), st.integers(1, 4))
def test_groups_are_those_of_a_naive_twin(pairs: Minable, neighbours: int) -> None:
    assert near_groups(pairs, neighbours) == naive_groups(pairs, neighbours)


def test_only_the_nearest_are_looked_at() -> None:
    """Of more pairs than that, too, the nearest come first, and who has nobody but its own is alone."""
    rng = np.random.default_rng(1)
    queries, targets = unit(rng.standard_normal((2, 100, 4)).astype(np.float32))
    pairs = pairs_of(queries, targets, range(100), range(100))
    assert near_groups(pairs, 3) == naive_groups(pairs, 3)
    assert near_groups(pairs, 40) == naive_groups(pairs, 40)
    siblings = pairs_of(queries, targets, [0] * 100, range(100))
    assert near_groups(siblings, 3) == [[n] for n in range(100)]
    assert 40 + SPARE < 100


def test_a_pair_is_near_by_either_side_and_never_beside_an_answer() -> None:
    east, north, west = (1, 0), (0, 1), (-1, 0)
    queries = np.array([east, north, west, north, east], np.float32)
    targets = np.array([east, west, east, north, east], np.float32)
    # The first one's query is the third's target; the last one's too, but it is of the same video.
    assert near_groups(pairs_of(queries, targets, [0, 1, 2, 3, 0], range(5)), 1) == [[0, 2], [1, 3], [4]]
    assert near_groups(pairs_of(queries, targets, range(5), range(5)), 1) == [[0, 2], [1, 3], [4]]  # the lower row
    assert near_groups(pairs_of(queries, targets, range(5), [0, 1, 0, 3, 4]), 1) == [[0, 4], [1, 2], [3]]


def number_of(pair_id: str) -> int:
    return int(pair_id.removeprefix("T2V"))


def see(made: TrainingBatches, batches: Sequence[TrainBatch]) -> None:
    """Have the pairs of some batches embedded so that those of neighbouring numbers are near: on an arc."""
    for batch in batches:
        angle = torch.tensor([number_of(pair.pair_id) / 20 for pair in batch.pairs])
        vectors = torch.stack([angle.cos(), angle.sin()], dim=1)
        assert made.neighbours is not None
        made.neighbours.see([pair.pair_id for pair in batch.pairs], vectors, vectors)


def near_in(batches: Sequence[TrainBatch]) -> float:
    """The mean distance in numbers of a pair to the nearest one in its batch."""
    found = []
    for batch in batches:
        numbers = np.array([number_of(pair.pair_id) for pair in batch.pairs])
        apart = abs(numbers[:, None] - numbers) + 1000 * np.eye(len(numbers))
        found += apart.min(axis=1).tolist()
    return float(np.mean(found))


def one_pass(made: TrainingBatches) -> list[TrainBatch]:
    return list(made.serve(["T2V"] * 5))  # of 8 of its 40 pairs


def test_a_second_pass_puts_near_pairs_together_and_holds_every_pair_once(toy_release: str) -> None:
    made = make(toy_release, NEAR)
    first = one_pass(made)
    assert content(first) == content(one_pass(make(toy_release, replace(NEAR, neighbours=0))))
    see(made, first)
    second = one_pass(made)
    plain = make(toy_release, replace(NEAR, neighbours=0))
    one_pass(plain)
    assert near_in(second) < 0.6 * near_in(one_pass(plain))
    assert sorted(pair.pair_id for batch in second for pair in batch.pairs) == sorted(
        pair.pair_id for batch in first for pair in batch.pairs
    )
    assert content(one_pass(made)) != content(second)


def test_near_pairs_are_sought_among_those_that_are_shuffled_with_each_other(toy_release: str) -> None:
    made = make(toy_release, NEAR)
    see(made, one_pass(made))
    order = made.tasks["T2V"]._order
    window = order.window
    assert window == 20
    assert made.neighbours is not None
    arranged = made.neighbours.arranged(replace(order, epoch=1), 3)
    assert arranged is not None
    plain, near = replace(order, epoch=1), replace(order, epoch=1, arranged=arranged)
    for number in range(2):
        assert near.block(number) != plain.block(number)
        assert sorted(near.block(number), key=str) == sorted(plain.block(number), key=str)
    assert list(near.places(13)) == list(near.places())[13:]


def test_pairs_that_were_not_seen_are_served_all_the_same(toy_release: str) -> None:
    made = make(toy_release, NEAR)
    see(made, one_pass(made)[:2])
    assert sorted(pair.pair_id for batch in one_pass(made) for pair in batch.pairs) == sorted(
        pair.pair_id for batch in one_pass(make(toy_release, NEAR)) for pair in batch.pairs
    )


def test_an_index_that_does_not_know_all_pairs_is_told(toy_release: str, tmp_path: Path) -> None:
    shutil.copytree(Path(toy_release).parent, tmp_path / "toy")
    index = tmp_path / "toy" / INDEX
    write_index(pq.read_table(index).slice(1).to_reader(), index)
    known = sum(shard.samples for shard in load_manifest(toy_release).shards if shard.split == "train")
    with pytest.raises(ReleaseCorrupt, match=f"{known - 1} of the {known} pairs"):
        make(str(tmp_path / "toy/manifest.json"), NEAR)


@pytest.mark.parametrize("left_at", [0, 2, 5])
def test_batches_go_on_where_they_were_left_whatever_was_seen_since_the_pass_began(
    toy_release: str, left_at: int
) -> None:
    whole = make(toy_release, NEAR)
    see(whole, one_pass(whole))
    batches = one_pass(whole)
    first = make(toy_release, NEAR)
    see(first, one_pass(first))
    for batch in list(first.serve(["T2V"] * left_at)):
        see(first, [batch])
    second = make(toy_release, NEAR)
    assert first.neighbours is not None
    assert second.neighbours is not None
    second.neighbours.load_state_dict(first.neighbours.state_dict())
    second.load_state_dict(first.state_dict())
    rest = list(second.serve(["T2V"] * (5 - left_at)))
    assert content(rest) == content(batches[left_at:])


def test_ranks_that_have_seen_the_same_share_a_pass_and_find_near_pairs_in_their_part(toy_release: str) -> None:
    ranks = [make(toy_release, NEAR, rank=rank, ranks=2) for rank in range(2)]
    seen = [list(made.serve(["T2V"] * 5)) for made in ranks]
    for made in ranks:
        for part in seen:
            see(made, part)
    parts = [list(made.serve(["T2V"] * 5)) for made in ranks]
    named = [pair.pair_id for part in parts for batch in part for pair in batch.pairs]
    assert len(named) == len(set(named)) == 40
    for rank, part in enumerate(parts):
        plain = make(toy_release, replace(NEAR, neighbours=0), rank=rank, ranks=2)
        list(plain.serve(["T2V"] * 5))
        assert near_in(part) < 0.7 * near_in(list(plain.serve(["T2V"] * 5)))


@pytest.fixture(scope="module")
def near_run(toy_release: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("near")
    train(toy_release, str(out), replace(RUN, checkpoints_kept=99))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("last", [10, 14])
def test_from_any_checkpoint_a_run_goes_on_to_the_same_weights(
    last: int, toy_release: str, near_run: Path, tmp_path: Path
) -> None:
    """Of five steps a pass: at the end of an arranged one, and in the middle of one."""
    for checkpoint in (near_run / "checkpoints").iterdir():
        if checkpoint.name < f"step-{last + 1:08d}":
            shutil.copytree(checkpoint, tmp_path / "checkpoints" / checkpoint.name)
    for log in ("steps.jsonl", "epochs.jsonl"):
        shutil.copy(near_run / log, tmp_path)
    train(toy_release, str(tmp_path), RUN)
    assert (tmp_path / "model.safetensors").read_bytes() == (near_run / "model.safetensors").read_bytes()
    assert decisive(tmp_path) == decisive(near_run)


@pytest.mark.slow
def test_the_first_pass_is_as_without_and_the_next_ones_are_not(
    toy_release: str, near_run: Path, tmp_path: Path
) -> None:
    train(toy_release, str(tmp_path), replace(RUN, batches=replace(RUN.batches, neighbours=0)))
    losses = [[entry["loss"] for entry in decisive(out)] for out in (near_run, tmp_path)]
    assert [ours == theirs for ours, theirs in zip(*losses, strict=True)] == [True] * 5 + [False] * 10


def test_as_many_neighbours_as_a_batch_has_pairs_are_refused() -> None:
    with pytest.raises(UsageError, match="neighbours"):
        BatchSettings(size=8, neighbours=8)
    with pytest.raises(UsageError, match="neighbours"):
        BatchSettings(sizes={"T2I": 2}, neighbours=2)
    with pytest.raises(UsageError, match="neighbours"):
        BatchSettings(neighbours=-1)
