"""A chat-completions server for tests that misbehaves on purpose, and counts what it sees.

What it does with a request is said by `bad:WORD` or `bad:WORD:ARGUMENT` in the prompt, else by the next
word of its script, else it answers; `WORDS` holds them all. `bad:once:WORD` is for the first request
with that prompt only.
"""

import asyncio
import json
import re
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web

Body = dict[str, Any]
_BAD = re.compile(r"bad:(once:)?([\w-]+)(?::([\w.]+))?")


def prompt_of(body: Body) -> str:
    """All text of a request, in order."""
    contents = [message["content"] for message in body["messages"]]
    parts = [
        part
        for content in contents
        for part in ([{"type": "text", "text": content}] if isinstance(content, str) else content)
    ]
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def echo(body: Body) -> str:
    """The prompt again."""
    return f"echo {prompt_of(body)}"


@dataclass
class BadServer:
    """Serves `answer` at `url` on the loopback for the length of a `with` block; `start` and `stop` do it by hand.

    With a `capacity` it is an engine that works on that many requests at once, lets the others wait
    and tells so at /metrics; without one it takes all and has no such page. A request takes `delay_s`.
    """

    answer: Callable[[Body], str] = echo
    script: Iterable[str] = ()
    delay_s: float = 0.0
    capacity: int | None = None
    key: str | None = None
    models: tuple[str, ...] = ("tiny",)
    media_tokens: Body | None = None  # vLLM's account of them, if the server is to give one
    port: int = 0
    bodies: list[Body] = field(default_factory=list)  # of requests seen
    seen: Counter[str] = field(default_factory=Counter)  # what was done with them
    answered: list[str] = field(default_factory=list)  # prompts
    at_once: int = 0
    most_at_once: int = 0
    waiting: int = 0
    looks: int = 0  # at /metrics

    def __post_init__(self) -> None:
        self._script = iter(self.script)
        self._thread: threading.Thread | None = None
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]

    @property
    def url(self) -> str:
        """The API's base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> "BadServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve, in a thread of its own."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise RuntimeError("the server did not start")

    def stop(self) -> None:
        """Break every connection and be gone; what was counted stays."""
        if self._thread:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._engine = asyncio.Semaphore(self.capacity or 1_000_000)
        app = web.Application(client_max_size=2**28)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/metrics", self._metrics)
        # As vLLM does, drop the work for a client that has gone.
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True).start()
        ready.set()
        await self._stopping.wait()
        await runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            body = await request.json()
            word, argument = self._word(prompt_of(body))
            self.bodies.append(body)
            self.seen[word] += 1
            refusal = self._refusal(request, body)
            return refusal or await WORDS[word](self, request, body, argument)
        finally:
            self.at_once -= 1

    def _word(self, prompt: str) -> tuple[str, str]:
        said = _BAD.search(prompt)
        if said and not (said[1] and prompt in map(prompt_of, self.bodies)):
            return said[2], said[3] or ""
        word, _, argument = next(self._script, "ok").partition(":")
        return word, argument

    def _refusal(self, request: web.Request, body: Body) -> web.Response | None:
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return error(401, f"this is no key: {request.headers.get('Authorization')}")
        if body["model"] not in self.models:
            return error(404, f"The model `{body['model']}` does not exist.")
        return None

    async def ok(self, request: web.Request, body: Body, delay: str) -> web.Response:
        """A right answer, as the engine gets to it."""
        async with self._work():
            await asyncio.sleep(float(delay or self.delay_s))
        self.answered.append(prompt_of(body))
        made = completion(self.answer(body), body["model"])
        if self.media_tokens is not None:
            made["usage"]["prompt_tokens_details"] = self.media_tokens
        return web.json_response(made)

    @asynccontextmanager
    async def _work(self) -> AsyncIterator[None]:
        self.waiting += 1
        try:
            await self._engine.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._engine.release()

    async def _metrics(self, _: web.Request) -> web.Response:
        self.looks += 1
        if self.capacity is None:
            raise web.HTTPNotFound
        labels = '{engine="0",model_name="tiny"}'
        running = self.at_once - self.waiting
        return web.Response(
            text=f"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{labels} {running:.1f}\n"
            f"# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting{labels} {self.waiting:.1f}\n"
        )


def completion(text: str, model: str) -> Body:
    """A chat completion as the API has it."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


def error(status: int, message: str, **headers: str) -> web.Response:
    """An error as the API has it."""
    return web.json_response({"error": {"message": message, "code": status}}, status=status, headers=headers)


Deed = Callable[[BadServer, web.Request, Body, str], Awaitable[web.StreamResponse]]


def _says(status: int, message: str) -> Deed:
    """An error; the argument is its Retry-After: seconds, or `date` and seconds."""

    async def say(_: BadServer, request: web.Request, body: Body, after: str) -> web.StreamResponse:
        if after.startswith("date"):
            after = format_datetime(datetime.now(UTC) + timedelta(seconds=float(after[4:])), usegmt=True)
        return error(status, message, **({"Retry-After": after} if after else {}))

    return say


def _sends(text: str) -> Deed:
    async def send(_: BadServer, request: web.Request, body: Body, argument: str) -> web.StreamResponse:
        return web.Response(text=text, content_type="application/json")

    return send


def _streams(chunk: bytes, status: int = 200, pause_s: float = 0.0) -> Deed:
    """An answer of chunks without end."""

    async def stream(_: BadServer, request: web.Request, body: Body, argument: str) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        while True:
            await response.write(chunk)
            await asyncio.sleep(pause_s)

    return stream


def _drops(after_headers: bool) -> Deed:
    async def drop(_: BadServer, request: web.Request, body: Body, argument: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        if after_headers:
            await response.prepare(request)
            await response.write(b'{"id": ')
        assert request.transport is not None
        request.transport.abort()
        return response

    return drop


async def _hang(*_: Any) -> web.StreamResponse:
    await asyncio.sleep(3600)
    raise AssertionError


async def _swell(_: BadServer, request: web.Request, body: Body, argument: str) -> web.StreamResponse:
    return web.json_response(completion("long " * int(argument or 2_000_000), body["model"]))


WORDS: dict[str, Deed] = {
    "ok": BadServer.ok,  # argument: seconds it takes
    "408": _says(408, "that took too long"),
    "429": _says(429, "too many requests"),
    "500": _says(500, "something broke"),
    "500-endless": _streams(b"sorry " * 2**13, status=500),
    "503": _says(503, "overloaded"),
    "400": _says(400, "the video cannot be decoded"),
    "401": _says(401, "no such key"),
    "403": _says(403, "this key may not"),
    "404": _says(404, "no such file"),
    "413": _says(413, "too large"),
    "418": _says(418, "I am a teapot"),
    "422": _says(422, "unprocessable"),
    "404-page": lambda *_: _page(404),
    "model": _says(404, "The model `tiny` does not exist."),
    "drop": _drops(after_headers=False),
    "drop-late": _drops(after_headers=True),
    "hang": _hang,
    "not-json": _sends("<html>welcome</html>"),
    "wrong-schema": _sends(json.dumps({"object": "error", "message": "oops", "code": 500})),
    "spaces": _streams(b" " * 2**16),
    "drip": _streams(b" ", pause_s=0.01),
    "huge": _swell,  # argument: words of five bytes
}


async def _page(status: int) -> web.StreamResponse:
    return web.Response(status=status, text="<html>nothing here</html>", content_type="text/html")
