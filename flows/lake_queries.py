"""Questions that DuckDB answers over the views of a lake (infra.tables), to read and to change.

Ask them with

    from infra.lake import open_tables
    with open_tables("LAKE") as tables:
        tables.db.sql("SELECT ...").show()
"""

from __future__ import annotations

from typing import NamedTuple


class LakeQuery(NamedTuple):
    """A question in words, and in SQL."""

    question: str
    sql: str


LAKE_QUERIES = (
    LakeQuery(
        "What did the quality filter drop, and for what?",
        """\
SELECT reason, count(*) AS clips
FROM settled_quality
WHERE status = 'dropped'
GROUP BY reason
ORDER BY clips DESC, reason""",
    ),
    LakeQuery(
        "With which score, against which threshold?",
        """\
SELECT key, reason, detail->>'still_share' AS still_share, detail->>'max_still_share' AS threshold
FROM settled_quality
WHERE reason = 'static'
ORDER BY key""",
    ),
    LakeQuery(
        "How are the scores of all clips spread, kept or not?",
        """\
SELECT name, round(quantile_cont(score, 0.01), 4) AS p1, round(median(score), 4) AS p50,
       round(quantile_cont(score, 0.99), 4) AS p99
FROM (SELECT shake, blockiness, sharpness, text_share, freeze_share, picture_share FROM in_quality)
UNPIVOT (score FOR name IN (shake, blockiness, sharpness, text_share, freeze_share, picture_share))
GROUP BY name
ORDER BY name""",
    ),
    LakeQuery(
        "How many clips would a stricter threshold drop, that are kept now?",
        """\
SELECT threshold, count(*) FILTER (shake >= threshold) AS clips, count(*) AS of_all
FROM out_quality, (SELECT unnest([0.12, 0.08, 0.05, 0.03]) AS threshold)
GROUP BY threshold
ORDER BY threshold DESC""",
    ),
    LakeQuery(
        "How much of what was kept is film, how much slides and screens?",
        """\
SELECT footage, count(*) AS clips, round(sum(end_s - start_s) / 3600, 3) AS hours
FROM out_quality
GROUP BY footage
ORDER BY clips DESC, footage""",
    ),
    LakeQuery(
        "Which videos lost the largest share of their clips?",
        """\
SELECT source, count(*) FILTER (s.status = 'dropped') AS dropped, count(*) AS clips
FROM settled_quality s JOIN in_quality i ON s.parent = i.key
GROUP BY source
HAVING dropped > 0
ORDER BY dropped / clips DESC, source
LIMIT 20""",
    ),
    LakeQuery(
        "Which files are copies, and of what?",
        """\
SELECT i.source, p.detail->>'duplicate_of' AS duplicate_of, p.detail->>'kind' AS kind
FROM settled_exact p JOIN in_exact i ON p.parent = i.key
WHERE p.status = 'dropped'
ORDER BY i.source""",
    ),
)
