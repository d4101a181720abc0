"""What the filters of a lake's last run dropped and kept, as pictures: so that thresholds are set by looking."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL.Image import Image

from flows.lake_queries import LAKE_QUERIES
from infra.errors import RowError
from infra.lake import open_tables
from infra.media.decode import sample_frames
from infra.page import data_uri, templates
from infra.redact import redact
from infra.stage import Row
from infra.tables import Link, Tables
from infra.workspace import LakeWorkspace
from shards.examples import FRAMES, Example, Sheet, draw_sheet, empty_strip, film_strip, jpeg

EXAMPLES = 6  # of each reason
SPAN = ("source", "start_s", "end_s")  # columns that say which pictures belong to a row
LIMITS = ("min_", "max_")  # how settings are named that a score is held to
PAGE = "examples.html"


def draw_examples(lake: str, out: str, count: int = EXAMPLES) -> list[Path]:
    """Draw up to `count` examples for every stage and reason that dropped rows; returns the files, the page last.

    Below `out` come `STAGE-REASON.jpg` for each, and `examples.html` with all of them and nothing else to
    load. Beside dropped clips stand the kept ones that came nearest to the threshold, beside a duplicate
    what it duplicates. The choice depends on the rows' keys alone. Raises UsageError when `lake` is no lake.
    """
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with open_tables(lake) as tables:
        workspace = LakeWorkspace(tables.store.url, "")
        sheets = {
            f"{link.name}-{reason}": draw_reason(tables, workspace, link, reason, count)
            for link in tables.links
            for reason in _reasons(tables, link)
        }
    files = []
    for name, sheet in sheets.items():
        files.append(folder / f"{name}.jpg")
        files[-1].write_bytes(draw_sheet(sheet))
    page = folder / PAGE
    page.write_text(_page(sheets))
    return [*files, page]


def _reasons(tables: Tables, link: Link) -> list[str]:
    found = tables.query(f"SELECT DISTINCT reason FROM settled_{link.name} WHERE status = 'dropped' ORDER BY reason")
    return [row["reason"] for row in found]


def draw_reason(tables: Tables, workspace: LakeWorkspace, link: Link, reason: str, count: int) -> Sheet:
    """The sheet of one reason of one stage."""
    total, dropped = dropped_rows(tables, link, reason, count)
    details = [json.loads(row["detail"]) for row in dropped]
    left = tuple(_example(workspace, row, detail) for row, detail in zip(dropped, details, strict=True))
    heading = f"{link.name}: {reason} ({total:,} dropped)"
    if any("duplicate_of" in detail for detail in details):
        right = tuple(_duplicated(tables, workspace, link, detail) for detail in details)
        return Sheet(heading, "dropped", "duplicate of", left, right)
    axis = find_axis(details[0], _columns(tables, f"out_{link.name}"))
    kept = kept_rows(tables, link, axis, count)
    right = tuple(_example(workspace, row, _score(axis, row)) for row in kept)
    return Sheet(heading, "dropped", "kept, the nearest to the threshold" if axis else "kept", left, right)


def dropped_rows(tables: Tables, link: Link, reason: str, count: int) -> tuple[int, list[Row]]:
    """How many rows a stage dropped for a reason, and up to `count` of them: key, detail, SPAN, the same every time."""
    rows = tables.query(
        f"SELECT p.key, p.detail, {_span(tables, f'in_{link.name}', 'i.')}, count(*) OVER () AS total "
        f"FROM settled_{link.name} p JOIN in_{link.name} i ON p.parent = i.key "
        "WHERE p.status = 'dropped' AND p.reason = ? ORDER BY md5(p.key) LIMIT ?",
        [reason, count],
    )
    return rows[0]["total"], rows


@dataclass(frozen=True)
class Axis:
    """The score that a reason depends on, a column, and the threshold it was compared with."""

    score: str
    limit: str
    threshold: float


def find_axis(detail: Row, columns: Iterable[str]) -> Axis | None:
    """The score of a drop's detail that kept rows have too, and the threshold named after it; None without one.

    Where no threshold is named after a score (`black_share` is held to `max_plain_share`), the first of both.
    """
    scores = [name for name in sorted(set(columns) & detail.keys()) if isinstance(detail[name], int | float)]
    limits = sorted(name for name in detail if name.startswith(LIMITS) and isinstance(detail[name], int | float))
    pairs = [(score, limit) for score in scores for limit in limits]
    if not pairs:
        return None
    score, limit = min(pairs, key=lambda pair: (pair[1][len("min_") :] != pair[0], pair))
    return Axis(score, limit, float(detail[limit]))


def kept_rows(tables: Tables, link: Link, axis: Axis | None, count: int) -> list[Row]:
    """Up to `count` rows that a stage kept: those with scores nearest to the threshold, or any."""
    view = f"out_{link.name}"
    score, order = (f', "{axis.score}" AS score', f'abs("{axis.score}" - {axis.threshold!r}),') if axis else ("", "")
    sql = f"SELECT key{score}, {_span(tables, view, '')} FROM {view} ORDER BY {order} md5(key) LIMIT ?"
    return tables.query(sql, [count])


def _score(axis: Axis | None, row: Row) -> Row:
    return {axis.score: row["score"], axis.limit: axis.threshold} if axis else {}


def _duplicated(tables: Tables, workspace: LakeWorkspace, link: Link, detail: Row) -> Example:
    """What a dropped row duplicates, looked for by key and by path among the stage's input."""
    name = str(detail.get("duplicate_of"))
    view = f"in_{link.name}"
    by_path = "OR source = $1" if "source" in _columns(tables, view) else ""
    found = tables.query(
        f"SELECT key, {_span(tables, view, '')} FROM {view} WHERE key = $1 {by_path} ORDER BY key LIMIT 1", [name]
    )
    if not found:
        return Example(redact(name), "", empty_strip("not among the rows of this run: in an earlier release"))
    return _example(workspace, found[0], {})


