"""One question to one endpoint over HTTP: bounded in time and memory, and what its answer means."""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Final

import httpx
from pydantic import BaseModel, Field, ValidationError

from infra.errors import RowError, RunFailed, UsageError
from infra.redact import HIDDEN
from synth.generators.endpoint.flow import Failure, Load, Pace

MOST_BYTES: Final = 8 * 2**20  # of an answer
ERROR_BYTES: Final = 2**16  # read of an error
SHOWN: Final = 300  # characters of a server's message that are passed on
IDLE_S: Final = 3.0  # a connection is kept; servers drop theirs after 5 s (uvicorn), and a request sent then is lost

_REJECTED: Final = (400, 404, 413, 422)
_KEY_REFUSED: Final = (401, 403)
_NO_SUCH_PAGE: Final = ("", "Not Found")  # of web servers in general
_LOAD = re.compile(r"^vllm:num_requests_(running|waiting)(?:\{.*\})? ([-+.\deE]+)", re.MULTILINE)


@dataclass(frozen=True)
class Reply:
    """What a model said: its text ("" when it said nothing), why it stopped, and what that took."""

    text: str
    finish_reason: str
    model: str
    prompt_tokens: int
    media_tokens: int | None  # of the prompt; None where the endpoint does not tell
    completion_tokens: int
    latency_s: float  # of the try that was answered
    endpoint: str


