"""The cache of vectors: what is kept, what is damaged, and what tells sides apart."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from eval.uvrb.vectors import VectorCache, side_key
from infra.errors import RunFailed
from shards.records import Side

DIM = 3
KEYS = [side_key(Side(text=f"text {number}"), "") for number in range(6)]
VECTORS = np.arange(18, dtype=np.float32).reshape(6, DIM)


def cache_at(folder: Path, told: list[str] | None = None) -> VectorCache:
    return VectorCache(str(folder), "model", DIM, (told if told is not None else []).append)


def filled(folder: Path) -> VectorCache:
    cache = cache_at(folder)
    cache.add(KEYS[:4], VECTORS[:4])
    cache.add(KEYS[4:], VECTORS[4:])
    return cache


def test_vectors_come_back_to_the_last_bit_also_in_another_process(tmp_path: Path) -> None:
    filled(tmp_path)
    again = cache_at(tmp_path)
    order = [5, 0, 3, 3]
    assert again.read([KEYS[row] for row in order]).tobytes() == VECTORS[order].tobytes()
    assert KEYS[0] in again
    assert side_key(Side(text="another"), "") not in again
    assert again.read([]).shape == (0, DIM)


def test_what_others_write_is_seen_after_a_refresh(tmp_path: Path) -> None:
    early = cache_at(tmp_path)
    filled(tmp_path)
    assert KEYS[0] not in early
    early.refresh()
    assert early.read(KEYS).tobytes() == VECTORS.tobytes()


def test_models_do_not_mix(tmp_path: Path) -> None:
    filled(tmp_path)
    assert KEYS[0] not in VectorCache(str(tmp_path), "another model", DIM, print)


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "renamed"])
def test_a_damaged_file_is_told_removed_and_made_anew(tmp_path: Path, damage: str) -> None:
    filled(tmp_path)
    file = max((tmp_path / "model").iterdir(), key=lambda path: path.stat().st_size)
    data = file.read_bytes()
    changed = {"cut": data[:-1], "flipped": bytes([data[0] ^ 1]) + data[1:], "emptied": b"", "renamed": data}[damage]
    file.write_bytes(changed)
    if damage == "renamed":
        file.rename(file.with_name("0" * 32 + ".vectors"))
    told: list[str] = []
    cache = cache_at(tmp_path, told)
    assert [key in cache for key in KEYS] == [False] * 4 + [True] * 2
    assert len(told) == 1
    assert "is damaged; what it held is embedded again" in told[0]
    cache.add(KEYS[:4], VECTORS[:4])
    assert cache_at(tmp_path, told).read(KEYS).tobytes() == VECTORS.tobytes()
    assert len(told) == 1


def test_what_is_lost_while_it_is_used_fails_the_run(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    for file in (tmp_path / "model").iterdir():
        file.unlink()
    with pytest.raises(RunFailed, match="start the same command again"):
        cache.read(KEYS)


def test_a_key_tells_apart_all_that_a_model_is_given() -> None:
    sides = [
        (Side(text="ab"), "c"),
        (Side(text="a"), "bc"),
        (Side(text="ab"), ""),
        (Side(image=b"ab"), ""),
        (Side(video=b"ab"), ""),
        (Side(text="", image=b"ab"), ""),
        (Side(image=b"ab", video=b""), ""),
        (Side(image=b"a", video=b"b"), ""),
    ]
    keys = [side_key(side, instruction) for side, instruction in sides]
    assert all(first != second for first, second in combinations(keys, 2))
    assert side_key(Side(text="ab"), "c") == keys[0]
