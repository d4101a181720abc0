"""Captions a second through the pipeline against the bare vLLM engine on the same requests, side by side in one run.

    python tests/benchmarks/bench_generator.py --model FOLDER [--videos 60] [--repeats 3] [--json]

Clips of the sample world are cut once. The bare side sends chat completions that were composed before
the clock starts, as many at once as the server works on and as many waiting, and only counts answers. The
pipeline's side is the whole `captions` stage: rows from Parquet, frames decoded and encoded, ledger, canaries,
checks, second attempts, commits. The server's caches are off, so that who comes second has no advantage.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from flows.recipe import Recipe, read_recipe
from flows.serving import ModelServers
from infra.engine import Run, run_stage
from infra.lease import hold_lease
from infra.pool import Pool
from infra.progress import Progress
from infra.sample_world.write import write_world
from infra.store import Store
from infra.tables import Tables, chain_links, write_listing
from synth.caption import Captions
from synth.generator import Request
from synth.generators.endpoint.question import body, compose
from synth.ingest import list_sources
from synth.style import draw_slots

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


def composed(recipe: Recipe, captions: Captions, store: Store, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The bodies of the stage's requests."""
    bodies = []
    for row in rows:
        slots = draw_slots(captions.shares, captions.seed, "video_captions", row["key"])
        video = store.read(row["clip_path"])
        request = Request("video_captions", row["key"], captions.seed, video, row["clip_duration_s"], slots=slots)
        bodies.append(body(compose(request, captions.generator), captions.generator, 0, None))
    return bodies


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
                rows = tables.query("SELECT key, clip_path, clip_duration_s FROM out_excerpts ORDER BY key")
                bodies = composed(recipe, captions, store, rows)
                seconds, tokens = bare_seconds(url, bodies, 2 * recipe.serving.max_sequences)
                bare.append((len(rows) / seconds, tokens / seconds))
                began = time.perf_counter()
                counts = run_stage(run, captions, links[-1])
                seconds = time.perf_counter() - began
                ours.append((len(rows) / seconds, counts.tokens / seconds))
    report: dict[str, float] = {"clips": len(rows), "captioned": counts.out}
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
