"""Removes source videos for good: from releases, from what the lake remembers, and from its tables and media."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from infra.errors import UsageError
from infra.lease import Lease, hold_lease
from infra.removed import TakenOut, descendants, remember_removed, removed_videos, take_out
from infra.store import Store
from shards.holdings import find_holdings, resolve
from shards.manifest import Manifest, lake_of, read_manifest
from shards.removal import check_base, forget_in_indexes, is_without, latest_release, publish_without, withdraw
from synth.ledger import forget_answers

REMAINS = (
    "the videos' own files, which are not the lake's",
    "fingerprints, captions and the file name, by which copies of the videos are still kept out (LAKE/kept/released)",
    "models trained on a withdrawn release (LAKE/models), and their scores",
    "copies elsewhere: downloads, pages written with --out, pictures in the dashboard, older versions in a bucket",
)


def remove_videos(
    manifest: str, videos: Sequence[str], sources: Sequence[str], reason: str, say: Callable[[str], None]
) -> str:
    """Remove source videos, by ids or file names, from a release's lake; returns the manifest to use from now on.

    The order is such that no release offers what is not there, and that doing it all again finishes what was cut
    off: a release without them, the lake's tables, media and memory, the tars of the other releases, and last the
    indexes, by which the videos are found. `say` is told of every step that is done.
    Raises UsageError, before anything is changed, for videos that no release holds and for a release that is not the
    latest; LakeBusy.
    """
    base = read_manifest(manifest)
    lake = lake_of(base)
    video_ids, done = _plan(lake, base, videos, sources, reason)
    with hold_lease(lake) as lease:
        if latest_release(lake) != done:
            raise UsageError(f"a run published meanwhile: look at `uvr release list --lake {lake.url}` and try again")
        holdings = find_holdings(lake, video_ids)
        if not is_without(done, video_ids):
            known = {stone.video_id for stone in base.tombstones}
            new = dict.fromkeys(sorted(video_ids - known), reason)
            done = read_manifest(lake.location(publish_without(lake, lease, base, new, holdings)))
            say(f"published {done.release_id}, which is without them")
        taken = heed_removals(lake, lease)
        say(f"taken out of the lake, which will drop them: {taken.rows} rows, {taken.files} files of media and answers")
        withdrawn = withdraw(lake, lease, holdings, done)
        say(f"withdrawn: {', '.join(withdrawn) or 'nothing'}")
        forget_in_indexes(lake, lease, holdings)
    return f"{done.folder}/manifest.json"


def _plan(
    lake: Store, base: Manifest, videos: Sequence[str], sources: Sequence[str], reason: str
) -> tuple[frozenset[str], Manifest]:
    """The ids of the videos, and the lake's latest release; raises UsageError."""
    if not (videos or sources) or not reason.strip():
        raise UsageError("say which videos to remove, with --video or --source, and with --reason why")
    latest = latest_release(lake)
    if latest is None:
        raise UsageError(f"{lake.url} has no release that was published whole")
    holdings = find_holdings(lake, videos, sources)
    video_ids = resolve(holdings, videos, sources, latest.tombstones)
    if not is_without(latest, video_ids):
        check_base(latest, base, holdings)
    return video_ids, latest


def heed_removals(lake: Store, lease: Lease) -> TakenOut:
    """Take all videos out of a lake that its latest release is without because they were removed, and remember them.

    Every run begins with it, should a removal have been cut off after its release was published. What is
    remembered was taken out before.
    """
    latest, known = latest_release(lake), removed_videos(lake)
    new = {stone.video_id: stone.reason for stone in latest.tombstones if stone.video_id not in known} if latest else {}
    if not new:
        return TakenOut(0, 0)
    ids = descendants(lake, new)
    answers = forget_answers(lake, ids)
    taken = take_out(lake, lease, ids)
    remember_removed(lake, lease, new)
    return TakenOut(taken.rows, taken.files + answers)