class TryFailed(Exception):
    """One try gave no answer; another one may."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.what)
        self.failure = failure


class _Message(BaseModel):
    content: str | None = None  # null when the model refused or called a tool


class _Choice(BaseModel):
    message: _Message
    finish_reason: str


class _Details(BaseModel):
    multimodal_tokens: dict[str, int] | None = None  # vLLM's, by modality; null when there were none


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details | None = None

    @property
    def media_tokens(self) -> int | None:
        details = self.prompt_tokens_details
        if details is None or "multimodal_tokens" not in details.model_fields_set:
            return None
        return sum((details.multimodal_tokens or {}).values())


class _Completion(BaseModel):
    model: str
    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: _Usage


class Wire:
    """Connections to the endpoints, with the key that opens them; raises UsageError for a key no header can carry."""

    def __init__(self, pace: Pace, key: str | None) -> None:
        self._pace = pace
        self._key = (key or "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            raise UsageError("the key for the endpoints (OPENAI_API_KEY) holds characters that no key has")
        self._http = httpx.AsyncClient(
            # Compressed answers would make memory depend on the server's good will.
            headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            timeout=httpx.Timeout(None, connect=min(10.0, pace.try_s)),  # `_exchange` bounds the whole
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=IDLE_S),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def load(self, base_url: str) -> Load | None:
        """The load that a vLLM server tells beside its API; None of one that is no vLLM. Raises TryFailed."""
        url = base_url.removesuffix("/v1") + "/metrics"
        response, page = await self._exchange(self._http.build_request("GET", url))
        load = engine_load(page.decode(errors="replace"))
        if load is None and response.status_code >= 500:
            raise TryFailed(_trouble(response.status_code, response.reason_phrase, 0.0))
        return load

    async def ask(self, base_url: str, content: bytes, model: str) -> Reply:
        """One question and its answer; raises TryFailed, and RowError or RunFailed for an answer that settles it."""
        began = time.monotonic()
        url, headers = f"{base_url}/chat/completions", {"Content-Type": "application/json"}
        response, body = await self._exchange(self._http.build_request("POST", url, content=content, headers=headers))
        if response.status_code != 200:
            raise self._refusal(base_url, response, body, model)
        completion = _completion(body)
        return Reply(
            text=completion.choices[0].message.content or "",
            finish_reason=completion.choices[0].finish_reason,
            model=completion.model,
            prompt_tokens=completion.usage.prompt_tokens,
            media_tokens=completion.usage.media_tokens,
            completion_tokens=completion.usage.completion_tokens,
            latency_s=time.monotonic() - began,
            endpoint=base_url,
        )

    async def _exchange(self, request: httpx.Request) -> tuple[httpx.Response, bytes]:
        """A response and its body, of which no more is read than tells that it is too much; raises TryFailed."""
        try:
            async with asyncio.timeout(self._pace.try_s):
                response = await self._http.send(request, stream=True)
                try:
                    return response, await _read(response, MOST_BYTES if response.is_success else ERROR_BYTES)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise TryFailed(Failure(f"no answer within {self._pace.try_s:.3g} s", congested=True)) from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise TryFailed(Failure(f"it cannot be reached ({error or 'no connection'})", suspect=False)) from error
        except httpx.TransportError as error:
            raise TryFailed(Failure(f"the connection broke ({error or type(error).__name__})")) from error

    def _refusal(self, base_url: str, response: httpx.Response, body: bytes, model: str) -> Exception:
        """What an answer other than 200 means: another try, a row at fault, or a run that is set up wrong."""
        status, said = response.status_code, _message(body)
        shown = said or response.reason_phrase
        if self._key:  # some servers say it back
            shown = shown.replace(self._key, HIDDEN)
        shown = shown[:SHOWN]
        if status in (408, 429) or status >= 500:
            header = response.headers.get("Retry-After", "")
            pause_s = retry_after_s(header, datetime.now(UTC), self._pace.longest_pause_s)
            return TryFailed(_trouble(status, f"{status}: {shown}", pause_s))
        if status in _KEY_REFUSED:
            return RunFailed(f"{base_url} does not take the key ({status}): set OPENAI_API_KEY to one that it does")
        if status == 404 and model in said:
            return RunFailed(
                f"{base_url} has no model {model!r}: correct generator.model or serving.endpoints ({shown})"
            )
        if status in _REJECTED and said not in _NO_SUCH_PAGE:
            return RowError("rejected_request", f"{status}: {shown}")
        return RunFailed(f"{base_url} is no chat endpoint: it answered {status} ({shown})")


def engine_load(metrics: str) -> Load | None:
    """The load in the Prometheus text of a vLLM server, all its engines together; None when it says none."""
    values: dict[str, list[float]] = {"running": [], "waiting": []}
    for gauge, value in _LOAD.findall(metrics):
        values[gauge].append(float(value))
    return Load(sum(values["running"]), sum(values["waiting"])) if all(values.values()) else None


def retry_after_s(header: str, now: datetime, longest_s: float) -> float:
    """Seconds that a Retry-After header (RFC 9110, 10.2.3: seconds or a date) asks to wait, at most `longest_s`."""
    try:
        wait_s = float(header)
    except ValueError:
        try:
            date: datetime = parsedate_to_datetime(header)
        except ValueError:
            return 0.0
        wait_s = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(wait_s, 0.0), longest_s) if math.isfinite(wait_s) else 0.0


async def _read(response: httpx.Response, most: int) -> bytes:
    """The body as it was sent, or, once `most` bytes are exceeded, its beginning."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most:
            break
    return bytes(body)


def _completion(body: bytes) -> _Completion:
    if len(body) > MOST_BYTES:
        raise RowError("huge_answer", f"the answer is longer than {MOST_BYTES} bytes")
    try:
        return _Completion.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "body"
        what = f"the answer is not the API's JSON ({where}: {problem['msg']})"
        raise TryFailed(Failure(what, reason="broken_reply")) from error


def _trouble(status: int, what: str, pause_s: float) -> Failure:
    """429 and 503 are about load, never about a request."""
    if status == 429:
        return Failure(what, busy=True, congested=True, suspect=False, pause_s=pause_s)
    return Failure(what, congested=status in (408, 503), suspect=status != 503, pause_s=pause_s)


def _message(body: bytes) -> str:
    """What an error says, in one line; "" when it is none of the API's, nor like it."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    while isinstance(said, dict):
        said = said.get("error") or said.get("message") or said.get("detail") or ""
    return " ".join(str(said or "").split())
