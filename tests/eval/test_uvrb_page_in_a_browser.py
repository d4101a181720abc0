"""The page of an evaluation as people meet it: a file opened in a real browser, without a server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_uvrb import benchmark, files, report, vectors

from eval.uvrb.datasets import DATASETS, named
from eval.uvrb.page.page import make_page, write_page

Open = Callable[..., Any]
MODELS = "#models > .wide > table"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    held = files()
    benchmarks = [benchmark(dataset, held) for dataset in DATASETS]
    others = [report(frames=frames, tokens=tokens) for frames in (8, 16) for tokens in (200, 400)][1:]
    names = [dataset.name for dataset in DATASETS]
    out = str(tmp_path_factory.mktemp("whole") / "uvrb.html")
    return Path(write_page(make_page(report(), benchmarks, others, vectors(names, 1.5)), out))


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = str(tmp_path_factory.mktemp("part") / "uvrb.html")
    return Path(write_page(make_page(report(named(["MSRVTT", "CRB-T"]))), out))


def column(page: Any, number: int) -> list[str]:
    return page.locator(f"{MODELS} tbody tr > :nth-child({number})").all_inner_texts()


def test_tables_sort_both_ways_and_say_so(look: Open, whole: Path) -> None:
    page = look(whole)
    head = page.locator(f"{MODELS} thead th").nth(1)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    shown = [float(text) for text in column(page, 2)]
    assert shown == sorted(shown, reverse=True)
    assert column(page, 1)[0] == "GVE-7B"
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(text) for text in column(page, 2)] == sorted(shown)
    page.locator(f"{MODELS} thead th").first.get_by_role("button").click()
    names = [text.rstrip("†").lower() for text in column(page, 1)]
    assert names == sorted(names)
    assert head.get_attribute("aria-sort") is None


def test_what_has_no_score_is_last_either_way(look: Open, part: Path) -> None:
    page = look(part)
    head = page.locator(f"{MODELS} thead th").filter(has_text="CMP")
    for _ in range(2):
        head.get_by_role("button").click()
        assert set(column(page, 4)) == {"–"}
    assert len(column(page, 1)) == 17


def test_the_menu_changes_the_radar_and_its_table(look: Open, whole: Path) -> None:
    page = look(whole)
    line = page.locator("#radar-second")
    before = line.get_attribute("d")
    page.locator("select[data-slot=second]").select_option("CLIP4Clip")
    assert page.locator("[data-name=second]").inner_text() == "CLIP4Clip"
    assert page.locator("[data-cell=second]").all_inner_texts()[1] == "0.178"  # CMP in table 2
    after = line.get_attribute("d")
    assert after != before
    page.locator("select[data-slot=second]").select_option("none")
    assert line.get_attribute("d") == ""
    assert set(page.locator("[data-cell=second]").all_inner_texts()) == {"–"}


def test_lines_differ_by_more_than_colour(look: Open, whole: Path) -> None:
    page = look(whole)
    styles = [
        page.locator(f"#radar-{slot}").evaluate(
            "e => [getComputedStyle(e).strokeDasharray, getComputedStyle(e).markerMid]"
        )
        for slot in ("own", "first", "second", "third")
    ]
    assert len({tuple(style) for style in styles}) == 4
    assert len({style[1] for style in styles}) == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["whole", "part"])
def test_a_phone_never_scrolls_sideways(look: Open, request: pytest.FixtureRequest, which: str, scheme: str) -> None:
    page = look(request.getfixturevalue(which), viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    bright = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(c => c > 127)")
    assert bright == (scheme == "light")


def test_all_is_there_without_scripts_but_the_menu(look: Open, whole: Path) -> None:
    page = look(whole, java_script_enabled=False)
    assert not page.locator("#compare").is_visible()
    assert page.locator("[data-name=first]").inner_text() == "GVE-7B"
    assert page.locator(f"{MODELS} tbody tr").count() == 17


def test_every_picture_loads_and_every_control_has_a_name(look: Open, whole: Path) -> None:
    page = look(whole)
    page.evaluate("document.querySelectorAll('img').forEach(each => { each.loading = 'eager'; })")
    page.wait_for_function("[...document.images].every(each => each.complete && each.naturalWidth > 0)")
    nameless = "[...document.querySelectorAll('button, select, img, section, article, svg[role=img]')].filter("
    nameless += "e => !(e.ariaLabel || e.alt || e.textContent.trim())).length"
    assert page.evaluate(nameless) == 0
