"""The generator behind endpoints: ask, check, ask once more with the fault named, keep every answer."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from infra.errors import RowError, RunFailed
from infra.stage import Workspace
from synth.answers import parse
from synth.generator import Answer, Request
from synth.generators.endpoint.canary import Canary, canary
from synth.generators.endpoint.client import Client, Reply
from synth.generators.endpoint.question import Question, body, compose
from synth.generators.settings import GeneratorSettings
from synth.ledger import Entry, Ledger, question_key
from synth.prompts.render import render, version

API_KEY: Final = "OPENAI_API_KEY"
ATTEMPTS: Final = 2  # at a question in one round: asked, and asked again with the fault named
CANARIES: Final = 3  # tries at a batch's canary, of which one must be right

T = TypeVar("T")


class EndpointGenerator:
    """Asks a model that OpenAI-compatible endpoints serve. Many threads may use it at once."""

    def __init__(self, settings: GeneratorSettings, workspace: Workspace) -> None:
        self.settings = settings
        self.workspace = workspace
        self.ledger = Ledger(workspace)
        self.client = Client(workspace.service, os.environ.get(API_KEY))
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._start(self.client.__aenter__()).result()
        self._composing = threading.Lock()
        self._watching = threading.Lock()
        self._canary: Future[None] | None = None
        self._canaries = 0

    @property
    def at_once(self) -> int:
        """As many threads as the endpoints may be sent requests at once."""
        service = self.workspace.service
        return service.max_in_flight * max(1, len(service.endpoints))

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers for `requests`, each asked once and once again if need be, or found in the ledger.

        Raises RowError when the media cannot be read or no good answer is to be had, EndpointDown when
        no endpoint answers any more, RunFailed when a batch's canary is not recognised.
        """
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Answer:
        """The first good one of all attempts made at a question, in this round or earlier ones."""
        settings, prompt_version = self.settings, version(request.kind)
        key = question_key(request, prompt_version, settings)
        question: Question | None = None
        faulty: tuple[str, RowError] | None = None
        for attempt in range(ATTEMPTS * (self.workspace.round + 1)):
            if attempt % ATTEMPTS == 0:
                faulty = None
            entry = self.ledger.recall(key, attempt)
            if entry is None:
                question = question or self._composed(request)
                entry = self._ask(question, attempt, faulty)
                self._await_canary()
                self.ledger.keep(key, attempt, entry)
            try:
                check(request, entry)
            except RowError as fault:
                faulty = entry.text, fault
            else:
                return Answer(entry.text, f"{entry.model}@{entry.revision}".rstrip("@"), prompt_version)
        assert faulty is not None
        raise faulty[1]

    def _composed(self, request: Request) -> Question:
        """In turns: all at once, every first question would be ready only when the last one is."""
        with self._composing:
            return compose(request, self.settings)

    def _ask(self, question: Question, attempt: int, faulty: tuple[str, RowError] | None) -> Entry:
        """One call of the model."""
        asked = self._start(self.client.ask(body(question, self.settings, attempt, faulty)))
        self._send_canary()  # not first: an answer that comes one too late would be its own
        reply = asked.result()
        self.workspace.spend(reply.prompt_tokens + reply.completion_tokens)
        return as_entry(question.request, self.settings, reply)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A batch of questions: if any is put to the model, a canary goes along; no answer is kept before it was right.

        Raises RunFailed when the canary was not recognised.
        """
        with self._watching:
            self._canary = None
        yield
        self._await_canary()

    def _send_canary(self) -> None:
        with self._watching:
            if self._canary is None:
                self._canary = self._start(self._recognised())

    def _await_canary(self) -> None:
        if self._canary is not None:
            self._canary.result()

    async def _recognised(self) -> None:
        """Ask about canaries until one is named right; raises RunFailed after CANARIES of them."""
        faults = []
        for _ in range(CANARIES):
            self._canaries += 1
            try:
                return await self._recognise(canary(self._canaries))
            except RowError as fault:
                faults.append(str(fault))
        raise RunFailed(
            f"{self.settings.model} did not recognise {CANARIES} canary clips in a row, so no answer of this batch is "
            f"kept: answers may get to the wrong clips, or the model does not see them. Last: {faults[-1]}"
        )

    async def _recognise(self, known: Canary) -> None:
        question = await asyncio.to_thread(compose, known.request, self.settings)
        reply = await self.client.ask(body(question, self.settings, 0, None))
        self.workspace.spend(reply.prompt_tokens + reply.completion_tokens)
        check_media(as_entry(known.request, self.settings, reply))
        known.check(reply.text)

    def _start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)


def as_entry(request: Request, settings: GeneratorSettings, reply: Reply) -> Entry:
    """What the ledger keeps of a reply."""
    return Entry(
        kind=request.kind,
        clip_id=request.clip_id,
        model=settings.model,
        revision=settings.revision,
        prompt_version=version(request.kind),
        text=reply.text,
        finish_reason=reply.finish_reason,
        prompt_tokens=reply.prompt_tokens,
        media_tokens=reply.media_tokens,
        completion_tokens=reply.completion_tokens,
        latency_s=round(reply.latency_s, 3),
    )


def check(request: Request, entry: Entry) -> None:
    """Raise RowError for an answer that cannot be used: `no_media`, `truncated_answer`, or as `synth.answers.parse`."""
    check_media(entry)
    if entry.finish_reason == "length":
        raise RowError("truncated_answer", f"the answer did not end within {entry.completion_tokens} tokens")
    parse(request.kind, entry.text, request.clip_id, render(request, ()).system)


def check_media(entry: Entry) -> None:
    """Raise RowError `no_media` when the endpoint says that the model saw words only."""
    if entry.media_tokens == 0:
        raise RowError("no_media", "the model was shown nothing: none of the prompt's tokens is of a picture or clip")
