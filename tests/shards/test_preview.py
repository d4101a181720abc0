"""The preview of a release: what it says is true, it is one file that asks nobody, and texts stay texts."""

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich_release import EVIL, FUNNEL, write_rich
from toy_release import toy_pairs, toy_sample, write_release

from infra.errors import ReleaseCorrupt, UsageError
from shards.manifest import Manifest, load_manifest
from shards.preview.charts import MOST_BINS, histogram, nice_step
from shards.preview.facts import Facts, read_facts
from shards.preview.funnel import draw_funnel
from shards.preview.page import make_preview, where_to_write
from shards.preview.samples import make_gallery
from shards.preview.survey import searchable, spread, survey
from shards.preview.texts import find_texts


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return write_rich(tmp_path_factory.mktemp("rich"))


@pytest.fixture(scope="module")
def page(rich: Manifest) -> str:
    return make_preview(rich, samples=3).html


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text between them that people see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.hidden = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.hidden = tag if tag in ("script", "style") else self.hidden

    def handle_endtag(self, tag: str) -> None:
        self.hidden = "" if tag == self.hidden else self.hidden

    def handle_data(self, data: str) -> None:
        self.text += "" if self.hidden else f"{' '.join(data.split())}\n" if data.strip() else ""

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def test_the_same_release_gives_the_same_bytes(page: str, tmp_path: Path) -> None:
    assert make_preview(write_rich(tmp_path), samples=3).html == page


def test_its_totals_are_the_manifests(page: str, rich: Manifest) -> None:
    text = Tags(page).text
    size = sum(shard.bytes for shard in rich.shards)
    for name, number in (("pairs", 144), ("source videos", 12), ("shards", len(rich.shards)), ("bytes", size)):
        assert f"\n{name}\n{number:,}\n" in text
    for task, wanted in (("T2V", 50), ("I2V", 48), ("T2T", 48)):
        assert rich.pairs()[task] == {"train": 40, "val": 8}
        assert f"\n{task}\n40\n8\n{wanted}\n" in text
    assert "\n50 → 120\n3 dropped\n2 quarantined\n1 pending\n" in text
    assert "\n120 → 48\n72 dropped\n" in text
    assert "48 clips, median 4.94 s, 2 to 7.88 s" in text
    assert "\n640 × 360\n32\n" in text
    assert "\n1280 × 720\n16\n" in text
    assert "12 videos, median 12, 12 to 12" in text
    assert 'data-ready="144 of 144 pairs can be searched here."' in page


def test_every_text_is_escaped(page: str) -> None:
    tags = Tags(page)
    assert len(tags.of("script")) == 2
    assert [sorted(script) for script in tags.of("script")] == [["id", "type"], []]
    assert not [image for image in tags.of("img") if not str(image["src"]).startswith("data:")]
    assert not [name for _, attributes in tags.tags for name in attributes if name.startswith("on")]
    assert not tags.of("b")
    assert " ".join(EVIL.split()) in tags.text, "it is shown as it is written"


def test_it_is_one_file_that_asks_nobody(page: str) -> None:
    addresses = [
        str(value)
        for _, attributes in Tags(page).tags
        for name, value in attributes.items()
        if name in ("src", "href", "poster", "srcset", "action", "data")
    ]
    assert len(addresses) > 20
    assert not [address for address in addresses if not address.startswith(("data:image/", "data:video/mp4", "#"))]
    assert "://" not in page
    assert "url(" not in page
    assert "@import" not in page


def test_samples_are_what_the_shards_hold(rich: Manifest) -> None:
    seen = survey(read_facts(rich))
    gallery = make_gallery(rich, seen.drawn, 5)
    assert {task: len(samples) for task, samples in gallery.samples.items()} == {"T2V": 5, "I2V": 5, "T2T": 5}
    assert not any(gallery.left_out.values())
    for samples in gallery.samples.values():
        assert len({sample.facts.video_id for sample in samples}) == 5, (
            "of different source videos while there are some"
        )
    for sample in gallery.samples["T2V"]:
        assert sample.query.text == sample.facts.query_text
        assert str(sample.target.video).startswith("data:video/mp4;base64,")
        assert str(sample.target.poster).startswith("data:image/jpeg;base64,")
    assert len(gallery.strips) == len({strip.facts.clip for strip in gallery.strips}) == 24


def test_the_biggest_samples_go_when_there_is_no_room(rich: Manifest) -> None:
    drawn = survey(read_facts(rich)).drawn
    whole = make_gallery(rich, drawn, 4)
    video_bytes = [len(str(s.target.video)) * 3 / 4 for task in ("T2V", "I2V") for s in whole.samples[task]]
    small = make_gallery(rich, drawn, 4, most_bytes=int(sum(video_bytes) / 2))
    assert small.left_out["T2V"] + small.left_out["I2V"] > 0
    assert small.left_out["T2T"] == 0, "texts take no room"
    for task, samples in small.samples.items():
        assert samples[0] == whole.samples[task][0], "each task keeps its first"
        assert len(samples) + small.left_out[task] == 4


def test_what_a_release_does_not_tell_is_not_shown(tmp_path: Path) -> None:
    texts = [sample for sample in toy_pairs() if sample["__key__"].startswith("T2T")]
    text = Tags(make_preview(load_manifest(write_release(tmp_path, texts)), samples=2).html).text
    for absent in ("Clips", "Clip durations", "Resolutions", "Funnel", "Captions of the clip", "wanted", "T2V"):
        assert f"\n{absent}\n" not in text
    assert "\nWords per text\n" in text


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    release = load_manifest(write_release(tmp_path, toy_pairs()))
    first = Path(release.path(release.shards[0]))
    first.write_bytes(first.read_bytes()[:700])
    with pytest.raises(ReleaseCorrupt, match=first.name):
        make_preview(release, samples=1)


