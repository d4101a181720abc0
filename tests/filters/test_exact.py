"""Exact duplicates keep one file of every content and name the one they lost to."""

import pyarrow as pa

from filters.exact import ExactDuplicates
from infra.stage import Drop


def test_one_file_of_every_content_is_kept() -> None:
    rows = [("k1", "/v/z.mp4", "same"), ("k2", "/v/a.mp4", "same"), ("k3", "/v/m.mp4", "other")]
    table = pa.Table.from_pylist([{"key": k, "source": s, "video_id": v} for k, s, v in rows])
    outcomes = list(ExactDuplicates().compute(table))
    assert [o for o in outcomes if isinstance(o, dict)] == [
        {"key": "same", "parent": "k2"},
        {"key": "other", "parent": "k3"},
    ]
    [lost] = [o for o in outcomes if isinstance(o, Drop)]
    assert (lost.key, lost.reason, lost.detail["duplicate_of"]) == ("k1", "duplicate", "/v/a.mp4")
