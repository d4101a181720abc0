"""The dry run: a random sample of the videos through the real chain, and what that says about all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import numpy as np

from flows.recipe import Recipe
from flows.sample_run import METRICS, SampledStage, SampleRun, run_sample
from infra.budget import Prices
from infra.errors import UsageError
from infra.estimate import Estimate, Extrapolation, Figures, Scale, exactly, total
from infra.stage import RowStage
from shards.layout import Layout
from shards.records import TASKS
from synth.ingest import list_sources
from synth.tasks import Pairs

SEED = 42


@dataclass(frozen=True)
class StagePlan:
    """What one stage will take.

    `scaled_by` tells for each metric whether it was taken to grow with the "size" of the files, with the
    number of "items" (videos), or with that of "pairs".
    """

    name: str
    rows_in: Estimate
    rows_out: Estimate
    seconds: Estimate  # of workers
    bytes: Estimate
    tokens: Estimate  # of models
    scaled_by: Mapping[str, str]

    def cost(self, prices: Prices) -> Estimate:
        """What its work costs, in the currency of `prices`."""
        return self.seconds.scaled(prices.worker_hour / 3600) + self.tokens.scaled(prices.million_tokens / 1e6)


@dataclass(frozen=True)
class Plan:
    """What a run is expected to make and to take."""

    listed: int
    usable: int  # listed entries that name a file
    sampled: int
    size_bytes: int  # of the files listed
    stages: tuple[StagePlan, ...]
    pairs: dict[str, Estimate]  # by task
    target_pairs: int
    shortage: dict[str, Estimate]  # pairs of the target that the clips may not give, by task
    workers: int
    overhead_s: float  # of a run besides its workers' work
    prices: Prices
    asks_models: tuple[str, ...]  # stages that wait for models
    warnings: tuple[str, ...]

    @property
    def seconds(self) -> Estimate:
        """Worker seconds of all stages."""
        return total(stage.seconds for stage in self.stages)

    @property
    def wall_s(self) -> Estimate:
        """Seconds from start to end, without starting Prefect and reading the release back."""
        return self.seconds.scaled(1 / self.workers) + exactly(self.overhead_s)

    @property
    def bytes(self) -> Estimate:
        """Disk that the lake takes: media, shards, and each table as one file."""
        return total(stage.bytes for stage in self.stages)

    @property
    def cost(self) -> Estimate:
        """What all work costs."""
        return total(stage.cost(self.prices) for stage in self.stages)

    @property
    def tokens(self) -> Estimate:
        """Model tokens of all stages."""
        return total(stage.tokens for stage in self.stages)

    @property
    def total_pairs(self) -> Estimate:
        """Pairs of all tasks."""
        return total(self.pairs.values())

    @property
    def is_priced(self) -> bool:
        """Whether the recipe says what anything costs."""
        return self.prices.worker_hour > 0 or self.prices.million_tokens > 0

    def share(self, stage: StagePlan) -> Estimate:
        """The stage's share of all worker seconds."""
        return stage.seconds.over(self.seconds)

    @property
    def bottleneck(self) -> StagePlan:
        """The stage with most worker seconds."""
        return max(self.stages, key=lambda stage: stage.seconds.point)

    @property
    def advice(self) -> str:
        """What would make the run shorter."""
        if self.overhead_s > self.wall_s.point / 2:
            return "most of the time is starting up, which more workers do not shorten"
        if self.bottleneck.name in self.asks_models:
            return "more model servers shorten it, and more workers while those have room"
        return "more workers shorten it (run.workers, on more cores or a Ray cluster)"


def make_plan(videos: str, recipe: Recipe, sample: int) -> Plan:
    """Try `sample` of the videos and extrapolate; writes nothing but a temporary folder that it deletes.

    Raises UsageError when there are no videos, RunFailed when the sample cannot be run.
    """
    listed = list_sources(videos)
    rows = [row for row in listed if isinstance(row, dict)]
    if not rows:
        raise UsageError(f"none of the {len(listed)} entries of {videos} names a file")
    # One of several says nothing about the others.
    drawn = Random(SEED).sample(rows, min(max(2, sample), len(rows)))
    run = run_sample(recipe, drawn)
    size = sum(row["size_bytes"] for row in rows)
    known = Extrapolation([row["size_bytes"] for row in drawn], len(rows), size, SEED)
    stages, pairs = _project(recipe, run, known)
    clips = next(stage.rows_in for stage in stages if stage.name == recipe.pairs.name)
    return Plan(
        listed=len(listed),
        usable=len(rows),
        sampled=len(drawn),
        size_bytes=size,
        stages=stages,
        pairs=pairs,
        target_pairs=recipe.pairs.target_pairs,
        shortage=pairs_missing(recipe.pairs, clips),
        workers=recipe.run.workers or run.workers,
        overhead_s=run.overhead_s,
        prices=recipe.prices,
        asks_models=tuple(s.name for s in recipe.chain() if getattr(s, "generator", "measured") != "measured"),
        warnings=tuple(_warnings(recipe, run, known, len(listed))),
    )


