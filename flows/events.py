"""The events by which the end of one flow starts the next."""

from __future__ import annotations

from typing import Any

from prefect.events import emit_event

from infra.store import Store
from shards.manifest import Manifest, load_manifest

SHARDS_LANDED = "uvr.shards.landed"
MODEL_PROMOTED = "uvr.model.promoted"
MODEL_REJECTED = "uvr.model.rejected"

VERDICT_NAME = "verdict.json"


def announce_release(manifest: str) -> None:
    """Emit `uvr.shards.landed`, unless the release has its verdict already.

    Whoever trains on it does so once, however often this is called.
    """
    release = load_manifest(manifest)
    if Store(release.folder).exists(VERDICT_NAME):
        return
    _emit(SHARDS_LANDED, release, {"manifest": manifest, **_counts(release)})


def announce_verdict(manifest: str, promoted: bool, payload: dict[str, Any]) -> None:
    """Emit `uvr.model.promoted` or `uvr.model.rejected`."""
    _emit(MODEL_PROMOTED if promoted else MODEL_REJECTED, load_manifest(manifest), {"manifest": manifest, **payload})


def _counts(release: Manifest) -> dict[str, Any]:
    pairs = {task: sum(by_split.values()) for task, by_split in release.pairs().items()}
    size = sum(shard.bytes for shard in release.shards)
    return {"pairs": sum(pairs.values()), "pairs_by_task": pairs, "shards": len(release.shards), "bytes": size}


def _emit(event: str, release: Manifest, payload: dict[str, Any]) -> None:
    resource = {
        "prefect.resource.id": f"uvr.release.{release.release_id}",
        "prefect.resource.name": f"release {release.release_id}",
    }
    emit_event(event, resource, payload={"release_id": release.release_id, **payload})
