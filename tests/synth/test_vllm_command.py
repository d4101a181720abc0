"""The vLLM server's command line and environment, and how many servers a cluster gets."""

import json
from dataclasses import replace
from typing import Any

import pytest

from infra.errors import UsageError
from synth.generators.settings import GeneratorSettings, Serving
from synth.generators.vllm.command import LOOPBACK, Place, server_arguments, server_environment
from synth.generators.vllm.fleet import replicas_for

FOLDER = Place(model="/models/tiny", python="/env/bin/python", port=8123)
HUB = replace(FOLDER, model="some/model")
ON_GPUS = replace(HUB, device="cuda")
GENERATOR = GeneratorSettings(kind="vllm", model="tiny", revision="v1", frames=6, max_frame_pixels=100 * 28 * 28)


def options(serving: Serving = Serving(), place: Place = FOLDER, **generator: Any) -> dict[str, Any]:  # noqa: B008
    """The command line's options; a switch's value is None. JSON is parsed."""
    _, *arguments = server_arguments(replace(GENERATOR, **generator), serving, place)
    found: dict[str, Any] = {}
    for name, value in zip(arguments, [*arguments[1:], "--"], strict=True):
        if name.startswith("--"):
            text = None if value.startswith("--") else value
            found[name[2:]] = json.loads(text) if text and text.startswith("{") else text
    return found


def test_it_runs_the_server_in_its_own_interpreter_without_our_modules() -> None:
    command = server_arguments(GENERATOR, Serving(), FOLDER)
    assert command[:4] == ("/env/bin/python", "-I", "-m", "vllm.entrypoints.openai.api_server")


def test_a_clip_and_a_stretch_or_a_frame_of_it_are_a_request_at_most() -> None:
    size = {"width": 280, "height": 280}
    assert options()["limit-mm-per-prompt"] == {
        "image": {"count": 1, **size},
        "video": {"count": 2, "num_frames": 6, **size},
    }
    assert options(media="images")["limit-mm-per-prompt"] == {"image": {"count": 12, **size}, "video": 0}


def test_no_frame_is_left_out_and_no_white_space_is_free() -> None:
    found = options()
    assert found["media-io-kwargs"] == {"video": {"num_frames": -1}}
    assert found["structured-outputs-config"] == {"backend": "xgrammar", "disable_any_whitespace": True}
    assert found["generation-config"] == "vllm"


def test_it_listens_where_it_is_told_and_serves_no_files() -> None:
    assert options()["host"] == LOOPBACK
    assert options(place=replace(FOLDER, host="10.0.0.7"))["host"] == "10.0.0.7"
    assert options()["port"] == "8123"
    assert not {name for name in options() if "allowed" in name}


def test_a_folder_is_served_offline_under_the_recipe_s_name() -> None:
    assert options()["served-model-name"] == "tiny"
    assert "revision" not in options()
    assert server_environment(FOLDER)["HF_HUB_OFFLINE"] == "1"


def test_a_hub_s_model_is_taken_at_its_revision() -> None:
    assert options(place=HUB)["revision"] == "v1"
    assert "revision" not in options(place=HUB, revision="")
    assert "HF_HUB_OFFLINE" not in server_environment(HUB)


def test_on_a_cpu_memory_and_threads_are_bounded() -> None:
    found, variables = options(), server_environment(replace(FOLDER, threads=3))
    assert int(found["kv-cache-memory-bytes"]) == 256 * 2**20
    assert found["dtype"] == "float32"
    assert "enforce-eager" in found
    assert "gpu-memory-utilization" not in found
    assert variables["OMP_NUM_THREADS"] == "3"
    assert variables["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert variables["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"


def test_what_the_recipe_says_of_memory_and_type_counts() -> None:
    found = options(Serving(kv_cache_bytes=10**9, dtype="bfloat16", context=2048, max_sequences=5))
    assert found["kv-cache-memory-bytes"] == str(10**9)
    assert found["dtype"] == "bfloat16"
    assert (found["max-model-len"], found["max-num-seqs"]) == ("2048", "5")


def test_on_gpus_the_model_is_spread_over_those_of_the_replica() -> None:
    found = options(Serving(gpus=4, gpu_memory=0.8), ON_GPUS)
    assert found["tensor-parallel-size"] == "4"
    assert found["gpu-memory-utilization"] == "0.8"
    assert found["dtype"] == "auto"
    assert not found.keys() & {"enforce-eager", "kv-cache-memory-bytes"}
    assert not server_environment(ON_GPUS).keys() & {"OMP_NUM_THREADS", "VLLM_ENABLE_V1_MULTIPROCESSING"}


def test_replicas_that_share_a_gpu_share_its_memory() -> None:
    assert options(Serving(gpus=0.5, gpu_memory=0.9), ON_GPUS)["gpu-memory-utilization"] == "0.45"


def test_the_recipe_has_the_last_word() -> None:
    command = server_arguments(GENERATOR, Serving(arguments=("--max-model-len", "99")), FOLDER)
    assert command[-2:] == ("--max-model-len", "99")


def test_the_key_is_not_on_the_command_line() -> None:
    place = replace(FOLDER, key="a secret")
    assert not any("a secret" in argument for argument in server_arguments(GENERATOR, Serving(), place))
    assert server_environment(place)["VLLM_API_KEY"] == "a secret"
    assert "VLLM_API_KEY" not in server_environment(FOLDER)


def test_nothing_is_reported_to_anybody() -> None:
    assert server_environment(HUB)["VLLM_NO_USAGE_STATS"] == "1"


@pytest.mark.parametrize(
    ("gpus", "serving", "wanted"),
    [
        ([0.0], Serving(), ("cpu", 1)),
        ([0.0], Serving(replicas=3), ("cpu", 3)),
        ([1.0], Serving(), ("cuda", 1)),
        ([8.0], Serving(gpus=2), ("cuda", 4)),
        ([8.0, 4.0, 0.0], Serving(gpus=3), ("cuda", 3)),
        ([1.0], Serving(gpus=0.25), ("cuda", 4)),
        ([8.0], Serving(replicas=2), ("cuda", 2)),
        ([8.0], Serving(gpus=0), ("cpu", 1)),
    ],
)
def test_replicas_fill_the_gpus_of_every_node(gpus: list[float], serving: Serving, wanted: tuple[str, int]) -> None:
    assert replicas_for(gpus, serving) == wanted


@pytest.mark.parametrize(("gpus", "serving"), [([2.0, 2.0], Serving(gpus=4)), ([2.0], Serving(replicas=3))])
def test_replicas_without_room_are_refused(gpus: list[float], serving: Serving) -> None:
    with pytest.raises(UsageError, match="there is room for"):
        replicas_for(gpus, serving)


@pytest.mark.parametrize("gpus", [1.5, 3.2])
def test_a_replica_has_whole_gpus_or_a_share_of_one(gpus: float) -> None:
    with pytest.raises(UsageError, match="whole number"):
        Serving(gpus=gpus)