def test_a_clip_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    sample = toy_sample("T2V", "val", 0, query_text="words", target_video=b"no video")
    release = load_manifest(write_release(tmp_path, [sample]))
    with pytest.raises(ReleaseCorrupt, match="T2V0000"):
        make_preview(release, samples=1)


def test_the_command_writes_it_where_one_says(rich: Manifest, tmp_path: Path) -> None:
    def uvr(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flows.cli", "release", "preview", *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    page = tmp_path / "new" / "page.html"
    done = uvr(f"{rich.folder}/manifest.json", "--out", str(page), "--samples", "1")
    assert done.stdout.splitlines()[-1] == str(page)
    assert page.read_text() == make_preview(rich, 1).html
    wrong = uvr(f"{rich.folder}/none.json", "--out", str(page))
    assert (wrong.returncode, "no release manifest" in wrong.stderr) == (2, True)


def test_it_lies_beside_the_manifest_unless_a_page_is_named(rich: Manifest, tmp_path: Path) -> None:
    store, name = where_to_write(rich)
    assert store.location(name) == f"{rich.folder}/preview.html"
    for path in (str(tmp_path), str(tmp_path / "page.txt")):
        with pytest.raises(UsageError, match=r"\.html"):
            where_to_write(rich, path)


def test_search_finds_a_bounded_number_of_pairs_and_rare_tasks_whole() -> None:
    def pair(task: str, number: int) -> Facts:
        return Facts(f"{task}{number}", task, "train", "shard", f"video{number}", f"target{number}")

    drawn = {"T2V": [pair("T2V", i) for i in range(10_000)], "TV2V": [pair("TV2V", i) for i in range(3)]}
    found = searchable(drawn)
    assert len(found) == 10_000
    assert sum(facts.task == "TV2V" for facts in found) == 3


def test_texts_are_held_once_and_sides_come_before_captions() -> None:
    pairs = [
        Facts(str(i), "T2T", "train", "s", "video", str(i), query_text="same", captions={"detailed": f"{i:06d}"})
        for i in range(5)
    ]
    whole = find_texts(pairs).document()
    assert whole["texts"] == ["same", *(f"{i:06d}" for i in range(5))]
    assert [row[-1] for row in whole["rows"]] == [[(0, 0), (1, i + 1)] for i in range(5)]
    some = find_texts(pairs, most_bytes=len("same") + 3 * 6)
    assert (len(some.rows), some.captioned) == (5, 3)
    long = [replace(pair, query_text=f"long {pair.pair_id}") for pair in pairs]
    few = find_texts(long, most_bytes=2 * len("long 0"))
    assert (len(few.rows), few.captioned) == (2, 0)


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_source_videos_take_turns(videos: list[str]) -> None:
    pairs = [Facts(str(i), "T2V", "train", "shard", video, f"clip{i}") for i, video in enumerate(videos)]
    ordered = spread(pairs)
    assert sorted(ordered, key=lambda facts: int(facts.pair_id)) == pairs
    for count in range(len(ordered) + 1):
        shown = [facts.video_id for facts in ordered[:count]]
        left = {facts.video_id for facts in ordered[count:]}
        assert all(shown.count(video) <= shown.count(other) + 1 for video in shown for other in left)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.booleans())
def test_a_histogram_holds_every_value(values: list[float], whole: bool) -> None:
    held = [float(round(value)) for value in values] if whole else values
    drawn = histogram(held, np.full(len(held), 2), whole)
    assert drawn.counts.sum() == 2 * len(held)
    assert len(drawn.counts) <= MOST_BINS
    step = drawn.edges[-1] - drawn.edges[-2]
    assert drawn.edges[0] - step / 100 <= min(held) <= max(held) <= drawn.edges[-1] + step / 100


@pytest.mark.parametrize(("least", "step"), [(0, 1), (0.03, 0.05), (1, 1), (1.1, 2), (7, 10), (20, 20)])
def test_steps_are_numbers_that_people_count_in(least: float, step: float) -> None:
    assert nice_step(least) == pytest.approx(step)


def test_the_sankey_runs_on_without_a_step() -> None:
    """Where one piece ends, the stream is as wide as where the next begins; widths are rows, on one scale."""
    flows = draw_funnel(FUNNEL)
    below = [re.search(r"C\S+ 33 (\S+) 33 (\S+) 44H(\S+)C", flow.picture) for flow in flows]
    nodes = [re.search(r'class="node" x="(\S+)" y="18" width="(\S+)"', flow.picture) for flow in flows]
    for piece, node in zip(below[:-1], nodes[1:], strict=True):
        assert piece is not None
        assert node is not None
        right, left = float(piece[1]), float(piece[3])
        assert (left, right - left) == pytest.approx((float(node[1]), float(node[2])), abs=0.2)
    widths = [float(node[2]) for node in nodes if node]
    assert widths == pytest.approx([50 * 70 / 120, 50 * 70 / 120, 70], abs=0.2), "rows, on one scale"
    assert flows[1].lost == (("dropped", 3), ("quarantined", 2), ("pending", 1))
