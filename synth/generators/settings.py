"""The recipe's sections `generator` (who answers: this decides what is made) and `serving` (how it is reached)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from infra.errors import UsageError
from infra.recipe import Settings
from synth.generator import Kind
from synth.prompts.render import version

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Sampling(Settings):
    """How a model draws its answers; the defaults leave room for variety and keep to the schema."""

    temperature: Annotated[float, Field(ge=0)] = 0.7
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    max_tokens: Count = 1024  # of one answer
    seed: int = 42


@dataclass(frozen=True)
class GeneratorSettings(Settings):
    """Who writes captions and queries, and what it is shown."""

    kind: Literal["measured", "openai", "vllm"] = "measured"
    model: str = ""  # openai: its name at the endpoints; vllm: a folder in Hugging Face's layout, or a hub id
    revision: str = ""  # which weights the name stands for; of a local folder, a digest of its files when empty
    frames: Count = 8  # sampled evenly from a clip
    max_frame_pixels: Count = 200 * 28 * 28  # larger frames are scaled down before they are sent
    media: Literal["video", "images"] = "video"  # frames as one video (vLLM), or as pictures one by one (any endpoint)
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        if self.kind != "measured" and not self.model:
            raise UsageError(f"recipe: generator.kind = {self.kind!r} needs generator.model")

    def prompt_versions(self, kinds: Sequence[Kind]) -> tuple[str, ...]:
        """Versions of the prompts that questions of `kinds` are asked with; none where nobody reads them."""
        return () if self.kind == "measured" else tuple(version(kind) for kind in kinds)


@dataclass(frozen=True)
class Serving(Settings):
    """Where the model is; nothing here changes what it answers."""

    endpoints: tuple[str, ...] = ()  # openai: base URLs, like http://host:8000/v1; the key stands in OPENAI_API_KEY
    max_in_flight: Count = 64  # requests of one worker at one endpoint, at most
    deadline_s: Seconds = 300.0  # for one request, all its tries together
    patience_s: Seconds = 60.0  # for which all endpoints may be down before the stage gives up for now
    replicas: Annotated[int, Field(ge=0)] = 0  # vllm: servers; 0: one for every `gpus` of the cluster, at least one
    gpus: Annotated[float, Field(ge=0)] = 1.0  # vllm: of one replica, where the cluster has any
    python: str = ""  # vllm: the interpreter of its environment; empty: the one `infra/dev.sh vllm` made
    start_s: Seconds = 900.0  # vllm: for weights to load
    context: Count = 32_768  # vllm: tokens of prompt and answer
    max_sequences: Count = 64  # vllm: requests that one replica works on at once
    kv_cache_bytes: Annotated[int, Field(ge=0)] = 0  # vllm: 0: what `gpu_memory` leaves
    gpu_memory: Annotated[float, Field(gt=0, le=1)] = 0.9  # vllm: share of the GPU's memory it may use
    dtype: str = "auto"  # vllm: of weights and activations
    arguments: tuple[str, ...] = ()  # vllm: more of its own command line

    def __post_init__(self) -> None:
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise UsageError("recipe: serving.gpus is a share of one GPU or a whole number of them")
