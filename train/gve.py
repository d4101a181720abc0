"""GVE: a Qwen2.5-VL without its generation head, as a universal embedder (arXiv 2510.27571, section 3.3)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import Qwen2_5_VLModel
from transformers.utils import logging as hf_logging

from infra.errors import RunFailed, UsageError
from infra.recipe import build
from shards.records import Side
from train.architectures import find_config, with_tokenizer
from train.inputs import Batch, InputBuilder, Prepared, collate, token_id
from train.lora import has_adapters
from train.pixels import MERGE, PATCH, TEMPORAL
from train.settings import InputSettings, TinySettings
from train.tiny import TEMPLATE, random_model, tiny_config, train_tokenizer
from train.vision import quicken

SETTINGS_KEY = "gve"  # our entry in the model's config.json
TOKENIZER_FILE = "tokenizer.json"
# What sentence-transformers loads the folder by (`train.sentence_transformer`), and what MTEB reads of one on the Hub.
SIDE_FILES = {
    "modules.json": [{"idx": 0, "name": "0", "path": "", "type": "train.sentence_transformer.GveModule"}],
    "config_sentence_transformers.json": {"model_type": "SentenceTransformer", "similarity_fn_name": "cosine"},
    "sentence_bert_config.json": {"modality_config": {"text": {}, "image": {}, "video": {}}},
}
EMBED_BATCH = 64  # sides embedded at once; it changes the speed, not the vectors
GROUP_STRETCH = 1.3  # longest over shortest sequence of those padded to one length


class Gve:
    """An embedder of texts, images, videos and their combinations into unit vectors.

    Implements `shards.embedder.Embedder`. The model is transformers' own; inputs, positions and
    pooling are ours.
    """

    def __init__(self, model: Qwen2_5_VLModel, tokenizer: Tokenizer, settings: InputSettings) -> None:
        vision = model.config.vision_config
        if (vision.patch_size, vision.spatial_merge_size, vision.temporal_patch_size) != (PATCH, MERGE, TEMPORAL):
            raise UsageError("the checkpoint's vision patches are not Qwen2.5-VL's 14 x 14 pixels by 2 frames")
        quicken(model.visual)
        self.model = model
        self.settings = settings
        self.inputs = InputBuilder(tokenizer, settings, vision.tokens_per_second)
        self.pad_id = token_id(tokenizer, settings.pooled_token)

    @classmethod
    def tiny(cls, texts: Iterable[str], settings: TinySettings, inputs: InputSettings, seed: int) -> Gve:
        """A tiny model with random weights, and a tokenizer learnt from `texts`."""
        known = list(texts)
        # What stands around the text in every prompt. Counted once, its words would be cut into letters, half of a
        # prompt's tokens; counted once for ten texts as well, they are whole, and the texts lose nothing.
        around = TEMPLATE * (len(known) // 10)
        tokenizer = train_tokenizer([*known, *around], settings.vocab_size)
        return cls(random_model(tiny_config(tokenizer, settings), seed), tokenizer, inputs)

    @classmethod
    def start(
        cls,
        architecture: str,
        tokenizer: Tokenizer,
        seed: int,
        dtype: torch.dtype = torch.bfloat16,
        device: str | torch.device = "cpu",
    ) -> Gve:
        """An architecture, by name or folder, with random weights made on `device`: to measure what its shape costs.

        Any tokenizer with the special tokens will do that is no larger than the model's vocabulary. Raises
        UsageError for an unknown architecture.
        """
        config = with_tokenizer(find_config(architecture), tokenizer)
        return cls(random_model(config, seed, dtype, device), tokenizer, read_settings(config))

    @classmethod
    def load(cls, folder: str | Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Gve:
        """The model saved in a local `folder`, by us or as any Qwen2.5-VL checkpoint in Hugging Face's layout.

        Its weights become `dtype`; embeddings are float32 whatever it is. A checkpoint without our settings
        gets those of the released GVE. Raises UsageError when the folder lacks a file, a file is damaged, or
        the weights lack some of the model's.
        """
        path = Path(folder)
        for name in ("config.json", TOKENIZER_FILE):
            if not (path / name).is_file():
                raise UsageError(f"no model at {path}: {name} is missing")
        try:
            with no_bars():
                model, report = Qwen2_5_VLModel.from_pretrained(
                    path, local_files_only=True, dtype=dtype, attn_implementation="sdpa", output_loading_info=True
                )
        except (OSError, ValueError, SafetensorError) as error:
            raise UsageError(f"the model at {path} cannot be read: {error}") from error
        if report["missing_keys"]:
            raise UsageError(f"the weights at {path} lack {sorted(report['missing_keys'])[:3]}: not a Qwen2.5-VL model")
        tokenizer = Tokenizer.from_file(str(path / TOKENIZER_FILE))
        return cls(model.to(device).eval(), tokenizer, read_settings(model.config))

    def save(self, folder: str | Path) -> None:
        """Write weights, configuration with the input settings, and tokenizer, in Hugging Face's layout.

        sentence-transformers loads the folder too, with `trust_remote_code`, where this package is installed.
        Raises RunFailed while there are adapters in the weights: the folder would be no plain Qwen2.5-VL.
        """
        if has_adapters(self.model):
            raise RunFailed("adapters must be merged into the weights before the model is saved")
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        write_settings(self.model.config, self.settings)
        with no_bars():
            self.model.save_pretrained(path)
        self.inputs.tokenizer.save(str(path / TOKENIZER_FILE))
        tokenizer = {"tokenizer_class": "Qwen2Tokenizer", "pad_token": self.settings.pooled_token}
        for name, content in {"tokenizer_config.json": tokenizer, **SIDE_FILES}.items():
            (path / name).write_text(json.dumps(content, indent=2))

    @property
    def dim(self) -> int:
        """Length of one embedding: the language model's hidden size."""
        return int(self.model.config.text_config.hidden_size)

    def use_inputs(self, settings: InputSettings) -> None:
        """From now on see other frames of clips, or larger ones, than those the model was trained with."""
        self.settings = settings
        self.inputs = replace(self.inputs, settings=settings)

    def checkpoint_activations(self) -> None:
        """From now on, compute activations again in the backward pass instead of keeping them (Chen et al., 2016).

        It holds in training mode, of the parts that are trained: call it after they are chosen.
        """
        self.model.activation_checkpointing_enable({"use_reentrant": False})
        self.model.disable_input_require_grads()  # else gradients would run through a frozen vision tower too
        if not any(weight.requires_grad for weight in self.model.visual.parameters()):
            self.model.visual.activation_checkpointing_disable()

    def encode(self, prepared: Sequence[Prepared]) -> Tensor:
        """Unit embeddings float32 [n, dim] of prepared sides, with gradients where they are enabled.

        e = h_p / ||h_p||, p the last attended position of the last hidden layer (section 3.3).
        """
        groups = similar_lengths([len(side.ids) for side in prepared])
        parts = [self.encode_batch(collate([prepared[row] for row in rows], self.pad_id)) for rows in groups]
        order = torch.tensor([row for rows in groups for row in rows])
        return torch.cat(parts)[order.argsort()]

    def encode_batch(self, batch: Batch) -> Tensor:
        """Unit embeddings float32 [n, dim] of the sides of a batch, padded as they are."""
        arguments = batch.arguments(self.model.device)
        with self._precision():
            hidden = self.model(**arguments, use_cache=False).last_hidden_state
        return nn.functional.normalize(pool_last(hidden, arguments["attention_mask"]).float(), dim=-1)

    def _precision(self) -> AbstractContextManager[Any]:
        """Products in the type of the weights, also those of adapters, which are float32 beside bfloat16 weights."""
        if self.model.dtype == torch.float32:
            return nullcontext()  # whoever trains may have chosen another type for the products
        return torch.autocast(self.model.device.type, self.model.dtype)

    def embed(self, sides: Sequence[Side], instruction: str = "") -> NDArray[np.float32]:
        """Embeddings of `sides`, float32 [len(sides), dim], L2-normalised.

        Raises RowError for a side without content or with media that cannot be decoded.
        """
        parts = [np.empty((0, self.dim), dtype=np.float32)]
        for start in range(0, len(sides), EMBED_BATCH):
            prepared = [self.inputs.prepare(side, instruction) for side in sides[start : start + EMBED_BATCH]]
            parts.append(self.embed_prepared(prepared))
        return np.concatenate(parts)

    @torch.inference_mode()
    def embed_prepared(self, prepared: Sequence[Prepared]) -> NDArray[np.float32]:
        """Embeddings of at least one prepared side as `embed` gives them, float32 [len(prepared), dim]."""
        with evaluating(self.model):
            return np.asarray(self.encode(prepared).cpu().numpy(), np.float32)


