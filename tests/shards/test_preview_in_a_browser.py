"""The preview as people meet it: a file opened in a real browser, without a server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich_release import write_rich
from toy_release import toy_sample, write_release

from shards.manifest import load_manifest
from shards.preview.page import make_preview

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rich")
    path = folder / "preview.html"
    path.write_text(make_preview(write_rich(folder), samples=3).html)
    return path


def test_hostile_texts_stay_texts(look: Open, rich: Path) -> None:
    page = look(rich)
    page.fill("#words", "script onerror")
    assert page.inner_text("#found") == "144 of 144 pairs match."
    assert page.title() == "Release toy"
    assert page.locator("#results img, #results script, main img:not([src^='data:'])").count() == 0
    assert page.locator("#results mark").first.inner_text() == "script"


def test_search_finds_words_from_their_beginning(look: Open, rich: Path) -> None:
    page = look(rich)
    page.get_by_role("searchbox").fill("YELLOW dis")
    assert page.inner_text("#found") == "8 of 144 pairs match."  # 4 moves; T2V and T2T, I2V has no text of its own
    assert page.locator("#results li").count() == 8
    assert {text.lower() for text in page.locator("#results mark").all_inner_texts()} == {"yellow", "dis"}
    page.get_by_label("Task").select_option("T2V")
    assert page.inner_text("#found") == "4 of 144 pairs match."
    page.get_by_role("searchbox").fill("ellow")
    assert page.inner_text("#found") == "0 of 144 pairs match."
    page.get_by_role("searchbox").fill("")
    page.get_by_label("Task").select_option("all")
    assert "can be searched" in page.inner_text("#found")


def test_a_found_pair_leads_to_its_sample(look: Open, rich: Path) -> None:
    page = look(rich)
    shown = str(page.locator("article").first.get_attribute("id"))
    page.get_by_role("searchbox").fill(shown.removeprefix("pair-"))
    page.locator("#results a").click()
    assert page.evaluate("document.querySelector(':target').id") == shown


def test_nothing_plays_before_one_starts_it_by_keyboard(look: Open, rich: Path) -> None:
    page = look(rich)
    videos = page.locator("video")
    assert videos.count() == 6
    assert page.evaluate("[...document.querySelectorAll('video')].every(video => video.paused && !video.autoplay)")
    page.locator(".play").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('video').currentTime > 0")
    assert videos.first.evaluate("video => [video.videoWidth, video.controls, document.activeElement === video]") == [
        56,
        True,
        True,
    ]
    assert page.evaluate("[...document.querySelectorAll('video')].slice(1).every(video => video.paused)")


def test_every_control_is_reached_by_tab_and_has_a_name(look: Open, rich: Path) -> None:
    page = look(rich)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"words", "task", "play"} <= reached
    nameless = "[...document.querySelectorAll('button, video, img, section, article, svg[role=img]')].filter("
    nameless += "e => !(e.ariaLabel || e.alt || e.textContent.trim())).length"
    assert page.evaluate(nameless) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways(look: Open, rich: Path, scheme: str) -> None:
    page = look(rich, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.fill("#words", "caption")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    bright = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(c => c > 127)")
    assert bright == (scheme == "light")


def test_without_scripts_all_but_the_search_is_there(look: Open, rich: Path) -> None:
    page = look(rich, java_script_enabled=False)
    assert page.locator("video[controls]").count() == 6
    assert page.get_by_text("Searching needs JavaScript").is_visible()
    assert not page.get_by_role("searchbox").is_visible()


def test_ten_thousand_pairs_are_searched_a_page_at_a_time(look: Open, tmp_path: Path) -> None:
    def pair(number: int) -> dict[str, Any]:
        colour = ("red", "green", "blue")[number % 3]
        words = {"query_text": f"A {colour} thing, the {number}th of many", "target_text": f"number{number} " * 8}
        return toy_sample("T2T", "train", number, **words)

    release = load_manifest(write_release(tmp_path, (pair(i) for i in range(10_000)), shard_pairs=5_000))
    path = tmp_path / "preview.html"
    path.write_text(make_preview(release, samples=2).html)
    page = look(path)
    assert "10,000 of 10,000 pairs" in page.inner_text("#found")
    page.fill("#words", "green")
    assert page.inner_text("#found") == "3,333 of 10,000 pairs match."
    assert page.locator("#results li").count() == 50
    page.get_by_role("button", name="Show more").click()
    assert page.locator("#results li").count() == 100
    page.fill("#words", "number7777")
    assert page.inner_text("#found") == "1 of 10,000 pairs match."
    assert not page.get_by_role("button", name="Show more").is_visible()
