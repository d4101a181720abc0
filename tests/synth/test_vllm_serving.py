"""A real vLLM server: it takes a clip's frames as they are, answers in the schema, and never outlives its run."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from replicas import actors, connect
from service import wait_for
from tiny_server_model import write_tiny_server_model

from infra.errors import RunFailed
from infra.media.encode import encode_image
from synth.generators.settings import GeneratorSettings, Serving
from synth.generators.vllm.fleet import Fleet

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1800)]

SERVING = Serving(context=4096, max_sequences=8)
ANSWER = {
    "type": "object",
    "properties": {
        "clip_id": {"type": "string", "pattern": "^[a-z0-9]{4,12}$"},
        "caption": {"type": "string", "pattern": "^[A-Za-z ,.]{10,60}$"},
    },
    "required": ["clip_id", "caption"],
    "additionalProperties": False,
}
SIDE = 112  # pixels: 16 tokens for a pair of frames


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> GeneratorSettings:
    folder = write_tiny_server_model(tmp_path_factory.mktemp("tiny"))
    return GeneratorSettings(kind="vllm", model=str(folder), max_frame_pixels=SIDE * SIDE)


@pytest.fixture(scope="module")
def fleet(generator: GeneratorSettings) -> Iterator[Fleet]:
    import ray

    with Fleet(generator, SERVING, print) as fleet:
        yield fleet
    ray.shutdown()


@pytest.fixture
def url(fleet: Fleet) -> str:
    (url,) = fleet.urls(connect)
    return url


def jpeg(number: int) -> str:
    """A frame with a red bar whose place tells its number."""
    frame = np.zeros((SIDE, SIDE, 3), np.uint8)
    frame[:, number * 10 % SIDE :][:, :20, 0] = 255
    return base64.b64encode(encode_image(frame)).decode()


def video(frames: int, first: int = 0) -> dict[str, Any]:
    data = ",".join(jpeg(first + number) for number in range(frames))
    return {"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{data}"}}


def image() -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{jpeg(0)}"}}


def post(url: str, *parts: dict[str, Any], **more: Any) -> httpx.Response:
    content = [*parts, {"type": "text", "text": "Describe the video in JSON."}]
    body = {
        "model": httpx.get(f"{url}/models").json()["data"][0]["id"],
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 300,
        "temperature": 0,
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": ANSWER, "strict": True}},
        **more,
    }
    return httpx.post(f"{url}/chat/completions", json=body, timeout=300)


def ask(url: str, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = post(url, *parts, **more)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def media_tokens(answer: dict[str, Any]) -> dict[str, int] | None:
    tokens: dict[str, int] | None = answer["usage"]["prompt_tokens_details"]["multimodal_tokens"]
    return tokens


def taken_at(fps: float) -> dict[str, Any]:
    """What a request says of its frames; without num_frames the default of 32 would be back."""
    return {"media_io_kwargs": {"video": {"fps": fps, "num_frames": -1}}}


def processes(url: str) -> list[psutil.Process]:
    """All processes of the server at `url`: its first one, then those of its group, the guard among them."""
    port = str(httpx.URL(url).port)
    for process in psutil.process_iter():
        command = process.cmdline() if process.status() != psutil.STATUS_ZOMBIE else []
        if port in command and is_server(command):
            group = os.getpgid(process.pid)
            return [process, *(p for p in psutil.process_iter() if p != process and os.getpgid(p.pid) == group)]
    return []


def names(of: list[psutil.Process]) -> list[str]:
    """The first one is the server; the others are called what they call themselves."""
    return ["server", *(process.cmdline()[0] for process in of[1:])]


def is_server(command: list[str]) -> bool:
    return "vllm.entrypoints.openai.api_server" in command and not any("guard.py" in word for word in command)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_it_answers_in_the_schema_and_counts_the_tokens_of_the_media(url: str) -> None:
    with_video, without = ask(url, video(8)), ask(url)
    for answer in (with_video, without):
        assert answer["choices"][0]["finish_reason"] == "stop"
        assert json.loads(answer["choices"][0]["message"]["content"]).keys() == {"clip_id", "caption"}
    assert media_tokens(with_video) == {"video": 64}
    assert media_tokens(without) is None
    # Beside the clip's tokens there are the one before and the one after them.
    assert with_video["usage"]["prompt_tokens"] == without["usage"]["prompt_tokens"] + 64 + 2


def test_a_request_holds_a_clip_and_a_stretch_or_a_frame_of_it(url: str) -> None:
    assert media_tokens(ask(url, video(8), image())) == {"video": 64, "image": 16}
    assert media_tokens(ask(url, video(8), video(4, 2))) == {"video": 96}
    assert post(url, video(8), video(8), video(8)).status_code == 400


@pytest.mark.parametrize("more", [{}, taken_at(2.0)])
def test_every_frame_counts_however_many_there_are(url: str, more: dict[str, Any]) -> None:
    assert media_tokens(ask(url, video(40), **more)) == {"video": 320}


def test_when_frames_were_taken_reaches_the_model(url: str) -> None:
    """Also where the same frames were seen before at another rate."""

    def likelihoods(fps: float) -> list[float]:
        answer = ask(url, video(8), logprobs=True, **taken_at(fps))
        return [token["logprob"] for token in answer["choices"][0]["logprobs"]["content"][:8]]

    fast, slow = likelihoods(2.0), likelihoods(0.25)
    assert fast != pytest.approx(slow, abs=1e-4)
    assert likelihoods(2.0) == pytest.approx(fast, abs=1e-4)


def test_files_of_the_machine_are_not_read(url: str) -> None:
    refused = post(url, {"type": "image_url", "image_url": {"url": "file:///etc/hostname"}})
    assert refused.status_code >= 400
    assert "allowed-local-media-path" in refused.text


def test_no_other_machine_can_reach_it(url: str) -> None:
    listening = [
        connection.laddr.ip
        for process in processes(url)
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}  # and some are found


@pytest.mark.parametrize("victim", ["server", "VLLM::EngineCore"])
def test_a_killed_server_comes_back_at_the_same_url(fleet: Fleet, url: str, victim: str) -> None:
    wait_for(f"{victim} by its name", lambda: victim in names(processes(url)), 60)  # it gives itself one
    before = processes(url)
    before[names(before).index(victim)].kill()
    wait_for("the server's processes to end", lambda: not alive(before), 60)
    wait_for("the server", lambda: _is_healthy(url), 600)
    assert fleet.urls(connect) == (url,)
    assert media_tokens(ask(url, video(8))) == {"video": 64}


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(url.removesuffix("/v1") + "/health").is_success
    except httpx.HTTPError:
        return False


def test_killing_the_actor_leaves_no_server(url: str) -> None:
    left = processes(url)
    assert left
    (actor,) = actors()
    actor.kill()
    wait_for("the server's processes to end", lambda: not alive(left), 60)


def test_a_model_that_cannot_be_served_fails_the_run_with_the_server_s_words(generator: GeneratorSettings) -> None:
    serving = Serving(context=10**7)
    with Fleet(generator, serving) as fleet, pytest.raises(RunFailed, match="max_model_len"):
        fleet.urls(connect)


def test_killing_the_driver_leaves_no_server(generator: GeneratorSettings) -> None:
    script = (
        "import sys, signal, test_vllm_serving as t\n"
        "generator = t.GeneratorSettings(kind='vllm', model=sys.argv[1], max_frame_pixels=t.SIDE * t.SIDE)\n"
        "print(*t.Fleet(generator, t.SERVING).urls(t.connect), flush=True)\n"
        "signal.pause()\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]])
    driver = subprocess.Popen(
        [sys.executable, "-c", script, generator.model],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert driver.stdout is not None
    url = driver.stdout.readline().strip()
    driver.stdout.close()
    assert _is_healthy(url)
    left = processes(url)
    assert left
    driver.kill()
    driver.wait()
    wait_for("the server's processes to end", lambda: not alive(left), 60)