def read_settings(config: Any) -> InputSettings:
    """The input settings in a model's configuration; where it has none, those of the released GVE.

    Raises UsageError when they are not such settings.
    """
    try:
        return build(InputSettings, getattr(config, SETTINGS_KEY, {}))
    except UsageError as error:
        raise UsageError(f"the model's config.json, {SETTINGS_KEY}: {error}") from error


def write_settings(config: Any, settings: InputSettings) -> None:
    """Put the input settings into a model's configuration, which every loader and saver keeps."""
    setattr(config, SETTINGS_KEY, asdict(settings))


def similar_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """Rows 0..n-1 in groups of similar length, since padding to the longest text costs more than the texts."""
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups and lengths[row] <= GROUP_STRETCH * lengths[groups[-1][0]]:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def pool_last(hidden: Tensor, mask: Tensor) -> Tensor:
    """Hidden states [n, dim] of the last attended position of each of n sequences, wherever the padding is.

    `hidden` is [n, length, dim], `mask` [n, length] holds 1 where a token is attended.
    """
    places = torch.arange(mask.shape[1], device=mask.device)
    last = (mask * places).argmax(dim=1)
    return hidden[torch.arange(len(hidden), device=mask.device), last]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Without dropout, and then in the mode it was in before."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextmanager
def no_bars() -> Iterator[None]:
    """Silence transformers' progress bars: the run has its own."""
    shown = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hf_logging.enable_progress_bar()
