"""A release to a trained GVE and its scores, as one Prefect flow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from prefect import flow

from eval.heldout import evaluate_heldout
from eval.report import write_report
from flows.recipe import Recipe
from flows.steps import step
from infra.recipe import load_recipe
from train.gve import Gve
from train.loop import train


@flow(name="train-and-eval")
def train_and_eval(manifest: str, out: str, recipe: str | None = None, overrides: Sequence[str] = ()) -> str:
    """Train on the release's train split, score its val split; returns the report's path.

    A run that was cut off goes on from its last checkpoint.
    """
    settings = load_recipe(Recipe, recipe, overrides)
    step("train", partial(train, manifest, out, settings.train))
    return step("eval", partial(score, out, manifest, f"{out}/eval"))


def score(model: str, manifest: str, out: str) -> str:
    """Score a checkpoint folder on a release's held-out sources; returns the path of the Markdown report."""
    _, markdown = write_report(evaluate_heldout(manifest, Gve.load(model)), out)
    return markdown
