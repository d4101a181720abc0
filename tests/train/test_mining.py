"""Negatives mined before an epoch: the stage's rules, the same on any ranks, anew each epoch, exact after a kill."""

import shutil
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from made_vectors import unit
from numpy.typing import NDArray
from rank_processes import on_ranks
from small_mining import batches_of, mine_shown, mine_toy, tiny
from small_training import MINING, decisive, start, wait_for_steps

from filters.negatives import Negatives
from infra.errors import RunFailed, UsageError
from shards.mining import NOBODY, SCALE, Known, to_steps
from shards.vectors import VECTOR, pack
from train.log import read_log
from train.loop import train
from train.mining import Embedded, mine_negatives, search
from train.ranks import Ranks
from train.settings import BatchSettings

TEXTS = ("key", "task", "split", "shard", "video_id", "clip_id", "query_id", "near_duplicate_of", "same_text_as")
NOTHING_RELEASED = pa.schema(
    [("key", pa.string()), ("negatives", pa.list_(pa.string())), ("vector_model", pa.string())]
).empty_table()


def drawn(seed: int, count: int) -> tuple[pa.Table, NDArray[np.float32]]:
    """Pairs of which videos, clips and queries coincide, some clips labelled as duplicates; vectors [2, count, 4]."""
    rng = np.random.default_rng(seed)
    rows = [
        {"key": f"p{n:03d}", "task": "T2V", "split": "train", "shard": "s", "position": n, "vector_model": "m"}
        | {name: f"{name}{rng.integers(0, count // 2)}" for name in ("video_id", "clip_id", "query_id")}
        | {"near_duplicate_of": f"clip_id{rng.integers(0, count)}" if rng.random() < 0.1 else None, "same_text_as": ""}
        for n in range(count)
    ]
    vectors = unit(rng.standard_normal((2, count, 4)).astype(np.float32))
    for row, query, target in zip(rows, *vectors, strict=True):
        row |= {"query_vector": pack(query), "clip_vector": pack(target)}
    names = [*((name, pa.string()) for name in TEXTS), ("position", pa.int64()), ("vector_model", pa.string())]
    schema = pa.schema([*names, ("query_vector", VECTOR), ("clip_vector", VECTOR)])
    return pa.Table.from_pylist(rows, schema=schema), vectors


def embedded(vectors: NDArray[np.float32], there: NDArray[np.bool_] | None = None) -> Embedded:
    queries, targets = (to_steps(side.astype(np.float16)) for side in vectors)
    there = np.ones(len(queries), bool) if there is None else there
    return Embedded(queries * there[:, None], targets * there[:, None], there, there)


@pytest.mark.parametrize("seed", range(5))
def test_it_finds_what_the_stage_finds(seed: int) -> None:
    table, vectors = drawn(seed, 60)
    found = search(Known.of(table), np.arange(60), embedded(vectors), 0.95, 42, Ranks())
    expected = [row["negatives"] for row in Negatives().compute(table, NOTHING_RELEASED) if isinstance(row, dict)]
    assert [[f"p{row:03d}"] if row != NOBODY else [] for row in found.targets.tolist()] == expected
    assert sum(map(bool, expected)) > 10


def test_hand_made_vectors_give_the_hardest_that_is_allowed() -> None:
    """Targets at angles from one query: its own, of its video, a duplicate's, too near, damaged, allowed, easier."""
    degrees = np.array([30, 40, 41, 31, 45, 50, 70])
    targets = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)
    vectors = np.stack([np.broadcast_to([1.0, 0.0], targets.shape), targets]).astype(np.float32)
    facts = {
        "video_id": ["v0", "v0", *(f"v{n}" for n in range(2, 7))],
        "clip_id": [f"c{n}" for n in range(7)],
        "query_id": [f"q{n}" for n in range(7)],
        "near_duplicate_of": [None, None, "c0", None, None, None, None],
        "same_text_as": [""] * 7,
    }
    known = Known.of(pa.table({name: pa.chunked_array([pa.array(v, pa.string())]) for name, v in facts.items()}))
    there = degrees != 45
    found = search(known, np.arange(7), embedded(vectors, there), 0.95, 42, Ranks())
    assert found.targets[0] == 5
    assert found.scores[0] / SCALE**2 == pytest.approx(np.cos(np.radians(50)), abs=1e-3)
    assert found.targets[4] == NOBODY
    assert 4 not in found.targets


