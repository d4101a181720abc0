"""The page of a UVRB evaluation: what it says is true, it is bounded, texts stay texts, and parts may be absent."""

import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from made_uvrb import EVIL, Held, benchmark, files, published_sizes, report, scores, vectors

from eval.uvrb.abilities import ABILITIES
from eval.uvrb.classification import Classification
from eval.uvrb.datasets import DATASETS, named
from eval.uvrb.page.charts import RADIUS, radar_path
from eval.uvrb.page.failures import DRAWN, SHOWN, Failure, Thumbnail, show_failures, worst_queries
from eval.uvrb.page.page import make_page, write_page
from eval.uvrb.page.rows import ability_correlations, model_rows, unlike_published
from eval.uvrb.page.scaling import scale
from eval.uvrb.page.space import POINTS, draw_space, draw_vectors, principal_axes
from eval.uvrb.tables import published
from infra.errors import RowError, UsageError


@pytest.fixture(scope="module")
def held() -> Held:
    return files()


@pytest.fixture(scope="module")
def page(held: Held) -> str:
    found = report(queries=20)
    wider = report(queries=20, frames=16, share=0.6)
    spaces = vectors(["MSRVTT", "MS-TI"], gap=0.5)
    labels = {"actions <b>": Classification(10, 4, 0.7, {"run": 0.5, "<i>sit": 0.9}, {"run": ("<i>sit", 3)})}
    return make_page(found, [benchmark(each, held, 20) for each in DATASETS], [wider], spaces, labels)


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its visible text, one piece a line."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style") and data.strip():
            self.text += f"{' '.join(data.split())}\n"


def test_the_same_evaluation_gives_the_same_bytes(held: Held) -> None:
    made = [benchmark(DATASETS[0], held, 20)]
    pages = [make_page(report(DATASETS[:1], 20), made, (), vectors(["MSRVTT"], 0.5)) for _ in range(2)]
    assert pages[0] == pages[1]


def test_texts_stay_texts_and_nothing_is_loaded(page: str) -> None:
    tags = Tags(page).tags
    assert len([tag for tag, _ in tags if tag == "script"]) == 2  # ours and the data of the menus
    assert EVIL in Tags(page).text.replace("\n", "")
    images = [attributes for tag, attributes in tags if tag == "img"]
    assert images
    assert all(str(each["src"]).startswith("data:image/jpeg;base64,") and "onerror" not in each for each in images)
    assert not re.search(r"(?:src|href)=\"(?!data:image/jpeg|#)", page)
    assert not [name for _, attributes in tags for name in attributes if name == "style" or name.startswith("on")]
    assert "actions <b>" in Tags(page).text


def test_it_says_the_scores_of_the_report(page: str) -> None:
    found, text = report(queries=20), Tags(page).text
    average = found.abilities.average
    assert f"average of abilities\n{average:.3f}\n" in text
    for each in found.datasets:
        assert f"\n{each.dataset}\n" in text
        assert f"\n{each.score:.3f}\n" in text
    failed = sum(at > 1 for at in found.datasets[0].rank)
    assert f"{failed} of 20 queries failed" in text
    assert "no dataset here has\nthe published number" in text or "no dataset here has the published number" in text


def test_a_part_of_the_benchmark_is_told_as_such() -> None:
    text = Tags(make_page(report(named(["CRB-S", "MS-TV"])))).text
    assert "14 of 16 datasets are missing:" in text
    assert "\naverage of abilities\n" not in text
    assert "average of the 2 datasets there are" in text
    assert "\nS*\n" in text
    assert "\nCG\n" in text  # which has no score that a star could explain
    assert "GME-2B average" not in text  # what was printed is of all datasets


def test_one_dataset_without_pictures_models_or_scaling_is_a_page() -> None:
    page = make_page(report(DATASETS[:1]), models={})
    text = Tags(page).text
    assert "other models" not in text
    assert 'id="correlations"' not in page
    assert 'id="space"' not in page
    assert "<img" not in page
    assert "average of the 1 dataset there are" in text


def test_other_models_are_held_to_the_same_datasets() -> None:
    rows = model_rows(report(named(["MSRVTT", "DiDeMo"])), published()[0])
    by_name = {row.name: row for row in rows}
    assert rows[0].name == "tiny-gve"
    assert len(rows) == 17
    assert by_name["CLIP4Clip"].dataset_average == pytest.approx((0.333 + 0.297) / 2)
    assert set(by_name["CLIP4Clip"].abilities) == {"CG", "TXT"}
    assert by_name["CLIP4Clip"].average is None
    averages = [row.dataset_average for row in rows[1:]]
    assert averages == sorted(averages, reverse=True)


