"""GVE as a module of sentence-transformers, named in the `modules.json` of every folder that we save.

    SentenceTransformer(folder, trust_remote_code=True).encode([{"text": "...", "video": "a.mp4"}], prompt=instruction)

Inputs, positions and pooling are `Gve`'s own, so the vectors are those of `Gve.embed`; sentence-transformers'
own modules would give clips other positions (`train.positions`). This package has to be installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from sentence_transformers.base.modality import infer_modality, is_message_dict
from sentence_transformers.sentence_transformer.modules import InputModule

from infra.errors import UsageError
from train.gve import Gve
from train.inputs import Batch, Prepared, collate
from train.pixels import Patches

MEDIA = ("text", "image", "video")


class GveModule(InputModule):  # type: ignore[misc]
    """The only module of such a model: from inputs to unit vectors.

    An input is a text, an image, a video, or a dict with any of the keys text, image and video. An image is a PIL
    image, an array or tensor uint8 [h, w, 3] or [3, h, w], the bytes of an encoded one, or a file's path. A video is
    an array or tensor of frames uint8 [n, h, w, 3] or [n, 3, h, w], a list of images, bytes, a path, or
    sentence-transformers' dict with `array`. Of n frames those are taken that would be taken of a clip of them.
    """

    save_in_root: ClassVar[bool] = True

    def __init__(self, gve: Gve) -> None:
        super().__init__()
        self.gve = gve
        self.model = gve.model
        self.tokenizer = gve.inputs.tokenizer

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        model_kwargs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> GveModule:
        """The model in a folder or on the Hub; of `model_kwargs` only `dtype`. Raises UsageError as `Gve.load` does."""
        found = cls.load_dir_path(model_name_or_path, subfolder, token, cache_folder, revision, local_files_only)
        given = dict(model_kwargs or {})
        dtype = given.pop("dtype", torch.float32)
        if given:
            raise UsageError(f"GVE takes no model_kwargs but dtype, not {', '.join(given)}")
        return cls(Gve.load(found, getattr(torch, dtype) if isinstance(dtype, str) else dtype))

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write what `Gve.save` writes."""
        self.gve.save(output_path)

    @property
    def modalities(self) -> list[str]:
        """What an input can be; "message" lets a batch mix them."""
        return [*MEDIA, "message"]

    @property
    def max_seq_length(self) -> int:
        """Tokens of a sequence with its media; longer texts lose their end."""
        return self.gve.settings.max_tokens

    def get_embedding_dimension(self) -> int:
        """Length of a vector."""
        return self.gve.dim

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """The tensors of a batch; `prompt` is the instruction of the system turn.

        Raises UsageError for an input of another kind, RowError as `InputBuilder.prepare` does.
        """
        batch = collate([self._prepare(value, prompt or "") for value in inputs], self.gve.pad_id)
        return {name: tensor for name, tensor in vars(batch).items() if tensor is not None}

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """`features` with their unit vectors, float32 [n, dim], as `sentence_embedding`."""
        given = {name: features[name] for name in Batch.__annotations__ if name in features}
        return features | {"sentence_embedding": self.gve.encode_batch(Batch(**given))}

    def _prepare(self, value: Any, instruction: str) -> Prepared:
        parts = value if _is_combination(value) else {_kind(value): value}
        if unknown := [name for name in parts if name not in MEDIA]:
            raise UsageError(f"GVE embeds text, image and video, not {', '.join(map(str, unknown))}")
        image, video = parts.get("image"), parts.get("video")
        return self.gve.inputs.assemble(
            parts.get("text") or "",
            instruction,
            None if image is None else self._image(image),
            None if video is None else self._video(video),
        )

    def _image(self, value: Any) -> Patches:
        if isinstance(value, str | bytes):
            return self.gve.inputs.image_patches(_bytes(value))
        return self.gve.inputs.picture_patches(_pixels(value))

    def _video(self, value: Any) -> Patches:
        if isinstance(value, str | bytes):
            return self.gve.inputs.video_patches(_bytes(value))
        if isinstance(value, dict):
            value = value["array"]
        frames = np.stack([_pixels(frame) for frame in value])
        chosen = np.linspace(0, len(frames) - 1, self.gve.settings.frames)
        return self.gve.inputs.frame_patches(frames[np.ceil(chosen - 0.5).astype(int)])  # of two as near, the first


def _is_combination(value: Any) -> bool:
    return isinstance(value, dict) and "array" not in value and not is_message_dict(value)


def _kind(value: Any) -> str:
    try:
        return str(infer_modality(value))
    except ValueError as error:
        raise UsageError(f"GVE embeds no {type(value).__name__}: {error}") from error


def _bytes(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    if not Path(value).is_file():
        raise UsageError(f"no file at {value[:200]}; media are read from local files")
    return Path(value).read_bytes()


def _pixels(value: Any) -> NDArray[np.uint8]:
    """A decoded picture, RGB uint8 [height, width, 3]."""
    picture = np.asarray(value.convert("RGB") if isinstance(value, Image) else value)
    if picture.ndim == 3 and picture.shape[0] == 3 != picture.shape[2]:
        picture = picture.transpose(1, 2, 0)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise UsageError(f"a picture is RGB bytes [height, width, 3], not {picture.dtype} {list(picture.shape)}")
    return picture
