"""Batches: one task each, an order that the seed alone decides, every pair at most once a pass; hard negatives."""

import json
import tarfile
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_batches import SETTINGS, content, make
from toy_release import toy_pairs, write_release

from infra.errors import UsageError
from train.batches import PreparedPair, TrainBatch, TrainingBatches
from train.settings import BatchSettings

PASS = ("T2V", "I2V", "T2T") * 2  # 40 pairs of each task: two whole batches


def test_a_pass_serves_each_pair_of_a_task_at_most_once(toy_release: str) -> None:
    made = make(toy_release)
    assert made.batches == {"T2V": 2, "I2V": 2, "T2T": 2}
    batches = list(made.serve(PASS))
    assert [batch.task for batch in batches] == list(PASS)
    assert all(pair.pair_id.startswith(batch.task) for batch in batches for pair in batch.pairs)
    seen = [pair.pair_id for batch in batches for pair in batch.pairs]
    assert len(seen) == len(set(seen)) == 6 * 16
    assert {task: found.position for task, found in made.tasks.items()} == dict.fromkeys(PASS, 1.0)


def test_every_pass_is_shuffled_anew(toy_release: str) -> None:
    passes = [content(batches) for batches in _by_pass(make(toy_release), 3)]
    assert len({str(batches) for batches in passes}) == 3


def _by_pass(made: TrainingBatches, passes: int) -> list[list[TrainBatch]]:
    return [list(made.serve(["T2V"] * 2)) for _ in range(passes)]


def test_a_tasks_pairs_depend_on_the_seed_and_not_on_cache_or_other_tasks(toy_release: str) -> None:
    alone = content(make(toy_release).serve(["T2V"] * 5))
    warm = make(toy_release)
    mixed = list(warm.serve(["T2V", "T2T", "T2V", "I2V", "T2V", "T2V", "T2T", "T2V"]))
    assert content(batch for batch in mixed if batch.task == "T2V") == alone
    assert content(make(toy_release, replace(SETTINGS, cache_bytes=0)).serve(["T2V"] * 5)) == alone
    assert content(make(toy_release, seed=2).serve(["T2V"] * 5)) != alone


@pytest.mark.parametrize("left_at", [0, 1, 4, 7, 11])
def test_batches_go_on_where_they_were_left(toy_release: str, left_at: int) -> None:
    tasks = PASS + PASS
    whole = content(make(toy_release).serve(tasks))
    first = make(toy_release)
    begun = content(islice(first.serve(tasks), left_at))
    second = make(toy_release)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert begun + content(second.serve(tasks[left_at:])) == whole


def test_ranks_share_every_batch_evenly_and_no_pair_is_with_two(toy_release: str) -> None:
    parts = [list(make(toy_release, rank=rank, ranks=3).serve(["T2V"] * 2)) for rank in range(3)]
    assert [[len(batch.pairs) for batch in batches] for batches in parts] == [[5, 5]] * 3  # 16 / 3; 13 pairs a rank
    seen = [pair.pair_id for batches in parts for batch in batches for pair in batch.pairs]
    assert len(seen) == len(set(seen)) == 30


def test_sizes_and_tasks_can_be_chosen(toy_release: str) -> None:
    made = make(toy_release, replace(SETTINGS, sizes={"T2V": 8}, tasks=("T2V", "T2T")))
    assert made.batches == {"T2V": 5, "T2T": 2}
    assert [len(batch.pairs) for batch in made.serve(["T2V", "T2T"])] == [8, 16]
    assert make(toy_release, replace(SETTINGS, size=64)).batches == dict.fromkeys(PASS, 1)  # with what there is
    with pytest.raises(UsageError, match="V2X"):
        BatchSettings(tasks=("V2X",))
    with pytest.raises(UsageError, match="at least two"):
        BatchSettings(sizes={"T2V": 1})