def test_a_toy_releases_negatives_are_the_hardest_of_all_and_nothing_else_is_touched(toy_release: str) -> None:
    gve = tiny()
    batches = batches_of(toy_release, gve)
    gve.model.train()
    drawn_next = torch.get_rng_state()
    mining = mine_negatives(gve, batches, Ranks(), None)
    assert torch.equal(torch.get_rng_state(), drawn_next)
    assert gve.model.training
    assert all(weight.grad is None for weight in gve.model.parameters())
    pairs = {pair.pair_id: pair for pair in batches.pairs("T2V", gve.inputs)}
    ordered = [pairs[name.decode()] for name in batches.places.ids]
    cosines = gve.embed_prepared([p.query for p in ordered]) @ gve.embed_prepared([p.target for p in ordered]).T
    limits, rounding = 0.95 * cosines.diagonal()[:, None], 1e-3  # of half precision, which may move one over its limit
    surely_allowed = np.where(cosines <= limits - rounding, cosines, -np.inf)
    np.fill_diagonal(surely_allowed, -np.inf)
    has = mining.negatives != NOBODY
    found = cosines[np.flatnonzero(has), mining.negatives[has]]
    assert has.any()
    assert (found >= surely_allowed.max(axis=1)[has] - rounding).all()
    assert (found <= limits[has, 0] + rounding).all()
    assert (surely_allowed.max(axis=1)[~has] == -np.inf).all()
    assert mining.told()["negatives"] == has.sum()
    assert mining.mean_cosine == pytest.approx(found.mean(), abs=1e-3)
    assert (mining.queries, mining.bad_samples) == (40, {})


def test_two_ranks_mine_what_one_mines(toy_release: str) -> None:
    alone = mine_toy(toy_release, Ranks())
    first, second = on_ranks(2, partial(mine_toy, toy_release))
    assert np.array_equal(first.negatives, second.negatives)
    assert np.array_equal(first.negatives, alone.negatives)
    assert first.told() == second.told() == alone.told()


def test_damaged_samples_are_counted_and_are_nobodys_negatives(toy_release: str, tmp_path: Path) -> None:
    shutil.copytree(Path(toy_release).parent, tmp_path / "toy")
    (tmp_path / "toy/train-T2V-000001.tar").write_bytes(b"\0" * 512)  # 16 of the 40 pairs
    gve = tiny()
    batches = batches_of(str(tmp_path / "toy/manifest.json"), gve)
    mining = mine_negatives(gve, batches, Ranks(), None)
    gone = np.flatnonzero([batches.places.find(n.decode())[0].name.endswith("1.tar") for n in batches.places.ids])
    assert (mining.queries, mining.bad_samples) == (24, {"corrupt_sample": 16})
    assert (mining.negatives[gone] == NOBODY).all()
    assert not {*mining.negatives.tolist()} & {*gone.tolist()}


def test_weights_that_are_not_finite_end_it(toy_release: str) -> None:
    gve = tiny()
    with torch.no_grad():
        next(gve.model.language_model.parameters()).fill_(float("nan"))
    with pytest.raises(RunFailed, match="embeds T2V not finitely"):
        mine_negatives(gve, batches_of(toy_release, gve), Ranks(), None)


def test_who_watches_is_told(toy_release: str) -> None:
    notes: list[str] = []

    class Watching:
        def show(self, name: str, done: float, total: float, note: str = "") -> None:
            notes.append(note)

    mine_shown(toy_release, Watching())
    assert notes == ["mining hard negatives of T2V: 40/40 pairs"]


def test_new_negatives_take_the_place_of_old_ones_and_no_clip_is_decoded_again(toy_release: str) -> None:
    gve = tiny()
    batches = batches_of(toy_release, gve)
    ids = [name.decode() for name in batches.places.ids]
    next(iter(batches.serve(["T2V"])))  # so that something is prepared ahead without negatives
    for shift in (1, 2):
        batches.use_mined(np.roll(np.arange(40, dtype=np.int32), -shift))
        pairs = [pair for batch in batches.serve(["T2V"] * 5) for pair in batch.pairs]
        targets = {pair.pair_id: pair.target for pair in batches.pairs("T2V", gve.inputs)}
        for pair in pairs:
            name = ids[(ids.index(pair.pair_id) + shift) % 40]
            assert pair.named == (name,)
            (negative,) = pair.negatives
            assert negative.target.video is targets[name].video
    batches.use_mined(np.full(40, NOBODY, np.int32))
    assert not any(pair.negatives for batch in batches.serve(["T2V"] * 5) for pair in batch.pairs)


