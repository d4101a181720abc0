"""Answers of models, kept by what was asked: no question is paid for twice, in this run or a later one.

One small file for an answer, written once and never changed, so that any number of workers and runs
share them on a disk or an object store without a lock or an index; a crash loses no answer that came.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass

import duckdb

from infra.stage import Row, Workspace
from infra.store import Store
from infra.tables import connect
from infra.workspace import KEPT
from synth.generator import Request
from synth.generators.settings import GeneratorSettings

ANSWERS = "answers"  # the ledger's folder among what a lake keeps


@dataclass(frozen=True)
class Entry:
    """One answer as it came, good or not, and what it took."""

    kind: str
    clip_id: str
    model: str
    revision: str
    prompt_version: str
    text: str
    finish_reason: str
    prompt_tokens: int
    media_tokens: int | None  # of the prompt's; None where the endpoint did not tell
    completion_tokens: int
    latency_s: float


def question_key(request: Request, prompt_version: str, settings: GeneratorSettings) -> str:
    """64 hex digits that name a question: media bytes, words, model, revision and sampling."""
    facts = {
        "media": [hashlib.sha256(data).hexdigest() for data in (request.video, request.frame, request.subclip)],
        "words": [request.kind, prompt_version, request.clip_id, request.seed, request.weak_caption],
        "times": [request.duration_s, *request.subclip_s],
        "slots": dict(request.slots),
        "model": {k: v for k, v in asdict(settings).items() if k != "kind"},  # served or rented, it is the same model
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Ledger:
    """The answers that any run of this lake got. A question may have several: each is one more attempt."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def recall(self, key: str, attempt: int) -> Entry | None:
        """The answer to an attempt at a question, if there was one."""
        data = self.workspace.recall(_name(key, attempt))
        return None if data is None else Entry(**json.loads(data))

    def keep(self, key: str, attempt: int, entry: Entry) -> None:
        """Keep an answer for good; raises StaleLease, DiskFull."""
        text = json.dumps(asdict(entry), ensure_ascii=False, sort_keys=True)
        self.workspace.keep(_name(key, attempt), text.encode())


def _name(key: str, attempt: int) -> str:
    return f"{ANSWERS}/{key[:2]}/{key[2:4]}/{key}-{attempt}.json"


def forget_answers(store: Store, clip_ids: Collection[str]) -> int:
    """Delete all answers about some clips from the ledger of a lake; returns how many there were."""
    with connect(store) as db:
        if not (files := _files(db, store)):
            return 0
        found = db.execute(
            "SELECT filename FROM read_json(?, columns = {clip_id: 'VARCHAR'}, filename = true) "
            "WHERE clip_id IN (SELECT unnest(?::VARCHAR[]))",
            [files, sorted(clip_ids)],
        ).fetchall()
    for (filename,) in found:
        store.remove("/".join([KEPT, ANSWERS, *filename.split("/")[-3:]]))
    return len(found)


def accounts(store: Store) -> list[Row]:
    """What the ledger of a lake holds, by model and kind of question: answers, tokens, seconds a call (median)."""
    with connect(store) as db:
        if not (files := _files(db, store)):
            return []
        found = db.execute(
            "SELECT model, revision, kind, count(*) AS answers, count(DISTINCT clip_id) AS clips, "
            "sum(prompt_tokens)::BIGINT AS prompt_tokens, sum(completion_tokens)::BIGINT AS completion_tokens, "
            "round(median(latency_s), 2) AS median_s "
            "FROM read_json(?, format = 'newline_delimited') GROUP BY ALL ORDER BY ALL",
            [files],
        )
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _files(db: duckdb.DuckDBPyConnection, store: Store) -> str | None:
    """The pattern of all answers' files, as `db` takes it; None when there is no answer."""
    files = store.location(f"{KEPT}/{ANSWERS}/*/*/*.json")
    return files if db.execute("SELECT 1 FROM glob(?) LIMIT 1", [files]).fetchall() else None
