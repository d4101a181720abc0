"""Three-dimensional rotary positions (mRoPE) of a sequence of text and vision tokens.

Qwen2.5-VL gives every token a (temporal, height, width) position. We compute them ourselves because
transformers changed the rule: the weights were trained with that of its 4.x line, where the seconds
between two temporal grids are truncated to an integer and text goes on after the largest position of
any axis; 5.x keeps the fraction and goes on after the spatial extent alone. vLLM keeps the fraction
and goes on as 4.x does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class VisionSpan:
    """The tokens of one image or clip: its grid in merged tokens, and the seconds one temporal grid covers."""

    t: int
    h: int
    w: int
    seconds_per_grid: float = 0.0  # an image has no time


def mrope_positions(
    spans: Sequence[int | VisionSpan], tokens_per_second: int, whole_seconds: bool = True
) -> NDArray[np.int64]:
    """Positions [3, length] of a sequence made of runs of text (their lengths) and vision spans, in order.

    Source: `Qwen2_5_VLModel.get_rope_index` of transformers 4.57; without `whole_seconds`
    `Qwen2_5_VLForConditionalGeneration.get_mrope_input_positions` of vLLM 0.32.
    """
    parts: list[NDArray[np.int64]] = []
    start = 0
    for span in spans:
        part = start + (_text(span) if isinstance(span, int) else _vision(span, tokens_per_second, whole_seconds))
        parts.append(part)
        start = int(part.max(initial=start - 1)) + 1
    return np.concatenate(parts, axis=1)


def _text(length: int) -> NDArray[np.int64]:
    return np.tile(np.arange(length, dtype=np.int64), (3, 1))


def _vision(span: VisionSpan, tokens_per_second: int, whole_seconds: bool) -> NDArray[np.int64]:
    t, h, w = np.indices((span.t, span.h, span.w), dtype=np.int64).reshape(3, -1)
    seconds = int(span.seconds_per_grid) if whole_seconds else span.seconds_per_grid
    return np.stack([(t * (seconds * tokens_per_second)).astype(np.int64), h, w])
