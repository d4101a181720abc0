"""What each command of the command line does: call a flow or read a lake, then print."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from flows.printing import (
    describe_verdict,
    print_difference,
    print_funnel,
    print_json,
    print_release,
    print_rows,
    say,
    short,
)
from flows.service.environment import prefect_server, prepare
from flows.service.nightly import Nightly
from infra import lake as lakes
from infra.counts import status_row
from infra.errors import UsageError
from infra.lease import hold_lease
from infra.store import Store
from infra.workspace import begin_round
from shards import manifest as manifests


def run(videos: str, lake: str, recipe: str | None, overrides: Sequence[str]) -> None:
    """`uvr run`: prints the funnel, then the manifest's path on the last line."""
    with prefect_server():
        from flows.synthesize_pairs import synthesize_pairs

        manifest = synthesize_pairs(videos, lake, recipe, list(overrides))
    print_release(lake, manifest)


def plan(
    videos: str, recipe: str | None, overrides: Sequence[str], sample: int, lake: str | None, as_json: bool
) -> None:
    """`uvr plan`."""
    from flows.plan import make_plan
    from flows.print_plan import plan_document, print_plan
    from flows.recipe import read_recipe

    planned = make_plan(videos, read_recipe(recipe, overrides), sample)
    free = Store(lake).free_bytes() if lake is not None else None
    if as_json:
        print_json(plan_document(planned, free))
        return
    print_plan(planned, free)


def status(lake: str, as_json: bool) -> None:
    """`uvr status`."""
    release = lakes.load_record(Store(lake)).release
    with lakes.open_tables(lake) as tables:
        counts = lakes.funnel(tables)
    if as_json:
        print_json({"stages": [status_row(stage) for stage in counts], "release": release})
        return
    print_funnel(counts)
    print(f"release: {release or 'none yet'}")


def quarantine(lake: str, stage: str | None, as_json: bool) -> None:
    """`uvr quarantine`."""
    with lakes.open_tables(lake) as tables:
        rows = lakes.quarantined(tables, stage)
    print_rows(rows, ("stage", "source", "key", "reason", "error"), as_json)


def answers(lake: str, as_json: bool) -> None:
    """`uvr answers`."""
    from synth.ledger import accounts

    store = Store(lake)
    lakes.load_record(store)
    columns = ("model", "revision", "kind", "answers", "clips", "prompt_tokens", "completion_tokens", "median_s")
    print_rows(accounts(store), columns, as_json)


def dropped(lake: str, stage: str | None, as_json: bool) -> None:
    """`uvr dropped`."""
    with lakes.open_tables(lake) as tables:
        rows = lakes.dropped(tables, stage)
    print_rows(rows, ("stage", "source", "key", "reason", "detail"), as_json)


def requeue(lake: str, stage: str | None, reason: str | None) -> None:
    """`uvr requeue`."""
    store = Store(lake)
    record = lakes.load_record(store)
    with hold_lease(store) as lease:
        rows = lakes.requeue(store, lease, record.links, stage, reason)
        begin_round(store, lease)
    print(f"{rows} rows are pending again; the next `uvr run` does them")


def explain(wanted: str, lake: str, as_json: bool) -> None:
    """`uvr explain`."""
    with lakes.open_tables(lake) as tables:
        rows = lakes.explain(tables, wanted)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['stage']}: {row['status']}" + (f" ({row['reason']})" if "reason" in row else ""))
        for name, value in row.items():
            if name not in ("stage", "status", "reason"):
                print(f"    {name:18} {short(value)}")


def examples(lake: str, out: str) -> None:
    """`uvr examples`: prints the page's path on the last line."""
    from flows.examples import draw_examples

    for path in draw_examples(lake, out):
        print(path)


def index(
    name: str,
    videos: str | None,
    texts: Sequence[str],
    lake: str,
    out: str,
    recipe: str | None,
    overrides: Sequence[str],
    as_json: bool,
) -> None:
    """`uvr index`."""
    from flows.index import make_index
    from flows.recipe import read_recipe

    if videos is None and not texts:
        raise UsageError("an evaluation set has videos or texts: give --videos, --texts or both")
    made = make_index(read_recipe(recipe, overrides), name, videos, texts, lake, out)
    if as_json:
        print_json({"index": out, **made})
        return
    print(f"{name}: {made['videos']} videos, {made['texts']} texts")
    if made["unread"]:
        print(f"{made['unread']} could not be read (see `uvr quarantine --lake {lake}`)")
    print(out)


