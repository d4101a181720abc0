"""A release to a trained GVE, its scores and the verdict on it, as one Prefect flow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from eval.heldout import HeldOutReport, evaluate_heldout
from eval.report import SCORES_REPORT, VERDICT_REPORT, write_report, write_verdict_report
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
from flows.artifacts import LiveProgress, picture, show_links, show_markdown
from flows.events import announce_verdict
from flows.printing import say
from flows.recipe import Recipe, read_recipe
from flows.service.processes import end_with_runner
from flows.steering import is_diagnosed, write_diagnosis
from flows.steps import step
from infra.errors import RunFailed, UsageError
from infra.lease import Lease, hold_lease
from infra.redact import refuse_secrets
from infra.store import Store
from shards.manifest import Manifest, lake_of, load_manifest, published
from train.gve import Gve
from train.loop import CURVES_FILE, train


@flow(name="train-and-eval")
def train_and_eval(
    manifest: str, out: str | None = None, recipe: str | None = None, overrides: Sequence[str] = ()
) -> str | State[Any]:
    """Train on the release's train split, score its val split and promote the model or not.

    `out`, the model's folder, is LAKE/models/RELEASE unless given. Returns the path of the verdict in
    words, `out`/eval/verdict.md; the verdict itself is written beside the release. A run that was cut
    off goes on from its last checkpoint, and one whose verdict stands does nothing. Of releases that
    came while another one was trained on, only the latest is (`run.burst` in the recipe). Raises
    LakeBusy while another run trains on this lake's releases, RunFailed when the champion cannot be
    loaded. With `diagnosis.apply`, the quotas of the lake's next run follow from the scores.
    """
    end_with_runner()
    refuse_secrets(manifest)
    settings = read_recipe(recipe, overrides)
    release = load_manifest(manifest)
    lake = lake_of(release)
    if settings.run.burst == "latest" and (newer := newer_release(lake, release)):
        message = (
            f"Release {newer} landed after {release.release_id}; the latest is trained on (run.burst in the recipe)."
        )
        return Completed(name="Superseded", message=message)
    out = out or default_model_folder(lake, release)
    with hold_lease(Store(f"{lake.url}/models"), settings.run.wait_s, say) as lease, LiveProgress() as live:
        repair(lake)
        trial = open_trial(lake, release, out, settings.train.decisive())
        report = Path(out) / "eval" / VERDICT_REPORT
        stands = standing_verdict(lake, trial, settings.promotion) and report.exists()
        if stands and is_diagnosed(lake, release, settings):
            return str(report)
        verdict, scores = _try(lake, trial, manifest, out, settings, live, lease)
        if settings.diagnosis.apply:
            lease.check(Store(f"{lake.url}/models"))
            write_diagnosis(lake, release, scores, settings)
        write_verdict_report(verdict, f"{out}/eval")
    show_model(out, verdict)
    show_links({"model": out, "release": manifest, "verdict": str(report)})
    announce_verdict(release, verdict)
    return str(report)


def _try(
    lake: Store, trial: Trial, manifest: str, out: str, settings: Recipe, live: LiveProgress, lease: Lease
) -> tuple[Verdict, HeldOutReport]:
    """Train, score and judge, each as a task run; returns verdict and scores.

    Of a verdict that stands only the report is made again.
    """
    delays = settings.run.retry_delays_s
    verdict = standing_verdict(lake, trial, settings.promotion)
    # The champion first: should it be gone, that is known before hours of training.
    champion = None if verdict else step("score champion", partial(score_champion, lake, trial, manifest), delays)
    step("train", partial(train, manifest, out, settings.train, live), delays)
    scores = step("eval", partial(score, out, manifest), delays)
    write_report(scores, f"{out}/eval")
    if verdict is None:
        verdict = step("judge", partial(judge, trial, scores, champion, settings.promotion))
        lease.check(Store(f"{lake.url}/models"))
        save_verdict(lake, verdict)
    return verdict, scores


def show_model(folder: str, verdict: Verdict) -> None:
    """Show a model's scores, the verdict on it and the curves of its training in the dashboard."""
    words, scores = (Path(folder, "eval", name).read_text() for name in (VERDICT_REPORT, SCORES_REPORT))
    curves = picture("training curves", Path(folder, CURVES_FILE).read_bytes(), "png")
    show_markdown("verdict", f"{words}\n\n{scores}\n\n# Training\n\n{curves}", verdict.why)


def newer_release(lake: Store, release: Manifest) -> str | None:
    """The id of the release that was first published last, if that is after `release`."""
    known = published(lake)
    return known[-1] if release.release_id in known and known[-1] != release.release_id else None


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
