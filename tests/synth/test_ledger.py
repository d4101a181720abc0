"""The ledger of answers: what it holds of whom, and forgetting that."""

from pathlib import Path

import pytest
from s3_server import S3Server

from infra.store import Store
from infra.workspace import LakeWorkspace
from synth.ledger import Entry, Ledger, accounts, forget_answers


def answer(clip_id: str, kind: str) -> Entry:
    return Entry(kind, clip_id, "model", "1", "v1", f'"quöted"\nabout {clip_id}', "stop", 100, None, 10, 0.5)


@pytest.fixture(params=["disk", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server) -> Store:
    lake = str(tmp_path) if request.param == "disk" else f"{s3.bucket()}/lake"
    ledger = Ledger(LakeWorkspace(lake, "stages/x"))
    for number, (clip_id, kind) in enumerate([("a", "captions"), ("a", "queries"), ("b", "captions")]):
        for attempt in range(2):
            ledger.keep(f"{number:064x}", attempt, answer(clip_id, kind))
    return Store(lake)


def test_answers_about_some_clips_are_forgotten(store: Store) -> None:
    assert {(row["kind"], row["answers"], row["clips"]) for row in accounts(store)} == {
        ("captions", 4, 2), ("queries", 2, 1),
    }  # fmt: skip
    assert forget_answers(store, {"a", "nobody"}) == 4
    assert [(row["kind"], row["answers"], row["clips"]) for row in accounts(store)] == [("captions", 2, 1)]
    assert forget_answers(store, {"a"}) == 0
    ledger = Ledger(LakeWorkspace(store.url, "stages/x"))
    assert ledger.recall(f"{0:064x}", 0) is None
    assert ledger.recall(f"{2:064x}", 1) == answer("b", "captions")
    assert forget_answers(store, {"b"}) == 2
    assert accounts(store) == []
    assert forget_answers(store, {"b"}) == 0


def test_a_lake_without_answers_forgets_none(tmp_path: Path) -> None:
    assert forget_answers(Store(str(tmp_path)), {"a"}) == 0