def test_a_share_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="negative_max_share"):
        BatchSettings(negative_max_share=1.5)


@pytest.fixture(scope="module")
def mined_run(toy_release: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mined")
    train(toy_release, str(out), replace(MINING, checkpoints_kept=99))
    return out


def state(out: Path, checkpoint: str) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(out / "checkpoints" / checkpoint / "training_state.pt", weights_only=True)
    return found


def epochs(out: Path) -> list[dict[str, Any]]:
    """The log of epochs without what the clock says."""
    found = read_log(out / "epochs.jsonl")
    for entry in found:
        entry.get("mined", {}).pop("seconds", None)
    return found


def test_every_epoch_but_the_first_mines_its_own(mined_run: Path) -> None:
    first, second, third = read_log(mined_run / "epochs.jsonl")
    assert "mined" not in first
    for entry in (second, third):
        told = entry["mined"]
        assert told["queries"] == 40
        assert 0 < told["negatives"] <= 40
        assert -1 <= told["mean_cosine"] <= 1
        assert told["seconds"] > 0
        assert told["bad_samples"] == {}
    begun = [state(mined_run, f"step-{5 * epoch:08d}-epoch-{epoch:04d}-begun")["mined"] for epoch in (1, 2)]
    assert not torch.equal(*begun)
    assert [int((mined != NOBODY).sum()) for mined in begun] == [e["mined"]["negatives"] for e in (second, third)]
    assert torch.equal(state(mined_run, "step-00000008-epoch-0001-begun")["mined"], begun[0])
    assert state(mined_run, "step-00000010-epoch-0002")["mined"] is None


def test_without_mining_the_first_epoch_is_the_same_and_nothing_is_told(
    toy_release: str, mined_run: Path, tmp_path: Path
) -> None:
    plain = replace(MINING, batches=replace(MINING.batches, mine_negatives=False))
    train(toy_release, str(tmp_path), plain)
    assert decisive(tmp_path)[:5] == decisive(mined_run)[:5]
    assert decisive(tmp_path)[5:] != decisive(mined_run)[5:]
    assert not any("mined" in entry for entry in read_log(tmp_path / "epochs.jsonl"))
    with pytest.raises(UsageError, match=r"other settings .*\(settings\)"):
        train(toy_release, str(tmp_path), MINING)


def test_a_prober_mines_for_the_first_epoch_too(toy_release: str, mined_run: Path, tmp_path: Path) -> None:
    curriculum = replace(MINING.curriculum, prober=str(mined_run))
    train(toy_release, str(tmp_path), replace(MINING, curriculum=curriculum, max_steps=1))
    (entry,) = read_log(tmp_path / "epochs.jsonl")
    assert entry["mined"]["queries"] == 40


def assert_same(out: Path, whole: Path) -> None:
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert decisive(out) == decisive(whole)
    assert epochs(out) == epochs(whole)


def test_killed_among_mined_negatives_it_goes_on_to_the_same_weights(
    toy_release: str, mined_run: Path, tmp_path: Path
) -> None:
    process = start(toy_release, tmp_path, run="mining")
    wait_for_steps(process, tmp_path, 7)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    train(toy_release, str(tmp_path), MINING)
    assert_same(tmp_path, mined_run)


@pytest.mark.parametrize("last", ["step-00000005-epoch-0001", "step-00000005-epoch-0001-begun"])
def test_it_goes_on_from_before_and_after_mining(last: str, toy_release: str, mined_run: Path, tmp_path: Path) -> None:
    for checkpoint in (mined_run / "checkpoints").iterdir():
        if checkpoint.name <= last:
            shutil.copytree(checkpoint, tmp_path / "checkpoints" / checkpoint.name)
    for log in ("steps.jsonl", "epochs.jsonl"):
        shutil.copy(mined_run / log, tmp_path)
    train(toy_release, str(tmp_path), MINING)
    assert_same(tmp_path, mined_run)
    assert len([*(tmp_path / "checkpoints").iterdir()]) == 1
