"""The recipe: every setting of every stage in one tree, and the chain of stages it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from eval.diagnosis.steering import DiagnosisSettings
from eval.promotion import PromotionRule
from filters.consistency import Consistency
from filters.decontaminate import Decontaminate
from filters.decontaminate_texts import DecontaminateTexts
from filters.exact import ExactDuplicates
from filters.negatives import Negatives
from filters.perceptual.stage import Perceptual
from filters.picture import Quality
from filters.rectify import Rectify
from filters.semantic import SemanticDuplicates
from filters.texts import NearDuplicateTexts, RepeatedCaptions
from infra.budget import Budget, Prices
from infra.errors import UsageError
from infra.recipe import Settings, load_recipe
from infra.stage import Stage
from shards.layout import Layout
from shards.writer import Pack
from synth.caption import Captions
from synth.cut import Cut
from synth.excerpts import Excerpts
from synth.generators.presets import presets
from synth.generators.settings import GeneratorSettings, Serving
from synth.generators.weights import pinned
from synth.probe import Probe
from synth.query import Queries
from synth.scan import Scan
from synth.sides import Sides
from synth.spans import Spans
from synth.tasks import Pairs
from train.prober import Embed, EmbedQueries
from train.settings import TrainSettings


@dataclass(frozen=True)
class RunSettings(Settings):
    """How a run is carried out; nothing here changes what it makes."""

    workers: int = 0  # Ray workers; 0: one per CPU
    ray_address: str = "local"  # "local" starts Ray on this machine; else a cluster's address
    min_yield: float = 0.05  # a stage that keeps a smaller share of its rows fails the run
    wait_s: float = 30.0  # for another run to leave the lake, before giving up
    burst: Literal["latest", "every"] = "latest"  # of releases that landed meanwhile, which to train on
    retry_delays_s: tuple[float, ...] = (10.0, 60.0, 300.0)  # before each new try of what may pass by itself


@dataclass(frozen=True)
class EvaluationSets(Settings):
    """What models are to be evaluated on: no clip that shows or says the same is released."""

    sets: tuple[str, ...] = ()  # index files made by `uvr index`, paths or URLs


@dataclass(frozen=True)
class Recipe(Settings):
    """One section per stage, in the order they run, then what they share, how to run, train, promote and steer."""

    probe: Probe = field(default_factory=Probe)
    exact: ExactDuplicates = field(default_factory=ExactDuplicates)
    rectify: Rectify = field(default_factory=Rectify)
    repeated_captions: RepeatedCaptions = field(default_factory=RepeatedCaptions)
    scan: Scan = field(default_factory=Scan)
    spans: Spans = field(default_factory=Spans)
    quality: Quality = field(default_factory=Quality)
    perceptual: Perceptual = field(default_factory=Perceptual)
    decontaminate: Decontaminate = field(default_factory=Decontaminate)
    cut: Cut = field(default_factory=Cut)
    excerpts: Excerpts = field(default_factory=Excerpts)
    captions: Captions = field(default_factory=Captions)
    texts: NearDuplicateTexts = field(default_factory=NearDuplicateTexts)
    embed: Embed = field(default_factory=Embed)
    semantic: SemanticDuplicates = field(default_factory=SemanticDuplicates)
    consistency: Consistency = field(default_factory=Consistency)
    queries: Queries = field(default_factory=Queries)
    decontaminate_texts: DecontaminateTexts = field(default_factory=DecontaminateTexts)
    pairs: Pairs = field(default_factory=Pairs)
    sides: Sides = field(default_factory=Sides)
    embed_queries: EmbedQueries = field(default_factory=EmbedQueries)
    layout: Layout = field(default_factory=Layout)
    negatives: Negatives = field(default_factory=Negatives)
    pack: Pack = field(default_factory=Pack)
    evaluation: EvaluationSets = field(default_factory=EvaluationSets)
    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    serving: Serving = field(default_factory=Serving)
    run: RunSettings = field(default_factory=RunSettings)
    budget: Budget = field(default_factory=Budget)
    prices: Prices = field(default_factory=Prices)
    train: TrainSettings = field(default_factory=TrainSettings)
    promotion: PromotionRule = field(default_factory=PromotionRule)
    diagnosis: DiagnosisSettings = field(default_factory=DiagnosisSettings)

    def __post_init__(self) -> None:
        if self.generator.kind == "openai" and not self.serving.endpoints:
            raise UsageError("recipe: generator.kind = 'openai' needs serving.endpoints, like ['http://host:8000/v1']")
        if self.captions.generator != self.queries.generator or self.captions.generator != GeneratorSettings():
            raise UsageError("recipe: captions and queries share one generator; its section is [generator]")
        if self.embed_queries != EmbedQueries():
            raise UsageError("recipe: all that embeds shares one prober; its section is [embed]")
        if self.decontaminate.sets or self.decontaminate_texts.sets:
            raise UsageError("recipe: all that looks for evaluation sets shares them; their section is [evaluation]")

    def chain(self) -> list[Stage]:
        """The stages in order; each works on what the one before it put out.

        Cheap before expensive: nothing is encoded or captioned that a cheaper filter would have dropped.
        What the recipe gives nothing to check by is left out (see `unchecked`).
        """
        generator, sets = pinned(self.generator), self.evaluation.sets
        embed = self.embed.pinned()
        embed_queries = replace(self.embed_queries, prober=embed.prober, revision=embed.revision)
        return [
            self.probe,
            self.exact,
            self.rectify,
            self.repeated_captions,
            self.scan,
            self.spans,
            self.quality,
            self.perceptual,
            *((replace(self.decontaminate, sets=sets),) if sets else ()),
            self.cut,
            self.excerpts,
            replace(self.captions, generator=generator),
            self.texts,
            *((embed, self.semantic, self.consistency) if embed.prober else ()),
            replace(self.queries, generator=generator),
            *((replace(self.decontaminate_texts, sets=sets),) if sets else ()),
            self.pairs,
            self.sides,
            *((embed_queries,) if embed.prober else ()),
            self.layout,
            *((self.negatives,) if embed.prober else ()),
            self.pack,
        ]

    def unchecked(self) -> list[str]:
        """What a run by this recipe does not check, and what it would need for that."""
        vectors = (
            "semantic duplicates and whether captions fit their clips, "
            "and no hard negatives are mined (needs embed.prober, a GVE checkpoint)"
        )
        evaluation = "evaluation sets among the clips (needs evaluation.sets, made by `uvr index`)"
        return [text for text, given in ((vectors, self.embed.prober), (evaluation, self.evaluation.sets)) if not given]

    def synthesis(self) -> dict[str, Any]:
        """The settings that decide what a release holds, by stage; a prober's revision does, and not where it lies."""
        settings = {stage.name: asdict(stage) for stage in self.chain()}
        for name in settings.keys() & {self.embed.name, self.embed_queries.name}:
            settings[name].pop("prober")
        return settings


def read_recipe(path: str | None = None, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a TOML file with `section.key=value` overrides; either may name a preset (`preset=NAME`).

    Raises UsageError that names the key at fault.
    """
    return load_recipe(Recipe, path, overrides, presets())
