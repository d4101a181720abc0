"""The vision tower's attention, segments of one length at once.

Patches attend within segments: a window of 8 x 8 patches, or in some blocks a pair of frames. transformers' own
calls a kernel for every segment, of which a batch of clips has thousands in each block: on a GPU that takes longer
than all else. The numbers are the same but for rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision


class SegmentGroups:
    """For the segments of a forward pass, which rows those of one length have; found once for all blocks."""

    def __init__(self) -> None:
        self._known: list[tuple[Tensor, list[Tensor], Tensor]] = []  # of windows, and of pairs of frames

    def of(self, edges: Tensor) -> tuple[list[Tensor], Tensor]:
        """The rows of each group, int64 [segments, length], and the place of every row among them all.

        `edges` are the segments' ends, int [segments + 1], from 0; the same tensor is asked for in many blocks.
        """
        for known, rows, places in self._known:
            if known is edges:
                return rows, places
        lengths = edges.diff()
        groups = [
            edges[:-1][lengths == length].long()[:, None] + torch.arange(length, device=edges.device)
            for length in lengths.unique().tolist()
        ]
        places = torch.cat([rows.flatten() for rows in groups]).argsort()
        self._known = [*self._known[-1:], (edges, groups, places)]
        return groups, places


class GroupedAttention(nn.Module):
    """Takes the place of `Qwen2_5_VLVisionAttention`, whose layers it holds: checkpoints keep their names."""

    def __init__(self, own: nn.Module, groups: SegmentGroups) -> None:
        super().__init__()
        self.qkv, self.proj, self.num_heads = own.qkv, own.proj, own.num_heads
        self._groups = groups

    def forward(
        self, hidden_states: Tensor, cu_seqlens: Tensor, position_embeddings: tuple[Tensor, Tensor], **_: Any
    ) -> Tensor:
        """Patches [n, dim] of all segments, one after the other, to what they find in their own."""
        query, key, value = self.qkv(hidden_states).unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
        groups, places = self._groups.of(cu_seqlens)
        found = [self._attend(query[rows], key[rows], value[rows]) for rows in groups]
        return self.proj(torch.cat(found)[places])

    @staticmethod
    def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[segments, length, heads, head_dim] to [segments * length, dim]."""
        found = scaled_dot_product_attention(*(side.transpose(1, 2) for side in (query, key, value)))
        return found.transpose(1, 2).flatten(2).flatten(0, 1)


def group_segments(visual: nn.Module) -> None:
    """Put a GroupedAttention into every block of a vision tower."""
    groups = SegmentGroups()
    for block in visual.blocks:
        block.attn = GroupedAttention(block.attn, groups)
