"""What ranks tell each other, and how they end when one of them is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import pytest
import torch
from rank_processes import CONTEXT, exchange_everything, free_port, on_ranks, outlive

from infra.errors import UsageError
from train.ranks import Ranks, buckets


def test_everything_that_two_ranks_exchange() -> None:
    first, second = on_ranks(2, exchange_everything)
    assert first == second
    assert first["share"] == [{"rank": 0}, {"rank": 1}]
    assert first["broadcast"] == [1]
    assert first["gather"] == [[], [[2.0] * 3] * 2]
    assert first["dtype"] == "torch.float64"
    assert first["nothing"] == [(0, 1), (0, 1)]
    assert first["gradients"] == [[[3.0] * 2] * 2, [3.0] * 3, [5.0], None]


def test_one_rank_is_alone() -> None:
    rows = torch.ones(2, 3, requires_grad=True)
    weight = torch.ones(2, requires_grad=True)
    ranks = Ranks()
    ranks.sum_gradients([weight])
    ranks.barrier()
    ranks.close()
    (gathered,) = ranks.gather(rows)
    assert torch.equal(gathered, rows)
    assert not gathered.requires_grad
    assert (ranks.share("a"), ranks.broadcast("a"), weight.grad) == (["a"], "a", None)


@contextmanager
def two_ranks(timeout_s: float) -> Iterator[tuple[Connection, Any]]:
    """What rank 0 of `outlive` tells, and rank 1's process, when the two have met."""
    (hear, tell), (hear_other, tell_other) = CONTEXT.Pipe(False), CONTEXT.Pipe(False)
    port = free_port()
    processes = [
        CONTEXT.Process(target=outlive, args=(rank, 2, port, timeout_s, end))
        for rank, end in enumerate((tell, tell_other))
    ]
    for process in processes:
        process.start()
    try:
        assert hear.recv() == hear_other.recv() == "met"
        yield hear, processes[1]
    finally:
        for process in processes:
            process.kill()
            process.join()


def test_a_rank_whose_other_is_killed_says_what_to_do() -> None:
    with two_ranks(timeout_s=600) as (hear, other):
        other.kill()
        assert hear.poll(60), "still waiting for a rank that is dead"
        told = hear.recv()
    assert told.startswith("rank 0 lost the other 1: ")
    assert told.endswith("start the same command again, it goes on from the last checkpoint")
    assert "\n" not in told


def test_a_rank_does_not_wait_for_ever_for_one_that_hangs() -> None:
    with two_ranks(timeout_s=8) as (hear, _):  # which they must also meet in
        assert hear.poll(60), "still waiting after the timeout"
        assert "lost the other" in hear.recv()


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    ranks = Ranks.from_environment()
    assert (ranks.rank, ranks.size) == (0, 1)
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(UsageError, match="WORLD_SIZE is 'two'"):
        Ranks.from_environment()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(UsageError, match=r"MASTER_ADDR.*torchrun"):
        Ranks.from_environment()


def test_buckets_keep_the_order_and_hold_one_dtype() -> None:
    sizes = [3, 1, 9, 2, 2]
    tensors = [torch.zeros(size) for size in sizes] + [torch.zeros(1, dtype=torch.float64)]
    runs = buckets(tensors, most_bytes=16)
    assert [[len(tensor) for tensor in run] for run in runs] == [[3, 1], [9], [2, 2], [1]]
    assert [tensor for run in runs for tensor in run][2] is tensors[2]
