"""Exact duplicates keep one file of every content and name the one they lost to."""

from collections.abc import Sequence
from pathlib import Path

import av
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from sample_clips import shot, write_video

from filters.exact import ExactDuplicates
from infra.media.probe import packets_id
from infra.stage import Drop, Row

FILES = [
    {"key": "k1", "source": "/v/z.mp4", "video_id": "same", "packets_id": "p1"},
    {"key": "k2", "source": "/v/a.mp4", "video_id": "same", "packets_id": "p1"},
    {"key": "k3", "source": "/v/m.mp4", "video_id": "other", "packets_id": "p2"},
    {"key": "k4", "source": "/v/n.mkv", "video_id": "remux", "packets_id": "p2"},
    {"key": "k5", "source": "/v/x.mp4", "video_id": "broken", "packets_id": ""},
    {"key": "k6", "source": "/v/y.mp4", "video_id": "broken too", "packets_id": ""},
]
RELEASED = pa.schema([(name, pa.string()) for name in ("key", "parent", "source", "packets_id")])


def judged(files: Sequence[Row], *released: Row) -> tuple[dict[str, str], dict[str, str]]:
    """Kept video ids with their files' keys, dropped keys with the file they equal."""
    table = pa.Table.from_pylist(list(files), schema=pa.schema([(name, pa.string()) for name in FILES[0]]))
    outcomes = list(ExactDuplicates().compute(table, pa.Table.from_pylist(list(released), schema=RELEASED)))
    kept = {row["key"]: row["parent"] for row in outcomes if isinstance(row, dict)}
    return kept, {drop.key: drop.detail["duplicate_of"] for drop in outcomes if isinstance(drop, Drop)}


@given(st.permutations(FILES))
def test_one_file_of_every_content_is_kept(files: list[Row]) -> None:
    kept, lost = judged(files)
    assert kept == {"same": "k2", "other": "k3", "broken": "k5", "broken too": "k6"}
    assert lost == {"k1": "/v/a.mp4", "k4": "/v/m.mp4"}


def test_what_was_released_is_kept_whatever_comes_later() -> None:
    remux = {"key": "remux", "parent": "k4", "source": "/v/n.mkv", "packets_id": "p2"}
    kept, lost = judged(FILES, remux)
    assert kept == {"same": "k2", "remux": "k4", "broken": "k5", "broken too": "k6"}
    assert lost == {"k1": "/v/a.mp4", "k3": "/v/n.mkv"}
    kept, lost = judged(FILES[:3], remux)
    assert "other" not in kept, "its file is gone, what was released is not"
    assert lost["k3"] == "/v/n.mkv"


def test_a_remux_has_the_same_packets(tmp_path: Path) -> None:
    one = write_video(tmp_path / "a.mp4", shot(1, 10))
    write_video(tmp_path / "c.mp4", shot(2, 10))
    with av.open(str(one)) as source, av.open(str(tmp_path / "b.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    ids = [packets_id(str(tmp_path / name)) for name in ("a.mp4", "b.mkv", "c.mp4")]
    assert ids[0] == ids[1] != ids[2]