def _project(recipe: Recipe, run: SampleRun, known: Extrapolation) -> tuple[tuple[StagePlan, ...], dict[str, Estimate]]:
    """Every stage at full size, and the pairs by task.

    Up to the clips, figures are extrapolated. Pairs follow from the clips by the quotas, and what comes after
    takes what the same pairs of the sample took.
    """
    first = [stage.counts.name for stage in run.stages].index(recipe.pairs.name)
    stages = _up_to_clips(run.stages[:first], known)
    clips = stages[-1].rows_out
    pairs = pairs_by_task(recipe.pairs, clips)
    taken = {task: pairs[task].over(clips) for task in TASKS}  # the sample gave every clip to every task
    rows = clips
    for stage in run.stages[first:]:
        rows_in, rows = rows, total(pairs.values())
        by_task = {task: _extrapolated(stage, known, task)[0] for task in TASKS}
        if stage.counts.name == recipe.pack.name:
            rows_in = rows = shard_count((by_task[task]["bytes"] * taken[task] for task in TASKS), recipe.layout)
        figures = {m: total(by_task[task][m] * taken[task] for task in TASKS) for m in METRICS[1:]}
        stages.append(_stage_plan(stage.counts.name, rows_in, rows, figures, dict.fromkeys(METRICS, "pairs")))
    return tuple(stages), pairs


def _up_to_clips(sampled: Sequence[SampledStage], known: Extrapolation) -> list[StagePlan]:
    before = np.ones(len(known.sizes))
    scale: Scale = "items"  # the number of videos is known
    rows = exactly(known.count)
    stages = []
    for stage in sampled:
        made = stage.by_video("rows")
        if np.any(made > before):  # smaller things now, whose number may go with something else
            scale = known.better_scale(made)
        before, rows_in, rows = made, rows, known.total(made, scale)
        figures, scaled_by = _extrapolated(stage, known)
        stages.append(_stage_plan(stage.counts.name, rows_in, rows, figures, {"rows": scale, **scaled_by}))
    return stages


def _extrapolated(
    stage: SampledStage, known: Extrapolation, task: str = ""
) -> tuple[dict[str, Estimate], dict[str, Scale]]:
    """Seconds, bytes and tokens of a stage for all videos (and one task), and how each was scaled."""
    values = {metric: stage.by_video(metric, task) for metric in METRICS[1:]}
    scales = {metric: known.better_scale(value) for metric, value in values.items()}
    return {metric: known.total(values[metric], scales[metric]) for metric in values}, scales


def _stage_plan(
    name: str, rows_in: Estimate, rows_out: Estimate, figures: Mapping[str, Estimate], scaled_by: Mapping[str, str]
) -> StagePlan:
    return StagePlan(
        name, rows_in, rows_out, figures["seconds"], figures["bytes"], figures["tokens"], scaled_by=scaled_by
    )


def pairs_by_task(pairs: Pairs, clips: Estimate) -> dict[str, Estimate]:
    """Pairs that the quotas take from so many clips, each of which can give one to every task."""

    def made(task: str, counts: Figures) -> Figures:
        wanted = [pairs.quotas(round(count))[task] for count in counts]
        return np.minimum(np.array(wanted, np.float64), np.round(counts))

    return {task: clips.map(partial(made, task)) for task in TASKS}


def pairs_missing(pairs: Pairs, clips: Estimate) -> dict[str, Estimate]:
    """Pairs missing of each task that may come short of its quota; none without a target."""

    def missing(wanted: int, counts: Figures) -> Figures:
        return np.maximum(0.0, wanted - np.round(counts))

    wanted = pairs.quotas(0)
    found = {task: clips.map(partial(missing, wanted[task])) for task in TASKS}
    return {task: lacking for task, lacking in found.items() if lacking.high > 0}


def shard_count(bytes_of_tasks: Iterable[Estimate], layout: Layout) -> Estimate:
    """Shards that hold so many bytes of each task: every split of a task fills its own."""

    def shards(share: float, sizes: Figures) -> Figures:
        return np.ceil(sizes * share / layout.shard_bytes)

    held_out = (layout.val_share, layout.test_share)
    shares = [share for share in (*held_out, 1 - sum(held_out)) if share > 0]
    return total(of_task.map(partial(shards, share)) for of_task in bytes_of_tasks for share in shares)


def _warnings(recipe: Recipe, run: SampleRun, known: Extrapolation, listed: int) -> list[str]:
    """What the figures cannot know, and what would stop the run."""
    found = []
    if listed > known.count:
        found.append(f"{listed - known.count} of {listed} entries name no file or one that another names")
    row_stages = {stage.name for stage in recipe.chain() if isinstance(stage, RowStage)}
    for stage in run.stages:
        counts = stage.counts
        if counts.name in row_stages and counts.parents < recipe.run.min_yield * counts.in_:
            found.append(
                f"{counts.name} kept {counts.parents} of {counts.in_} rows of the sample: under the floor of "
                f"{recipe.run.min_yield:.0%} (run.min_yield) the run fails"
            )
    if not known.is_whole:
        found.append("a copy of a video counts as a video, unless both are in the sample")
    return found
