"""A made batch of pairs with hard negatives, whole or dealt out to ranks, and two encoders for it in float64."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from shards.records import Side
from train.gve import Gve, pool_last
from train.inputs import Prepared, collate
from train.loss import PairIds
from train.settings import InputSettings, TinySettings

S = TypeVar("S")

# Ids of queries, targets and hard negatives. "a" stands in rows 0 and 7 and has two positives, of which
# row 7's was mined as a negative for row 0; rows 1 and 8 share a target; row 2's own target was mined for it.
ROWS = [
    ("a", "r", ["s", "y", "t"]),
    ("b", "s", []),
    ("c", "t", ["t", "u"]),
    ("d", "u", ["n1"]),
    ("e", "v", ["n2", "n3"]),
    ("f", "w", []),
    ("g", "x", ["r"]),
    ("a", "y", ["n1"]),
    ("h", "s", []),
]
DEALT = {1: (9,), 2: (6, 3), 4: (3, 0, 4, 2)}  # rows of each rank


@dataclass(frozen=True)
class Dealt(Generic[S]):
    """What one rank has: its queries, targets and hard negatives, in this order, and their ids."""

    sides: list[S]
    ids: PairIds


def deal(side: Callable[[str], S], size: int) -> list[Dealt[S]]:
    """The batch dealt out to `size` ranks; `side` makes the side of an id."""
    dealt, start = [], 0
    for count in DEALT[size]:
        rows = ROWS[start : start + count]
        start += count
        ids = PairIds(
            tuple(query for query, _, _ in rows),
            tuple(target for _, target, _ in rows),
            tuple(name for _, _, names in rows for name in names),
            tuple(row for row, (_, _, names) in enumerate(rows) for _ in names),
        )
        dealt.append(Dealt([side(name) for name in (*ids.queries, *ids.targets, *ids.negatives)], ids))
    return dealt


def small_module() -> nn.Module:
    """Two layers in float64, and a parameter that nothing uses, which so gets no gradient."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()
    module.register_parameter("unused", nn.Parameter(torch.ones(3, dtype=torch.float64)))
    return module


def vector_of(name: str) -> Tensor:
    """A random vector that the name decides."""
    return torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(int.from_bytes(name.encode())))


def encode_vectors(module: nn.Module, vectors: Sequence[Tensor]) -> Tensor:
    """Unit embeddings of vectors."""
    return normalize(module(torch.stack(list(vectors))), dim=1)


def tiny_gve() -> Gve:
    """A tiny GVE in float64."""
    settings = TinySettings(vocab_size=300, hidden=32, layers=2, intermediate=48, vision_hidden=32)
    inputs = InputSettings(frames=2, frame_max_pixels=8 * 28 * 28, image_max_pixels=8 * 28 * 28, max_tokens=128)
    gve = Gve.tiny(["a red square moves", "the blue disc"], settings, inputs, seed=0)
    gve.model.double()
    return gve


def text_of(gve: Gve, name: str) -> Prepared:
    """A text that the name decides, of some length."""
    return gve.inputs.prepare(Side(text=f"the {name} moves " * (1 + sum(name.encode()) % 4)))


def encode_in_double(gve: Gve, prepared: Sequence[Prepared]) -> Tensor:
    """What `Gve.encode` gives, without its cast to float32."""
    arguments = collate(prepared, gve.pad_id).arguments(gve.model.device)
    hidden = gve.model(**arguments, use_cache=False).last_hidden_state
    return normalize(pool_last(hidden, arguments["attention_mask"]), dim=-1)
