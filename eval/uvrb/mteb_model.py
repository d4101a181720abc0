"""An embedder as a model of MTEB (Muennighoff et al., 2023), for any of its tasks on texts, images and videos.

    mteb.evaluate(EmbedderModel(gve, "gve-3b", model_id), mteb.get_tasks(["MSRVTTT2V"]))

Needs the extra `mteb`, but not torchcodec: media go to the embedder as they are encoded, and it decodes them itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any, Final

import numpy as np
from datasets import Dataset, Image, Value, Video
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta, ScoringFunction
from mteb.types import PromptType
from numpy.typing import NDArray
from PIL.Image import Image as Picture

from eval.encode import check_vectors
from infra.errors import UsageError
from infra.store import read_source
from shards.embedder import Embedder
from shards.records import Side

ORGANIZATION: Final = "universal-video-retrieval"  # MTEB's names of models are organization/model
_KINDS: Final = {"text": Value, "image": Image, "video": Video}


class EmbedderModel(AbsEncoder):  # type: ignore[misc]
    """Implements `mteb.models.EncoderProtocol` with an `Embedder`."""

    def __init__(self, embedder: Embedder, name: str, revision: str) -> None:
        """`revision` is a fingerprint of weights and input settings: MTEB keeps results by it."""
        self.embedder = embedder
        self.mteb_model_meta = model_meta(f"{ORGANIZATION}/{name}", revision, embedder.dim)

    def encode(
        self, inputs: Any, *, task_metadata: Any, prompt_type: PromptType | None = None, **kwargs: Any
    ) -> NDArray[np.float32]:
        """Unit vectors float32 [n, dim] of the n rows of `inputs`, a DataLoader over columns text, image and video.

        Documents have no instruction; all else has the task's, as MTEB's own GVE does it. Sound is not heard. Raises
        UsageError for columns of other types, RowError for media that cannot be decoded, and RunFailed when the
        embedder answers with anything but unit vectors.
        """
        instruction = "" if prompt_type is PromptType.document else self.get_instruction(task_metadata, prompt_type)
        parts = [np.empty((0, self.embedder.dim), np.float32)]
        for columns in batches(inputs, task_metadata.name):
            sides = sides_of(columns)
            parts.append(check_vectors(self.embedder.embed(sides, instruction), len(sides), self.embedder.dim))
        return np.concatenate(parts)


def model_meta(name: str, revision: str, dim: int) -> ModelMeta:
    """What MTEB knows of a model of ours; `name` is organization/model."""
    return ModelMeta(
        loader=None,
        name=name,
        revision=revision,
        release_date=None,
        languages=["eng-Latn"],
        n_parameters=None,
        memory_usage_mb=None,
        max_tokens=None,
        embed_dim=dim,
        license=None,
        open_weights=None,
        public_training_code=None,
        public_training_data=None,
        framework=["PyTorch", "Transformers"],
        similarity_fn_name=ScoringFunction.COSINE,
        use_instructions=True,
        training_datasets=None,
        modalities=["text", "image", "video"],
    )


def encoded_columns(dataset: Dataset, task: str) -> Dataset:
    """The columns text, image and video of a task's dataset, with media as they are encoded.

    Raises UsageError when there is none of them, or one is not of its type.
    """
    names = [name for name in _KINDS if name in dataset.features]
    if not names:
        raise UsageError(f"{task} has none of {', '.join(_KINDS)} but {', '.join(dataset.features)}")
    for name in names:
        if not isinstance(dataset.features[name], _KINDS[name]):
            raise UsageError(f"{task}: a {name} is {dataset.features[name]}, not {_KINDS[name].__name__}")
    rows = dataset.select_columns(names)
    for name in names:
        if _KINDS[name] is not Value:
            rows = rows.cast_column(name, _KINDS[name](decode=False))
    return rows


def batches(inputs: Any, task: str) -> Iterator[Mapping[str, Sequence[Any]]]:
    """The columns of each batch of a DataLoader, with media as they are encoded where its dataset keeps them so.

    Raises as `encoded_columns` does.
    """
    if not isinstance(inputs.dataset, Dataset):  # pictures in memory, in tasks that pair images with texts
        yield from inputs
        return
    rows = encoded_columns(inputs.dataset, task)
    for numbers in inputs.batch_sampler:
        yield rows[numbers]


def sides_of(columns: Mapping[str, Sequence[Any]]) -> list[Side]:
    """One side a row of a batch of columns text, image and video."""
    names = [name for name in _KINDS if name in columns]
    rows = zip(*(columns[name] for name in names), strict=True)
    return [Side(**{name: _part(value) for name, value in zip(names, row, strict=True)}) for row in rows]


def _part(value: Any) -> Any:
    """A text as it is, the bytes of a medium: of an encoded one, which may lie at a path or URL, or of a PIL image."""
    if isinstance(value, Picture):
        buffer = BytesIO()
        value.convert("RGB").save(buffer, "PNG")
        return buffer.getvalue()
    if isinstance(value, Mapping):
        return read_source(value["path"]) if value["bytes"] is None else value["bytes"]
    return value