def train(release: str, out: str, recipe: str | None, overrides: Sequence[str], workers: int) -> None:
    """`uvr train`."""
    from flows.recipe import read_recipe
    from train.loop import train as train_model
    from train.on_ray import train_on_ray

    settings = read_recipe(recipe, overrides)
    if workers:
        report = train_on_ray(release, out, settings.train, workers, settings.run.ray_address)
    else:
        report = train_model(release, out, settings.train)
    if int(os.environ.get("RANK", "0")) == 0:
        print_json(asdict(report))


def serve(nightly: Nightly, host: str, port: int, limit: int) -> None:
    """`uvr serve`."""
    from flows.service.serve import serve as serve_nightly

    prepare(logging_level="INFO")
    serve_nightly(nightly.checked(), host, port, limit)


def deploy(nightly: Nightly, pool: str) -> None:
    """`uvr deploy`."""
    prepare()
    nightly = nightly.checked()
    if not os.environ.get("PREFECT_API_URL"):
        raise UsageError("set PREFECT_API_URL to the server to register with; without one, use `uvr serve`")
    from flows.service.deployments import register_all

    for name in register_all(nightly, pool):
        print(f"{name} is registered with work pool {pool}")


def demo(out: str, videos: int, overrides: Sequence[str]) -> None:
    """`uvr demo`: ends with paths to look at."""
    with prefect_server():
        from flows.demo import run_demo

        run_demo(Path(out).resolve(), videos, list(overrides))


def release_list(lake: str, as_json: bool) -> None:
    """`uvr release list`."""
    from eval.verdict import read_champion, read_verdict
    from shards.withdrawal import read_withdrawal

    store = Store(lake)
    champion = read_champion(store)
    found = manifests.manifests(store)
    releases = [manifests.read_manifest(path) for path in found]
    withdrawals = [read_withdrawal(release.folder) for release in releases]
    verdicts = [read_verdict(store, release.release_id) for release in releases]
    rows = [
        {
            "release_id": release.release_id,
            "manifest": path,
            "pairs": release.pairs(),
            "parents": release.parents,
            "withdrawn": withdrawal and asdict(withdrawal),
            "verdict": verdict and asdict(verdict),
            "champion": champion is not None and champion.release_id == release.release_id,
        }
        for path, release, withdrawal, verdict in zip(found, releases, withdrawals, verdicts, strict=True)
    ]
    if as_json:
        print_json(rows)
        return
    for row, release, withdrawal, verdict in zip(rows, releases, withdrawals, verdicts, strict=True):
        total = sum(shard.samples for shard in release.shards)
        print(f"{release.release_id}  {total} pairs in {len(release.shards)} shards  {row['manifest']}")
        if release.parents:
            print(f"    shards also in {', '.join(release.parents)}")
        if withdrawal is not None:
            print(f"    withdrawn ({withdrawal.why}); use {withdrawal.use}")
        # Of a release trained on twice, the verdict is on the later model.
        mark = "" if not row["champion"] else "champion; " if verdict == champion else "champion is an earlier model; "
        print(f"    {mark}{describe_verdict(verdict)}")


def release_verify(path: str) -> None:
    """`uvr release verify`."""
    release = manifests.verify(path)
    size = sum(file.bytes for file in (*release.shards, *release.files))
    pairs = sum(shard.samples for shard in release.shards)
    print(f"release {release.release_id} is whole: {pairs} pairs in {len(release.shards)} shards, {size:,} bytes read")


def release_preview(path: str, out: str | None, samples: int) -> None:
    """`uvr release preview`: prints the page's path on the last line."""
    from shards.preview.page import write_preview

    page, left_out = write_preview(manifests.load_manifest(path), samples, out)
    for task, count in left_out.items():
        print(f"{task}: {count} of the samples left out, the page would be too big")
    print(page)


def release_diff(before: str, after: str, as_json: bool) -> None:
    """`uvr release diff`."""
    from shards.diff import compare

    found = compare(manifests.load_manifest(before), manifests.load_manifest(after))
    if as_json:
        print_json(asdict(found) | {"bytes_came": found.bytes_came})
    else:
        print_difference(found)


def release_remove(path: str, videos: Sequence[str], sources: Sequence[str], reason: str) -> None:
    """`uvr release remove`: prints the manifest to use from now on on the last line."""
    from flows.removal import REMAINS, remove_videos

    manifest = remove_videos(path, videos, sources, reason, say)
    print("what is not deleted:")
    for line in REMAINS:
        print(f"    {line}")
    print(manifest)
