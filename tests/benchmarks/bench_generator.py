"""Captions a second through the pipeline against the bare vLLM engine on the same requests, side by side in one run.

    python tests/benchmarks/bench_generator.py --model FOLDER [--videos 60] [--repeats 3] [--json]

The pipeline's side is the whole `captions` stage of clips of the sample world: rows from Parquet, frames decoded
and encoded, ledger, canaries, checks, second attempts, commits. The bare side then sends the same requests, second
attempts as well, composed before the clock starts, as many at once as the server works on and as many waiting,
and only counts answers. The server's caches are off, so that who comes second has no advantage.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from flows.recipe import Recipe, read_recipe
from flows.serving import ModelServers
from infra.engine import Run, run_stage
from infra.errors import RowError
from infra.lease import hold_lease
from infra.pool import Pool
from infra.progress import Progress
from infra.sample_world.write import write_world
from infra.stage import Row, Workspace
from infra.store import Store
from infra.tables import Tables, chain_links, write_listing
from infra.workspace import LakeWorkspace
from synth.caption import Captions, caption_request
from synth.generators.endpoint.generator import ATTEMPTS, check
from synth.generators.endpoint.question import body, compose
from synth.ingest import list_sources
from synth.ledger import Ledger, question_key
from synth.prompts.render import version

UNCACHED = ["--no-enable-prefix-caching", "--mm-processor-cache-gb", "0"]


def bare_seconds(url: str, bodies: Sequence[dict[str, Any]], at_once: int) -> tuple[float, int]:
    """Seconds for all answers with `at_once` requests under way, and their tokens."""

    async def run() -> int:
        room = asyncio.Semaphore(at_once)
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(timeout=600, trust_env=False, limits=limits) as client:

            async def ask(asked: dict[str, Any]) -> int:
                async with room:
                    answer = await client.post(f"{url}/chat/completions", json=asked)
                    return int(answer.raise_for_status().json()["usage"]["total_tokens"])

            return sum(await asyncio.gather(*map(ask, bodies)))

    began = time.perf_counter()
    tokens = asyncio.run(run())
    return time.perf_counter() - began, tokens


def sent(captions: Captions, workspace: Workspace, row: Row) -> Iterator[dict[str, Any]]:
    """The bodies that the stage sent about one row, with what was wrong with the first answer in the second."""
    settings, ledger = captions.generator, Ledger(workspace)
    request = caption_request(captions, workspace, row)
    key, question = question_key(request, version(request.kind), settings), compose(request, settings)
    faulty = None
    for attempt in range(ATTEMPTS):
        entry = ledger.recall(key, attempt)
        if entry is None:
            return
        yield body(question, settings, attempt, faulty)
        try:
            check(request, entry)
        except RowError as fault:
            faulty = entry.text, fault


def measure(folder: Path, recipe: Recipe, videos: int, repeats: int) -> dict[str, float]:
    """Alternate the two sides."""
    listed = list_sources(write_world(str(folder / "videos"), videos, seed=21, workers=2))
    store = Store(str(folder / "lake"))
    ours: list[tuple[float, float]] = []  # captions and tokens a second
    bare: list[tuple[float, float]] = []
    with hold_lease(store) as lease, Pool() as pool, ModelServers(recipe, pool) as servers, Progress() as progress:
        for repeat in range(repeats):
            seeded = replace(recipe, captions=replace(recipe.captions, seed=repeat))
            stages = seeded.chain()[:8]
            links = chain_links(stages)
            write_listing(store, links[0], listed)
            with Tables(store, links) as tables:
                run = Run(store, lease, pool, tables, progress, serve=servers)
                for stage, link in zip(stages[:-1], links[1:-1], strict=True):
                    run_stage(run, stage, link)
                captions = stages[-1]
                assert isinstance(captions, Captions)
                [url, *_] = servers(captions).endpoints
                began = time.perf_counter()
                counts = run_stage(run, captions, links[-1])
                seconds = time.perf_counter() - began
                ours.append((counts.in_ / seconds, counts.tokens / seconds))
                rows = tables.query("SELECT key, clip_path, clip_duration_s, caption FROM out_excerpts")
                workspace = LakeWorkspace(store.url, links[-1].folder)
                bodies = [asked for row in rows for asked in sent(captions, workspace, row)]
                seconds, tokens = bare_seconds(url, bodies, 2 * recipe.serving.max_sequences)
                bare.append((counts.in_ / seconds, tokens / seconds))
    report: dict[str, float] = {"clips": counts.in_, "requests": len(bodies), "captioned": counts.out}
    for number, name in enumerate(("captions", "tokens")):
        report[f"pipeline_{name}_per_s"] = statistics.median(rates[number] for rates in ours)
        report[f"bare_{name}_per_s"] = statistics.median(rates[number] for rates in bare)
        ratios = [mine[number] / theirs[number] for mine, theirs in zip(ours, bare, strict=True)]
        report[f"pipeline_over_bare_{name}"] = statistics.median(ratios)
    return report


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", required=True)
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    model = ["generator.kind=vllm", f"generator.model={options.model}", f"serving.arguments={json.dumps(UNCACHED)}"]
    recipe = read_recipe(None, [*model, *options.set])
    with tempfile.TemporaryDirectory() as folder:
        report = measure(Path(folder), recipe, options.videos, options.repeats)
    print(json.dumps(report) if options.json else "\n".join(f"{k:26} {v:.3g}" for k, v in report.items()))


if __name__ == "__main__":
    main()