def test_a_misprint_is_told_beside_its_row() -> None:
    assert "GME-2B average 0.416" in Tags(make_page(report())).text


def test_only_the_published_sizes_count_as_the_benchmark() -> None:
    small = report()
    assert unlike_published(small) == [dataset.name for dataset in DATASETS]
    assert unlike_published(published_sizes(small)) == []
    assert ability_correlations(small, published()[0])[1] == 16
    matrix, count = ability_correlations(published_sizes(small), published()[0])
    assert count == 17
    assert matrix["S"]["S"] == pytest.approx(1)


def test_correlations_are_those_of_the_tables() -> None:
    matrix, _ = ability_correlations(report(), published()[0])
    assert matrix["PR"]["Average"] == pytest.approx(0.97, abs=0.01)  # the one that the paper prints and that follows
    assert matrix["S"]["T"] == pytest.approx(0.61, abs=0.01)


def test_the_radar_has_lines_only_between_scores() -> None:
    whole = radar_path(dict.fromkeys(ABILITIES, 0.5))
    assert whole.count("L") == 8
    assert whole.endswith("Z")
    assert whole.startswith(f"M200 {175 - RADIUS / 2:g}L")  # the first axis points upward
    part = radar_path({"TXT": 1.0, "CMP": 1.0, "CG": 1.0})
    assert part.count("L") == 1
    assert part.count("h0") == 2
    assert radar_path({}) == ""


def test_failures_are_the_worst_and_no_others(held: Held) -> None:
    found = scores(DATASETS[0], 0.5)
    (shown,) = show_failures([found], {"MSRVTT": benchmark(DATASETS[0], held)}, 42, shown=4)
    ranks = sorted((at for at in found.rank if at > 1), reverse=True)
    assert [each.rank for each in shown.shown] == ranks[:4]
    assert shown.failed == len(ranks)
    for each in shown.shown:
        assert each.right.name == f"v{each.query_id[1:]}"
        assert each.first.name == found.first[found.query_ids.index(each.query_id)][0] != each.right.name


def test_a_metric_that_looks_at_ten_results_fails_beyond_them() -> None:
    (dataset,) = named(["CMRB"])
    found = scores(dataset, 0.2)
    assert dataset.metric == "R@10"
    assert sorted(worst_queries(found, 1)) == [row for row, at in enumerate(found.rank) if at > 10]


def test_of_many_failures_the_seed_draws() -> None:
    found = scores(DATASETS[0], 0.0, queries=2 * DRAWN)
    assert len(worst_queries(found, 1)) == DRAWN
    assert worst_queries(found, 1) == worst_queries(found, 1) != worst_queries(found, 2)


def pictures(card: Failure) -> list[Thumbnail]:
    return [seen.thumbnail for seen in (*card.asked, card.first, card.right) if seen.thumbnail]


def test_pictures_stop_at_their_bound_and_every_dataset_has_its_turn(held: Held) -> None:
    pair = [DATASETS[0], DATASETS[1]]
    found = [scores(each, 0.3) for each in pair]
    made = {each.name: benchmark(each, held) for each in pair}
    first_turn = [seen for each in show_failures(found, made, 42, shown=1) for seen in pictures(each.shown[0])]
    assert len(first_turn) == 4
    room = sum(len(b64decode(str(seen.uri).partition(",")[2])) for seen in first_turn)
    few = show_failures(found, made, 42, most_bytes=room)
    assert [seen for each in few for seen in pictures(each.shown[0])] == first_turn
    rest = [seen for each in few for card in each.shown[1:] for seen in pictures(card)]
    assert len(rest) == 4 * (SHOWN - 1)
    assert {(seen.uri, seen.why) for seen in rest} == {(None, "left out, the page would be too big")}


def test_a_file_that_is_gone_is_told_in_its_place(held: Held) -> None:
    class Gone(Held):
        def read(self, name: str) -> bytes:
            raise RowError("missing_file", name)

    (shown,) = show_failures([scores(DATASETS[0], 0.3)], {"MSRVTT": benchmark(DATASETS[0], Gone(held.data))}, 42)
    assert {card.right.thumbnail.why for card in shown.shown} == {"no picture: missing_file"}