def test_probes_are_drawn_by_seed_and_epoch_and_shared_among_ranks(toy_release: str) -> None:
    def drawn(epoch: int, rank: int = 0, ranks: int = 1) -> list[str]:
        return [pair.pair_id for pair in make(toy_release, rank=rank, ranks=ranks).probes("T2V", epoch, 12)]

    assert len(set(drawn(0))) == 12
    assert drawn(0) == drawn(0) != drawn(1)
    assert len({*drawn(0, 0, 2), *drawn(0, 1, 2)}) == 12
    assert len([*make(toy_release).probes("T2V", 0, 1000)]) == 40
    assert len(drawn(0, rank=19, ranks=20)) == 1  # of 12 for 20 ranks


def test_bad_samples_are_counted_and_their_task_has_fewer_pairs(toy_release: str, tmp_path: Path) -> None:
    hurt = copy_of(toy_release, tmp_path)
    shard = tmp_path / "train-T2V-000001.tar"
    shard.write_bytes(shard.read_bytes()[:2000])  # the first of 16 samples is whole, if any
    batches = make(hurt)
    assert sum(len(batch.pairs) for batch in batches.serve(["T2V"] * 2)) in (32, 40 - 16, 40 - 15)
    assert batches.bad.counts["corrupt_sample"] in range(1, 17)
    assert "train-T2V-000001.tar" in batches.bad.first["corrupt_sample"]


def copy_of(release: str, folder: Path) -> str:
    for file in Path(release).parent.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return str(folder / "manifest.json")


def with_negatives(folder: Path, named: dict[str, list[str]]) -> str:
    """The toy release in which some pairs name others as hard negatives."""
    samples = list(toy_pairs())
    for sample in samples:
        facts = json.loads(sample["json"])
        sample["json"] = json.dumps(facts | {"negatives": named.get(facts["pair_id"], [])}).encode()
    return write_release(folder, samples)


def test_hard_negatives_are_the_targets_of_the_pairs_that_are_named(toy_release: str, tmp_path: Path) -> None:
    release = with_negatives(tmp_path, {"T2V0000": ["T2V0001"], "T2V0002": ["T2V0003", "T2V9999"]})
    plain, pairs = whole_pass(toy_release), whole_pass(release)
    negatives = {name: [n.target_id for n in pair.negatives] for name, pair in pairs.items() if pair.negatives}
    assert negatives == {"T2V0000": [plain["T2V0001"].target_id], "T2V0002": [plain["T2V0003"].target_id]}
    (negative,) = pairs["T2V0000"].negatives
    expected = plain["T2V0001"].target.video
    assert negative.target.video is not None
    assert expected is not None
    assert torch.equal(negative.target.video.data, expected.data)
    assert not any(pair.negatives for pair in whole_pass(release, hard_negatives=False).values())


def whole_pass(release: str, **settings: Any) -> dict[str, PreparedPair]:
    made = make(release, replace(SETTINGS, size=8, **settings))
    return {pair.pair_id: pair for batch in made.serve(["T2V"] * 5) for pair in batch.pairs}


def test_a_damaged_hard_negative_is_counted_and_its_query_is_trained_on(tmp_path: Path) -> None:
    bad = "T2V0046"
    release = with_negatives(tmp_path, {f"T2V{n:04d}": [bad] for n in range(20)})
    shard = tmp_path / "train-T2V-000002.tar"
    data = bytearray(shard.read_bytes())
    with tarfile.open(shard) as tar:
        member = tar.getmember(f"{bad}.target.mp4")
    data[member.offset_data : member.offset_data + member.size] = bytes(member.size)
    shard.write_bytes(bytes(data))
    batches = make(release, replace(SETTINGS, size=8))
    pairs = [pair for batch in batches.serve(["T2V"] * 5) for pair in batch.pairs]
    asked = [pair for pair in pairs if pair.pair_id < "T2V0020"]
    assert asked
    assert all(not pair.negatives and len(pair.bad_negatives) == 1 for pair in asked)
    assert sum(batches.bad.counts.values()) == len(asked) + 1  # and the pair itself
