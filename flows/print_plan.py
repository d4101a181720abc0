"""How a plan is shown: one JSON document, or a table of the stages and a summary."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from flows.plan import Plan, StagePlan
from flows.printing import console
from infra.estimate import CONFIDENCE, Estimate

TIMES = ((7200.0, 3600.0, "h"), (120.0, 60.0, "min"), (0.0, 1.0, "s"))  # from so many seconds, seconds, name
SIZES = ((1e12, 1e12, "TB"), (1e9, 1e9, "GB"), (1e6, 1e6, "MB"), (0.0, 1e3, "kB"))


def plan_document(plan: Plan, free_bytes: int | None) -> dict[str, Any]:
    """The plan as one JSON document; every estimate is {point, low, high}."""
    return {
        "videos": {"listed": plan.listed, "usable": plan.usable, "sampled": plan.sampled, "bytes": plan.size_bytes},
        "confidence": CONFIDENCE,
        "stages": [_stage_document(plan, stage) for stage in plan.stages],
        "pairs": {
            "total": _bounds(plan.total_pairs),
            "by_task": {task: _bounds(count) for task, count in plan.pairs.items()},
            "target": plan.target_pairs,
            "shortage": {task: _bounds(count) for task, count in plan.shortage.items()},
        },
        "workers": plan.workers,
        "worker_seconds": _bounds(plan.seconds),
        "overhead_seconds": plan.overhead_s,
        "wall_seconds": _bounds(plan.wall_s),
        "disk": {"bytes": _bounds(plan.bytes), "free_bytes": free_bytes},
        "tokens": _bounds(plan.tokens),
        "cost": {**_bounds(plan.cost), "currency": plan.prices.currency} if plan.is_priced else None,
        "bottleneck": {
            "stage": plan.bottleneck.name,
            "share": _bounds(plan.share(plan.bottleneck)),
            "advice": plan.advice,
        },
        "warnings": list(plan.warnings),
    }


def _stage_document(plan: Plan, stage: StagePlan) -> dict[str, Any]:
    facts = {
        "in": stage.rows_in,
        "out": stage.rows_out,
        "seconds": stage.seconds,
        "share": plan.share(stage),
        "bytes": stage.bytes,
        "tokens": stage.tokens,
    }
    if plan.is_priced:
        facts["cost"] = stage.cost(plan.prices)
    return {"name": stage.name, **{name: _bounds(fact) for name, fact in facts.items()}, "scaled_by": stage.scaled_by}


def _bounds(estimate: Estimate) -> dict[str, float]:
    return {name: round(getattr(estimate, name), 6) for name in ("point", "low", "high")}


def print_plan(plan: Plan, free_bytes: int | None) -> None:
    """The stages as a table, then what to expect, in words."""
    console().print(_table(plan))
    for line in _summary(plan, free_bytes):
        print(line)


def _table(plan: Plan) -> Table:
    table = Table(title=f"plan for {plan.usable} videos, from {plan.sampled} of them", title_justify="left", box=None)
    table.add_column("stage")
    headings = ["rows in", "rows out", "worker time", "share", "disk"]
    for heading in [*headings, f"cost ({plan.prices.currency})"] if plan.is_priced else headings:
        table.add_column(heading, justify="right")
    for stage in plan.stages:
        cells = [_count(stage.rows_in), _count(stage.rows_out), _in_unit(stage.seconds, TIMES)]
        cells += [_with_error(plan.share(stage).scaled(100), "%", 0), _in_unit(stage.bytes, SIZES)]
        cost = [_money(stage.cost(plan.prices))] if plan.is_priced else []
        table.add_row(stage.name, *cells, *cost)
    return table


def _summary(plan: Plan, free_bytes: int | None) -> list[str]:
    tasks = ", ".join(f"{task} {_count(count)}" for task, count in plan.pairs.items())
    target = f" of the {plan.target_pairs:,} asked for" if plan.target_pairs else ""
    free = "" if free_bytes is None else f"; {free_bytes / 1e9:,.1f} GB are free"
    if free_bytes is not None and free_bytes < plan.bytes.high:
        free += ", which may be too little"
    lines = [f"pairs       {_count(plan.total_pairs)}{target}: {tasks}"]
    if plan.shortage:
        missing = ", ".join(f"{task} {_count(count)}" for task, count in plan.shortage.items())
        lines.append(f"shortage    the clips may fall short of the target by {missing}")
    lines += [
        f"time        {_in_unit(plan.wall_s, TIMES)} on {plan.workers} workers as fast as these, "
        f"{plan.overhead_s:.0f} s of it start-up (Prefect's own comes on top)",
        f"disk        {_in_unit(plan.bytes, SIZES)}{free}",
    ]
    if plan.is_priced:
        lines.append(f"cost        {_money(plan.cost)} {plan.prices.currency}")
    else:
        lines.append("cost        unknown: set prices.worker_hour (and prices.million_tokens) in the recipe")
    share = _with_error(plan.share(plan.bottleneck).scaled(100), "%", 0)
    lines.append(f"bottleneck  {plan.bottleneck.name}, {share} of all worker time: {plan.advice}")
    if plan.sampled == plan.usable:
        lines.append("error bars  none: every video was tried")
    else:
        lines.append(f"error bars  ± half of the {CONFIDENCE:.0%} interval over the videos tried (bootstrap)")
    return lines + [f"note        {warning}" for warning in plan.warnings]


def _count(estimate: Estimate) -> str:
    return _with_error(estimate, "", 0)


def _money(estimate: Estimate) -> str:
    return _with_error(estimate, "", 2 if estimate.point >= 1 else 4)


def _in_unit(estimate: Estimate, units: tuple[tuple[float, float, str], ...]) -> str:
    """An amount in the largest unit that suits it."""
    _, unit, name = next(unit for unit in units if estimate.point >= unit[0])
    return _with_error(estimate.scaled(1 / unit), f" {name}", 1)


def _with_error(estimate: Estimate, unit: str, digits: int) -> str:
    error = (estimate.high - estimate.low) / 2
    shown = f" ±{error:,.{digits}f}" if round(error, digits) else ""
    return f"{estimate.point:,.{digits}f}{shown}{unit}"
