"""The command `uvr diagnose`: from the report of an evaluation to the recipe of the next synthesis."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from flows.options import AsJson, RecipeFile

if TYPE_CHECKING:
    from eval.diagnosis.diagnose import Diagnosis, Setting
    from eval.diagnosis.scored import Scores
    from flows.recipe import Recipe


def diagnose(
    report: Annotated[str, typer.Argument(help="uvrb.json or heldout.json of an evaluation.")],
    recipe: RecipeFile = None,
    against: Annotated[
        Optional[str], typer.Option(help="Another model's uvrb.json, or a published model: what it lacks too is hard.")
    ] = None,
    out: Annotated[Optional[str], typer.Option(help="File for the changed recipe, for `uvr run --recipe`.")] = None,
    json: AsJson = False,
) -> None:
    """Where a model is surely weak, and what that changes in the recipe its training data was made by."""
    from eval.diagnosis.scored import read_scores
    from flows.printing import print_json
    from flows.recipe import read_recipe

    settings = read_recipe(recipe)
    scores = read_scores(report)
    found = _diagnosed(scores, against, settings)
    text = changed_recipe(recipe, found, scores.of)
    if json:
        print_json({"of": scores.of, "against": against, **asdict(found), "recipe": text})
    else:
        _print_diagnosis(scores.of, against, found)
    if out is not None:
        _write(out, text)
    if not json:
        print(out if out is not None else f"\n{text}".rstrip())


def _diagnosed(scores: Scores, against: str | None, recipe: Recipe) -> Diagnosis:
    from pathlib import Path

    from eval.diagnosis.diagnose import diagnose as find
    from eval.diagnosis.diagnose import heldout_evidence, uvrb_evidence
    from eval.diagnosis.scored import comparable, published_scores, read_scores

    reference = None
    if against is not None:
        other = read_scores(against) if Path(against).exists() else published_scores(against)
        reference = comparable(scores, other)
    evidence = uvrb_evidence(scores.scored, reference) if scores.is_uvrb else heldout_evidence(scores.scored)
    return find(evidence, steerable(recipe), recipe.diagnosis.max_change)


def steerable(recipe: Recipe) -> dict[str, Setting]:
    """The settings of a recipe that rules change or ask for."""
    from eval.diagnosis.rules import CLIP_S, HARDNESS, KINDS, NEGATIVES, PROBER, PROFILE, WEIGHTS

    return {
        PROFILE: asdict(recipe.captions.shares),
        KINDS: recipe.sides.all_caption_weights,
        WEIGHTS: recipe.pairs.all_weights,
        CLIP_S: recipe.spans.max_s,
        HARDNESS: recipe.negatives.max_share,
        NEGATIVES: recipe.train.batches.hard_negatives,
        PROBER: bool(recipe.embed.prober),
    }


def changed_recipe(path: str | None, found: Diagnosis, of: str) -> str:
    """The recipe in the file `path`, its comments included, with what a diagnosis changes and why.

    Settings that neither names are left out, so that they stay what they are by default. Raises UsageError when
    the recipe's own loader refuses the outcome.
    """
    from pathlib import Path

    import tomlkit

    from flows.recipe import read_recipe

    read_recipe(path, [f"{name}={to_toml(value)}" for name, value in found.settings.items()])
    document = tomlkit.document() if path is None else tomlkit.parse(Path(path).read_text())
    for name, value in sorted(found.settings.items()):
        *sections, key = name.split(".")
        table: Any = document
        for section in sections:
            table = table.setdefault(section, tomlkit.table())
        if key in table and isinstance(value, dict):
            table[key].update(value)
        else:
            table[key] = _item(value)
    heading = [f"{'Changed' if found.changes else 'No change'} by the diagnosis of {of}.", *_reasons(found)]
    return "".join(f"# {line}\n" for line in heading) + f"\n{tomlkit.dumps(document).strip()}\n"


def to_toml(value: Setting) -> str:
    """One setting as TOML on one line, as `--set` takes it."""
    return str(_item(value).as_string())


def _item(value: Setting) -> Any:
    import tomlkit

    if not isinstance(value, dict):
        return tomlkit.item(value)
    table = tomlkit.inline_table()
    table.update(value)
    return table


def _reasons(found: Diagnosis) -> list[str]:
    """For every change, which shortfall it comes of and why it may help."""
    shortfalls = {row.name: row.shortfall for row in found.measured}
    reasons = []
    for change in found.changes:
        gap = shortfalls[change.looks_at]
        short = f"{change.looks_at} is {100 * gap.mean:.1f} points short"
        interval = f"95% {100 * gap.low:.1f} to {100 * gap.high:.1f}"
        reasons.append(f"{change.setting}, {change.rule}: {short} ({interval}); {change.why}.")
    return reasons


def _write(path: str, text: str) -> None:
    from pathlib import Path

    from infra.errors import UsageError

    try:
        Path(path).write_text(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _print_diagnosis(of: str, against: str | None, found: Diagnosis) -> None:
    """What was measured, in percent of what is reachable above chance, then changes and what cannot be changed."""
    from rich.table import Table

    from flows.printing import console

    beyond = "its mean" if against is None else f"its mean, beyond what {against} lacks"
    table = Table(title=f"{of}, percent of what is reachable above chance", title_justify="left", box=None)
    for name in ("", "reached", "±", f"short of {beyond}", "95%", ""):
        table.add_column(name, justify="right" if name not in ("", "95%") else "left")
    for row in found.measured:
        gap = row.shortfall
        interval = f"{100 * gap.low:.1f} to {100 * gap.high:.1f}"
        cells = (f"{100 * row.reached:.1f}", f"{100 * row.error:.1f}", f"{100 * gap.mean:.1f}", interval)
        table.add_row(row.name, *cells, "weak" if row.weak else "")
    console().print(table)
    for note in found.notes:
        print(note)
    _print_changes(found)
    for advice in found.advice:
        print(f"{advice.rule} ({advice.looks_at} is weak) needs {advice.needs}: {advice.why}")


def _print_changes(found: Diagnosis) -> None:
    from rich.table import Table

    from flows.printing import console

    if not found.changes:
        return
    table = Table(title="changes", title_justify="left", box=None)
    for name in ("rule", "for", "setting", "before", "after", "gain, a guess", "why"):
        table.add_column(name, overflow="fold")
    for change in found.changes:
        gain = "" if change.expected_gain is None else f"{100 * change.expected_gain:+.1f} points"
        shown = (_shown(change.before), _shown(change.after))
        table.add_row(change.rule, change.looks_at, change.setting, *shown, gain, change.why)
    console().print(table)


def _shown(value: Setting) -> str:
    return to_toml(value).strip("{}").replace(" = ", " ")