def _example(workspace: LakeWorkspace, row: Row, detail: Row) -> Example:
    names = sorted(detail, key=lambda name: (name.startswith(LIMITS), name))  # scores, then thresholds
    text = ", ".join(f"{name} {_short(detail[name])}" for name in names)
    return Example(_title(row), redact(text), _strip(workspace, row))


def _strip(workspace: LakeWorkspace, row: Row) -> Image:
    if row["source"] is None:
        return empty_strip("not of one video")
    try:
        pictures, _ = sample_frames(workspace.path(row["source"]), FRAMES, row["start_s"], row["end_s"])
    except RowError as error:
        return empty_strip(f"no pictures: {error.reason}")
    return film_strip(pictures)


def _title(row: Row) -> str:
    name = redact(str(row["source"] or "")).rsplit("/", 1)[-1]
    span = "" if row["start_s"] is None else f"{row['start_s']:.2f}-{row['end_s']:.2f} s"
    return "  ".join(part for part in (name, span, str(row["key"])[:16]) if part)


def _short(value: object) -> str:
    """A number to four places; of a path or URL the last part, the whole stands in `uvr dropped`."""
    return f"{value:.4g}" if isinstance(value, float) else str(value).rsplit("/", 1)[-1]


def _columns(tables: Tables, view: str) -> list[str]:
    return [row["column_name"] for row in tables.query(f"DESCRIBE {view}")]


def _span(tables: Tables, view: str, prefix: str) -> str:
    """The SPAN columns of a view as SQL, NULL where it has none or lists of them (groups)."""
    types = {row["column_name"]: row["column_type"] for row in tables.query(f"DESCRIBE {view}")}
    wanted = {name: types.get(name, "[]") for name in SPAN}
    return ", ".join(f"NULL AS {name}" if kind.endswith("[]") else f"{prefix}{name}" for name, kind in wanted.items())


def _page(sheets: dict[str, Sheet]) -> str:
    """The page with all sheets, self-contained."""
    return templates("flows").get_template("examples.html").render(
        sheets=[(name, sheet, _rows(sheet)) for name, sheet in sheets.items()], queries=LAKE_QUERIES
    )  # fmt: skip


def _rows(sheet: Sheet) -> Sequence[tuple[tuple[Example | None, str], ...]]:
    """The examples of a sheet row by row, each with its strip as a data URI."""
    height = max(len(sheet.left), len(sheet.right))
    columns = [[*column, *[None] * (height - len(column))] for column in (sheet.left, sheet.right)]
    return [tuple((example, _data_uri(example)) for example in row) for row in zip(*columns, strict=True)]


def _data_uri(example: Example | None) -> str:
    if example is None:
        return ""
    return data_uri(jpeg(example.strip), "image/jpeg")
