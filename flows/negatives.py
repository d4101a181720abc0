"""How many queries a run found a hard negative for, and why others have none."""

from __future__ import annotations

from filters.negatives import Negatives
from infra.stage import Row
from infra.tables import Tables


def negatives(tables: Tables) -> list[Row]:
    """For each task that asks for negatives: pairs, those with a negative, and those without one by reason.

    Rows {task, pairs, with_negative, without}, sorted by task; none where no prober mined any.
    """
    if Negatives.name not in {link.name for link in tables.links}:
        return []
    found = tables.query(
        "SELECT task, no_negative AS reason, count(*) AS pairs "
        f"FROM out_{Negatives.name} WHERE positive_cosine IS NOT NULL GROUP BY ALL ORDER BY ALL"
    )
    told = []
    for task in dict.fromkeys(row["task"] for row in found):
        by_reason = {row["reason"]: row["pairs"] for row in found if row["task"] == task}
        with_negative, pairs = by_reason.pop("", 0), sum(row["pairs"] for row in found if row["task"] == task)
        told.append({"task": task, "pairs": pairs, "with_negative": with_negative, "without": by_reason})
    return told
