"""The command line and the environment of one vLLM server, as a function of the recipe (vLLM 0.32)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any, Literal

from synth.generators.settings import GeneratorSettings, Serving
from synth.generators.weights import served_name

Device = Literal["cpu", "cuda"]

LOOPBACK = "127.0.0.1"
CPU_KV_CACHE_BYTES = 256 * 2**20  # without a size vLLM takes most of the machine's memory
QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_HOST_IP": LOOPBACK,  # its processes are on one machine and talk to each other there
}


@dataclass(frozen=True)
class Place:
    """Where one server runs."""

    model: str  # an absolute folder, or a hub id
    python: str = ""  # the interpreter that has vLLM
    host: str = LOOPBACK
    port: int = 0
    device: Device = "cpu"
    threads: int = 1  # on a CPU: those that compute
    key: str = ""  # what clients must show; empty: nothing


def server_arguments(generator: GeneratorSettings, serving: Serving, place: Place) -> tuple[str, ...]:
    """The command line; what the recipe adds stands last and so has the last word."""
    options: dict[str, Any] = {
        "model": place.model,
        "served-model-name": served_name(generator.model),
        "host": place.host,
        "port": place.port,
        "max-model-len": serving.context,
        "max-num-seqs": serving.max_sequences,
        "limit-mm-per-prompt": media_limits(generator),
        # All frames that a client sends: by default all after the 32nd are left out without a word.
        "media-io-kwargs": {"video": {"num_frames": -1}},
        # With free white space a model may write nothing else until its tokens are used up.
        "structured-outputs-config": {"backend": "xgrammar", "disable_any_whitespace": True},
        # Sampling is the recipe's alone, not what a model's own generation_config.json adds to it.
        "generation-config": "vllm",
        **_hardware(serving, place),
    }
    if generator.revision and not is_folder(place.model):
        options["revision"] = generator.revision
    switches = [
        "--enable-prompt-tokens-details",  # an answer's usage says how many tokens its media were
        "--trust-request-mm-kwargs",  # a request says when its frames were taken
        "--disable-uvicorn-access-log",
        *(["--enforce-eager"] if place.device == "cpu" else []),
    ]
    pairs = [text for name, value in options.items() for text in (f"--{name}", _text(value))]
    module = ("-I", "-m", "vllm.entrypoints.openai.api_server")  # -I: nothing of ours is on its path
    return (place.python, *module, *pairs, *switches, *serving.arguments)


def server_environment(place: Place) -> Mapping[str, str]:
    """Variables to set over those of the parent process."""
    variables = dict(QUIET)
    if is_folder(place.model):
        variables["HF_HUB_OFFLINE"] = "1"
    if place.key:
        variables["VLLM_API_KEY"] = place.key  # not an argument: those are seen by every user of the machine
    if place.device == "cpu":
        # Left to itself vLLM pins its threads to cores, and every server to the same ones.
        variables["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        variables["OMP_NUM_THREADS"] = str(place.threads)
        # In one process: in two, each spins while it waits for the other, on a core that someone could use.
        variables["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        variables["TORCHDYNAMO_DISABLE"] = "1"  # else it compiles C++ in the midst of the first request for likelihoods
    return variables


def media_limits(generator: GeneratorSettings) -> dict[str, Any]:
    """What a request may hold: a clip and a stretch or a frame of it.

    The sizes are those that memory is set aside for, else it would be the model's largest.
    """
    side = isqrt(generator.max_frame_pixels)
    size = {"width": side, "height": side}
    if generator.media == "images":
        return {"image": {"count": 2 * generator.frames, **size}, "video": 0}
    return {"image": {"count": 1, **size}, "video": {"count": 2, "num_frames": generator.frames, **size}}


def is_folder(model: str) -> bool:
    """Whether a place's model is a folder of this machine and not a hub's id."""
    return Path(model).is_absolute()


def _hardware(serving: Serving, place: Place) -> dict[str, Any]:
    if place.device == "cpu":
        dtype = "float32" if serving.dtype == "auto" else serving.dtype
        return {"dtype": dtype, "kv-cache-memory-bytes": serving.kv_cache_bytes or CPU_KV_CACHE_BYTES}
    options: dict[str, Any] = {
        "dtype": serving.dtype,
        "tensor-parallel-size": max(1, int(serving.gpus)),
        "gpu-memory-utilization": round(serving.gpu_memory * min(1.0, serving.gpus), 4),
    }
    return options | ({"kv-cache-memory-bytes": serving.kv_cache_bytes} if serving.kv_cache_bytes else {})


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)
