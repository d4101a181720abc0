"""The events by which the end of one flow starts the next."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect.events import emit_event

from eval.verdict import Verdict, read_verdict
from infra.store import Store
from shards.manifest import Manifest

SHARDS_LANDED = "uvr.shards.landed"
MODEL_PROMOTED = "uvr.model.promoted"
MODEL_REJECTED = "uvr.model.rejected"


def announce_release(lake: Store, release: Manifest) -> None:
    """Emit `uvr.shards.landed` with the manifest's path and counts, unless the release has its verdict already.

    Whoever trains on it does so once, however often this is called.
    """
    if read_verdict(lake, release.release_id) is None:
        _emit(SHARDS_LANDED, release, _counts(release))


def announce_verdict(release: Manifest, verdict: Verdict) -> None:
    """Emit `uvr.model.promoted` or `uvr.model.rejected`."""
    facts = {"model": verdict.model, "score": asdict(verdict.score), "difference": asdict(verdict.difference)}
    _emit(MODEL_PROMOTED if verdict.promoted else MODEL_REJECTED, release, {**facts, "why": verdict.why})


def _counts(release: Manifest) -> dict[str, Any]:
    pairs = {task: sum(by_split.values()) for task, by_split in release.pairs().items()}
    size = sum(shard.bytes for shard in release.shards)
    return {"pairs": sum(pairs.values()), "pairs_by_task": pairs, "shards": len(release.shards), "bytes": size}


def _emit(event: str, release: Manifest, payload: dict[str, Any]) -> None:
    resource = {
        "prefect.resource.id": f"uvr.release.{release.release_id}",
        "prefect.resource.name": f"release {release.release_id}",
    }
    known = {"release_id": release.release_id, "manifest": f"{release.folder}/manifest.json"}
    emit_event(event, resource, payload={**known, **payload})