def test_a_broken_video_is_told_in_its_place(held: Held) -> None:
    made = benchmark(DATASETS[0], Held({**held.data, **{f"videos/{n}.mp4": b"no video" for n in range(6)}}))
    (shown,) = show_failures([scores(DATASETS[0], 0.3)], {"MSRVTT": made}, 42)
    assert {card.first.thumbnail.why[:10] for card in shown.shown} == {"no picture"}


def test_principal_axes_are_those_of_the_spread() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4000, 5)) * [0.1, 3, 0.1, 1, 0.1]
    axes, explained = principal_axes((points - points.mean(axis=0)).astype(np.float32))
    assert np.abs(axes - np.eye(5)[:, [1, 3]]).max() < 0.05
    assert explained == pytest.approx((0.9 - 0.003, 0.1), abs=0.01)


def test_the_plane_shows_the_gap_though_datasets_lie_apart() -> None:
    made = vectors(["MSRVTT", "DiDeMo", "CRB-G"], gap=1.5)
    space = draw_space(made)
    assert space is not None
    assert space.explained[0] > 2 * space.explained[1]
    for panel in space.panels:
        ((ax, bx),) = re.findall(r'class="gap" d="M([\d.]+) [\d.]+L([\d.]+) ', panel.picture)
        assert abs(float(ax) - float(bx)) > 40  # of 150


def test_the_gap_is_the_distance_of_the_means() -> None:
    queries, targets = np.zeros((200, 3), np.float32), np.zeros((100, 3), np.float32)
    queries[:, 0], targets[:, 1] = 1, 1
    space = draw_space({"MSRVTT": draw_vectors(queries, targets, 42)})
    assert space is not None
    assert space.panels[0].gap == pytest.approx(2**0.5)
    assert space.explained == pytest.approx((1, 0))
    assert space.panels[0].picture.count("v3.4") == POINTS  # of the 200
    assert draw_space({}) is None


def test_vectors_that_cannot_be_drawn_are_refused() -> None:
    some = np.ones((2, 3), np.float32)
    with pytest.raises(UsageError, match=r"queries \(2, 3\) and of targets \(0, 3\)"):
        draw_vectors(some, some[:0], 42)
    with pytest.raises(UsageError, match=r"queries \(2, 3\) and of targets \(2, 2\)"):
        draw_vectors(some, some[:, :2], 42)
    wide, narrow = draw_vectors(some, some, 42), draw_vectors(some[:, :2], some[:, :2], 42)
    with pytest.raises(UsageError, match="different lengths, 2, 3"):
        draw_space({"MSRVTT": wide, "DiDeMo": narrow})


def test_scaling_is_over_the_datasets_of_all_runs() -> None:
    runs = [report(DATASETS[:3]), report(DATASETS[1:], frames=16), report(frames=8, tokens=400)]
    found = scale(runs)
    assert found is not None
    assert found.datasets == ("DiDeMo", "CRB-G")
    assert [(row.frames, row.tokens) for row in found.rows] == [(8, 200), (16, 200), (8, 400)]
    expected = np.mean([runs[1].scores[name] for name in found.datasets])
    assert found.rows[1].dataset_average == pytest.approx(expected)
    assert found.lines == {200: "own", 400: "first"}


def test_scaling_refuses_what_does_not_compare() -> None:
    base = report(DATASETS[:2])
    with pytest.raises(UsageError, match="of one model, models/tiny-gve, not of other too"):
        scale([base, replace(report(DATASETS[:2], frames=16), model="other")])
    with pytest.raises(UsageError, match="two reports have 8 frames and 200 tokens"):
        scale([base, base])
    with pytest.raises(UsageError, match="no dataset in common"):
        scale([base, report(DATASETS[2:], frames=16)])
    assert scale([base]) is None


def test_it_is_written_where_it_is_told(tmp_path: Path) -> None:
    out = write_page(make_page(report(DATASETS[:1])), str(tmp_path / "new" / "uvrb.html"))
    assert Path(out).read_text().startswith("<!doctype html>")
    with pytest.raises(UsageError, match="not an HTML file"):
        write_page("", str(tmp_path))
    with pytest.raises(UsageError, match="no dataset"):
        make_page(report(()))
