"""What a run removed for the sake of evaluation sets, set by set."""

from __future__ import annotations

from filters.decontaminate import Decontaminate
from filters.decontaminate_texts import DecontaminateTexts
from infra.stage import Row
from infra.tables import Tables

SHOWN = "shown"  # the kind of a clip that shows what an evaluation video shows, in another file


def decontamination(tables: Tables) -> list[Row]:
    """For each evaluation set, stage and kind of match: the clips removed, and the set's items they were removed for.

    Rows {evaluation_set, stage, kind, clips, items}, sorted; none where the recipe names no sets.
    """
    names = {link.name for link in tables.links}
    found = []
    for stage in (Decontaminate.name, DecontaminateTexts.name):
        if stage in names:
            found += tables.query(
                f"SELECT detail->>'evaluation_set' AS evaluation_set, '{stage}' AS stage, "
                f"coalesce(detail->>'kind', '{SHOWN}') AS kind, count(*) AS clips, "
                "count(DISTINCT detail->>'evaluation_source') AS items "
                f"FROM settled_{stage} WHERE status = 'dropped' GROUP BY ALL"
            )
    return sorted(found, key=lambda row: (row["evaluation_set"], row["stage"], row["kind"]))


def in_words(rows: list[Row]) -> list[str]:
    """A line for each evaluation set: how many clips, and why."""
    sets = dict.fromkeys(row["evaluation_set"] for row in rows)
    lines = []
    for name in sets:
        own = [row for row in rows if row["evaluation_set"] == name]
        kinds = ", ".join(f"{row['clips']} {row['kind']}" for row in own)
        lines.append(f"{name}: {sum(row['clips'] for row in own)} clips removed ({kinds})")
    return lines
