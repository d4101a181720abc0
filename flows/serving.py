"""The model's servers beside a run: found or started when a stage first asks for them, stopped when none does."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

from flows.printing import say
from flows.recipe import Recipe
from infra.pool import Pool
from infra.stage import RowStage, Service
from synth.caption import Captions
from synth.generators.vllm.fleet import Fleet
from synth.query import Queries


class ModelServers:
    """Callable: the service of a stage. A context that ends every server it started."""

    def __init__(self, recipe: Recipe, pool: Pool) -> None:
        self.kind, self.serving = recipe.generator.kind, recipe.serving
        self.pool = pool
        self.fleet = Fleet(recipe.generator, recipe.serving, say)
        self._held = ExitStack()

    def __enter__(self) -> ModelServers:
        self._held.enter_context(self.fleet)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._held.__exit__(kind, error, tb)

    def __call__(self, stage: RowStage) -> Service:
        """What the stage's workers ask; raises RunFailed when no server can be started."""
        if self.kind == "measured" or not isinstance(stage, Captions | Queries):
            self.fleet.release()
            return Service()
        urls = self.fleet.urls(self.pool.connect) if self.kind == "vllm" else self.serving.endpoints
        return Service(urls, self.serving.max_in_flight, self.serving.deadline_s, self.serving.patience_s)
