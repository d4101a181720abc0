"""A release to a trained GVE, its scores and the verdict on it, as one Prefect flow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from prefect import flow

from eval.heldout import HeldOutReport, evaluate_heldout
from eval.report import VERDICT_REPORT, write_report, write_verdict_report
from eval.verdict import (
    CHAMPION_FILE,
    Trial,
    Verdict,
    judge,
    model_folder,
    open_trial,
    read_champion,
    repair,
    save_verdict,
    standing_verdict,
)
from flows.recipe import Recipe
from flows.steps import step
from infra.errors import RunFailed, UsageError
from infra.lease import hold_lease
from infra.recipe import load_recipe
from infra.store import Store
from shards.manifest import Manifest, load_manifest
from train.gve import Gve
from train.loop import train


@flow(name="train-and-eval")
def train_and_eval(
    manifest: str, out: str | None = None, recipe_path: str | None = None, overrides: Sequence[str] = ()
) -> str:
    """Train on the release's train split, score its val split and promote the model or not.

    `out`, the model's folder, is LAKE/models/RELEASE unless given. Returns the path of the verdict in
    words, `out`/eval/verdict.md; the verdict itself is written beside the release. A run that was cut
    off goes on from its last checkpoint, and one whose verdict stands does nothing. Raises LakeBusy
    while another run trains on this lake's releases, RunFailed when the champion cannot be loaded.
    """
    recipe = load_recipe(Recipe, recipe_path, overrides)
    release = load_manifest(manifest)
    lake = lake_of(release)
    out = out or default_model_folder(lake, release)
    trial = open_trial(lake, release, out, recipe.train.decisive())
    models = Store(f"{lake.url}/models")
    with hold_lease(models) as lease:
        repair(lake)
        verdict = standing_verdict(lake, trial, recipe.promotion)
        report = Path(out) / "eval" / VERDICT_REPORT
        if verdict and report.exists():
            return str(report)
        # The champion first: should it be gone, that is known before hours of training.
        champion = None if verdict else step("score champion", partial(score_champion, lake, trial, manifest))
        step("train", partial(train, manifest, out, recipe.train))
        scores = step("eval", partial(score, out, manifest))
        write_report(scores, f"{out}/eval")
        if verdict is None:
            verdict = step("judge", partial(judge, trial, scores, champion, recipe.promotion))
            lease.check(models)
            save_verdict(lake, verdict)
        return write_verdict_report(verdict, f"{out}/eval")


def lake_of(release: Manifest) -> Store:
    """The lake that a release stands in; raises UsageError when it stands elsewhere."""
    lake, _, place = Store(release.folder).url.rpartition("/releases/")
    if not lake or place != release.release_id:
        raise UsageError(f"{release.folder} is not LAKE/releases/{release.release_id}; its verdict would have no lake")
    return Store(lake)


def default_model_folder(lake: Store, release: Manifest) -> str:
    """LAKE/models/RELEASE; raises UsageError when the lake is not a local folder."""
    if not lake.is_local:
        raise UsageError(f"{lake.url} is not a local folder, where models are trained: say where the model goes (out)")
    return lake.full(f"models/{release.release_id}")


def score(model: str, manifest: str) -> HeldOutReport:
    """Scores of a checkpoint folder on a release's held-out sources."""
    return evaluate_heldout(manifest, Gve.load(model))


def score_champion(lake: Store, trial: Trial, manifest: str) -> tuple[Verdict, HeldOutReport] | None:
    """The champion that `trial` has to beat, if there is one, and its scores on the release's held-out sources.

    Raises UsageError when the trial would train over the champion, RunFailed when the champion's model
    cannot be loaded.
    """
    champion = read_champion(lake)
    if champion is None:
        return None
    folder = model_folder(lake, champion.model)
    if champion.model == trial.model:
        raise UsageError(f"{folder} holds the champion, trained with other settings; choose another folder")
    try:
        return champion, score(folder, manifest)
    except UsageError as error:
        raise RunFailed(
            f"the champion, trained on release {champion.release_id}, cannot be compared with: {error}. Restore "
            f"{folder}, or remove {lake.url}/{CHAMPION_FILE} to start anew without a champion"
        ) from error
