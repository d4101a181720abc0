"""Processes that are the ranks of one run on this machine, and the work that tests have them do.

They are forked from a server that has imported torch and the model once.
"""

import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from made_batches import deal, encode_in_double, encode_vectors, small_module, text_of, tiny_gve, vector_of
from torch import nn

from infra.errors import RunFailed
from train.gradcache import chunk_by_grid
from train.ranks import Ranks
from train.step import step_backward

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["made_batches", "train.step"])
TEMPERATURE, MARGIN = 0.1, 0.1


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def meet(rank: int, size: int, port: int, timeout_s: float) -> Ranks:
    """Be a rank, by the variables that torchrun sets."""
    torch.set_num_threads(1)
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
    os.environ.update({"MASTER_ADDR": "127.0.0.1"} | {name: str(value) for name, value in numbers.items()})
    return Ranks.from_environment(timeout_s)


def on_ranks(size: int, work: Callable[[Ranks], Any]) -> list[Any]:
    """What `work` returns on each of `size` ranks."""
    with ProcessPoolExecutor(size, mp_context=CONTEXT) as pool:
        port = free_port()
        return [done.result() for done in [pool.submit(_as_rank, rank, size, port, work) for rank in range(size)]]


def _as_rank(rank: int, size: int, port: int, work: Callable[[Ranks], Any]) -> Any:
    ranks = meet(rank, size, port, 60)
    result = work(ranks)
    ranks.close()
    return result


def exchange_everything(ranks: Ranks) -> dict[str, Any]:
    """What each of the collectives gives, from values that differ by rank."""
    number = ranks.rank + 1
    rows = torch.full((2 * ranks.rank, 3), float(number), dtype=torch.float64)  # none on rank 0
    weights = [nn.Parameter(torch.zeros(shape)) for shape in [(2, 2), (3,), (1,), (4,)]]
    weights[1] = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    for weight in weights[:2]:
        weight.grad = torch.full_like(weight, number)
    if ranks.rank == 1:
        weights[2].grad = torch.full_like(weights[2], 5.0)
    ranks.barrier()
    ranks.sum_gradients(weights, bucket_bytes=16)
    return {
        "share": ranks.share({"rank": ranks.rank}),
        "broadcast": ranks.broadcast([number]),
        "gather": [part.tolist() for part in ranks.gather(rows if ranks.rank else torch.empty(0, 0))],
        "dtype": str(ranks.gather(rows)[0].dtype),
        "nothing": [tuple(part.shape) for part in ranks.gather(torch.empty(0, ranks.rank))],
        "gradients": [None if weight.grad is None else weight.grad.tolist() for weight in weights],
    }


def step_gradients(ranks: Ranks) -> dict[str, Any]:
    """Measures, vectors and summed gradients of the made batch: a small module and GVE, at once and by chunks."""
    module, gve = small_module(), tiny_gve()
    vectors = deal(vector_of, ranks.size)[ranks.rank]
    texts = deal(partial(text_of, gve), ranks.size)[ranks.rank]
    rows = range(len(vectors.sides))
    steps = {
        "module": (module, partial(encode_vectors, module), vectors, [rows]),
        "module by chunks": (module, partial(encode_vectors, module), vectors, [rows[::2], rows[1::2]]),
        "gve": (gve.model, partial(encode_in_double, gve), texts, chunk_by_grid(texts.sides, 0)),
        "gve by chunks": (gve.model, partial(encode_in_double, gve), texts, chunk_by_grid(texts.sides, 150)),
    }
    return {name: _step(ranks, *step) for name, step in steps.items()}


def _step(ranks: Ranks, model: nn.Module, encode: Any, dealt: Any, chunks: Any) -> tuple[Any, list[np.ndarray | None]]:
    model.zero_grad()
    result = step_backward(encode, dealt.sides, chunks, dealt.ids, ranks, TEMPERATURE, MARGIN)
    ranks.sum_gradients(model.parameters(), bucket_bytes=10_000)
    vectors = (*result.queries.flatten().tolist(), *result.targets.flatten().tolist())  # all ranks', in their order
    measures = (float(result.loss), result.positive_score, result.negative_gap, result.masked, *vectors)
    return measures, [None if weight.grad is None else weight.grad.numpy() for weight in model.parameters()]


def outlive(rank: int, size: int, port: int, timeout_s: float, tell: Connection) -> None:
    """Meet the other rank, say so, and on rank 0 tell how an exchange fails that rank 1 does not take part in."""
    ranks = meet(rank, size, port, timeout_s)
    ranks.barrier()
    tell.send("met")
    if rank:
        time.sleep(600)
    try:
        ranks.sum_gradients(small_module().parameters())
    except RunFailed as error:
        tell.send(str(error))
