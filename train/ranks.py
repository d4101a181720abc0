"""The processes of one training run: who they are and what they tell each other."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from infra.errors import RunFailed, UsageError

T = TypeVar("T")

CPU = torch.device("cpu")
TIMEOUT_S = 1800.0  # the slowest rank may be this late: it may have to fetch and decode its first shards
BUCKET_BYTES = 2**26  # gradients are summed in pieces of about this size


@dataclass(frozen=True)
class Ranks:
    """This process, rank `rank` of `size`, and `device`, which it computes on.

    Every method but `close` is a collective: all ranks call the same ones in the same order. Each
    raises RunFailed when a rank has vanished or is later than the timeout, and is a mere copy on one rank.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @classmethod
    def from_environment(cls, timeout_s: float = TIMEOUT_S) -> Ranks:
        """The rank that torchrun's variables name; without them the only one.

        Waits until all ranks are there. A rank has the GPU of its LOCAL_RANK where there are GPUs, and
        tensors go from GPU to GPU by NCCL; all else goes by gloo. Raises UsageError for variables that
        make no sense and RunFailed when some rank does not come in `timeout_s`.
        """
        rank, size, local = (_whole_number(*item) for item in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
        ranks = cls(rank, size, _device(local))
        if size > 1:
            ranks._meet(timeout_s)
        return ranks

    def _meet(self, timeout_s: float) -> None:
        # NCCL then raises when a rank is lost, as gloo does, instead of ending the process.
        os.environ.setdefault("TORCH_NCCL_BLOCKING_WAIT", "1")
        backend = "gloo" if self.device.type == "cpu" else "cpu:gloo,cuda:nccl"
        try:
            with self._exchange():
                dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
        except ValueError as error:
            raise UsageError(f"the ranks cannot meet: {error}; start them with torchrun") from error

    def close(self) -> None:
        """Leave the other ranks."""
        if self.size > 1:
            dist.destroy_process_group()

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # of torch's DistError family, and gloo's, which have no name of their own
            raise RunFailed(
                f"rank {self.rank} lost the other {self.size - 1}: {str(error).splitlines()[0]}; "
                "start the same command again, it goes on from the last checkpoint"
            ) from error

    def share(self, value: T) -> list[T]:
        """Every rank's `value`, in the order of ranks; values are pickled."""
        values = [value] * self.size
        if self.size > 1:
            with self._exchange():
                dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: T) -> T:
        """Rank 0's `value`; the others' is ignored."""
        box = [value]
        if self.size > 1:
            with self._exchange():
                dist.broadcast_object_list(box, src=0)
        return box[0]

    def barrier(self) -> None:
        """Wait for all ranks."""
        self.share(None)

    def gather(self, rows: Tensor) -> list[Tensor]:
        """Every rank's `rows` [k, dim], without gradients, in the order of ranks.

        k may differ; a rank with k = 0 need not know dim or dtype. A rank puts its own rows, with their
        gradient, in the place of what it finds at its number.
        """
        if self.size == 1:
            return [rows.detach()]
        shapes = self.share((*rows.shape, rows.dtype))
        most, dim, dtype = max(shapes, key=lambda shape: shape[:2])
        padded = torch.zeros(most, dim, dtype=dtype, device=self.device)
        if len(rows):
            padded[: len(rows)] = rows.detach()
        parts = [torch.empty_like(padded) for _ in shapes]
        with self._exchange():
            dist.all_gather(parts, padded)
        return [part[:k] for part, (k, _, _) in zip(parts, shapes, strict=True)]

    def sum_gradients(self, parameters: Iterable[Tensor], bucket_bytes: int = BUCKET_BYTES) -> None:
        """Have each parameter's gradient be the sum of all ranks' gradients, the same to the last bit on each.

        A parameter without a gradient on some ranks has a gradient of 0 there; one without any on all
        ranks is left alone. All ranks give the same parameters in the same order.
        """
        if self.size == 1:
            return
        weights = list(parameters)
        held = zip(*self.share([weight.grad is not None for weight in weights]), strict=True)
        gradients = [_gradient(weight) for weight, ranks in zip(weights, held, strict=True) if any(ranks)]
        for bucket in buckets(gradients, bucket_bytes):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            with self._exchange():
                dist.all_reduce(flat)
            totals = torch.split(flat, [gradient.numel() for gradient in bucket])
            for gradient, total in zip(bucket, totals, strict=True):
                gradient.copy_(total.view_as(gradient))


def _gradient(weight: Tensor) -> Tensor:
    if weight.grad is None:
        weight.grad = torch.zeros_like(weight)
    return weight.grad


def buckets(tensors: Sequence[Tensor], most_bytes: int) -> list[list[Tensor]]:
    """`tensors` in order, in runs of one dtype and of at most `most_bytes` each; a larger one is a run by itself."""
    runs: list[list[Tensor]] = []
    size_bytes = 0
    for tensor in tensors:
        if runs and runs[-1][0].dtype == tensor.dtype and size_bytes + tensor.nbytes <= most_bytes:
            runs[-1].append(tensor)
            size_bytes += tensor.nbytes
        else:
            runs.append([tensor])
            size_bytes = tensor.nbytes
    return runs


def _whole_number(name: str, default: int) -> int:
    value = os.environ.get(name) or str(default)
    if not value.isdecimal():
        raise UsageError(f"the environment variable {name} is {value!r}, not a whole number")
    return int(value)


def _device(local_rank: int) -> torch.device:
    """The GPU of a machine's process `local_rank`, made the current one, or the CPU on a machine without GPUs."""
    if not torch.cuda.is_available():
        return CPU
    if local_rank >= torch.cuda.device_count():
        raise UsageError(f"local rank {local_rank} has no GPU: this machine has {torch.cuda.device_count()}")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device
