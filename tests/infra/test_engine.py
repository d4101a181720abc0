"""The engine on real Ray: sums, resume, crashes, deadlines, groups, changes."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from toy_runs import as_tuple, open_run, run_all, run_chain
from toy_stages import Batched, FirstOfLetter, HangingSplit, Join, Pairing, Split, Unable, liar, write_sources

from infra.errors import RunFailed, StaleLease
from infra.pool import Pool
from infra.released import recall, remember
from infra.stage import Drop, Row, Stage, TableStage
from infra.store import Store
from infra.tables import chain_links
from infra.worker import apply
from shards.layout import Layout


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(workers=2) as pool:
        yield pool


def test_every_row_ends_in_one_place(tmp_path: Path, pool: Pool) -> None:
    """A segfault, a fault, a defect and a drop cost one row each; the sums reconcile."""
    captions = {f"k{i:02d}": "ab" for i in range(20)}
    captions |= {"k03": "segfault", "k07": "bad", "k11": "bug", "k13": "drop", "k17": "segfault"}
    write_sources(Store(str(tmp_path)), captions)
    tables, [counts] = run_chain(tmp_path, [Split()], pool)
    assert as_tuple(counts) == (20, 30, 1, 4, 0)
    reasons = tables.query("SELECT key, reason FROM settled_split WHERE status <> 'out' ORDER BY key")
    assert [tuple(r.values()) for r in reasons] == [
        ("k03", "worker_died"),
        ("k07", "bad_caption"),
        ("k11", "unexpected_ZeroDivisionError"),
        ("k13", "unwanted"),
        ("k17", "worker_died"),
    ]


def test_a_row_past_its_deadline_is_quarantined(tmp_path: Path, pool: Pool) -> None:
    write_sources(Store(str(tmp_path)), {"a": "hang", "b": "ab"})
    tables, [counts] = run_chain(tmp_path, [HangingSplit()], pool)
    assert as_tuple(counts) == (2, 2, 0, 1, 0)
    assert tables.query("SELECT reason FROM settled_split WHERE status = 'quarantined'") == [{"reason": "deadline"}]


def test_what_was_released_is_not_given_up_for_what_comes_later(tmp_path: Path, pool: Pool) -> None:
    """A row that sorts before a released one and equals it would have won; elsewhere the first still does."""
    store, stages = Store(str(tmp_path)), [Split(), Batched(), FirstOfLetter(), Join()]
    write_sources(store, {"m": "pq"})
    with open_run(tmp_path, stages, pool) as run:
        run_all(run, stages)
        remember(run.tables, stages, [], "one")
    write_sources(store, {"m": "pq", "a": "pr", "b": "r"})
    with open_run(tmp_path, stages, pool, releases=["one"]) as run:
        run_all(run, stages)
        assert run.tables.query("SELECT key, reason FROM settled_first ORDER BY key") == [
            {"key": "a-0", "reason": "duplicate"},
            {"key": "a-1", "reason": None},
            {"key": "b-0", "reason": "duplicate"},
            {"key": "m-0", "reason": None},
            {"key": "m-1", "reason": None},
        ]
        remember(run.tables, stages, ["one"], "two")
        first = stages[2]
        assert isinstance(first, TableStage)
        assert recall(run.tables, first, ["two"])["key"].to_pylist() == ["a-1"], "what is new in it"
        assert recall(run.tables, first, ["one", "two"])["key"].to_pylist() == ["a-1", "m-0", "m-1"]
        assert recall(run.tables, first, ["never published"]).num_rows == 0


def test_a_table_made_before_another_release_heeds_where_that_put_things(tmp_path: Path, pool: Pool) -> None:
    """All that was released comes out of the table anyway, but in other places: what tells rows apart is heeded."""
    store = Store(str(tmp_path))
    finer, whole = ([Pairing(), Layout(val_share=0, test_share=0, shard_bytes=n)] for n in (2, 100))

    def places(stages: list[Stage], releases: Sequence[str], publish: str = "") -> list[Row]:
        with open_run(tmp_path, stages, pool, releases=releases) as run:
            run_all(run, stages)
            if publish:
                remember(run.tables, stages, releases, publish)
            return run.tables.query("SELECT key, shard, position FROM out_layout ORDER BY key")

    write_sources(store, dict.fromkeys("abcd", ""))
    cut_fine = places(finer, [])
    write_sources(store, dict.fromkeys("abc", ""))
    published = places(whole, [], publish="one")
    write_sources(store, dict.fromkeys("abcd", ""))
    assert places(finer, []) == cut_fine, "nothing is released, nothing has changed"
    again = places(finer, ["one"], publish="two")
    assert [row for row in again if row["key"] != "d"] == published != cut_fine[:3]
    assert places(finer, ["one", "two"]) == again


def test_finished_work_is_not_redone(tmp_path: Path, pool: Pool) -> None:
    """New rows are worked alone, a changed setting redoes its stage and what follows, nothing before."""
    store = Store(str(tmp_path))
    write_sources(store, {"a": "pq", "b": "r"})
    stages = [Split(), Batched(), FirstOfLetter(), Join()]
    tables, counts = run_chain(tmp_path, stages, pool)
    assert [as_tuple(c) for c in counts] == [(2, 3, 0, 0, 0), (3, 3, 0, 0, 0), (3, 3, 0, 0, 0), (2, 2, 0, 0, 0)]
    assert tables.query("SELECT key, text FROM out_join ORDER BY key") == [
        {"key": "even", "text": "PR"},
        {"key": "odd", "text": "Q"},
    ]
    before = _mtimes(tmp_path)
    run_chain(tmp_path, stages, pool)
    assert _mtimes(tmp_path) == before
    write_sources(store, {"a": "pq", "b": "r", "c": "ps"})
    tables, counts = run_chain(tmp_path, stages, pool)
    assert as_tuple(counts[2]) == (5, 4, 1, 0, 0)
    assert {p: t for p, t in _mtimes(tmp_path).items() if p in before and "/first-" not in p} == {
        p: t for p, t in before.items() if "/first-" not in p
    }
    changed = chain_links([Split(), Batched(), FirstOfLetter(), Join()])
    other = chain_links([Split(suffix="!"), Batched(), FirstOfLetter(), Join()])
    assert not {link.folder for link in changed[1:]} & {link.folder for link in other[1:]}


def _mtimes(root: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in root.glob("stages/*-*/parts/*.parquet")}


def test_rows_of_inputs_that_left_are_ignored(tmp_path: Path, pool: Pool) -> None:
    store = Store(str(tmp_path))
    write_sources(store, {"a": "pq", "b": "r"})
    run_chain(tmp_path, [Split()], pool)
    write_sources(store, {"b": "r"})
    _, [counts] = run_chain(tmp_path, [Split()], pool)
    assert as_tuple(counts) == (1, 1, 0, 0, 0)


def test_a_batch_that_fails_costs_only_its_bad_rows(tmp_path: Path, pool: Pool) -> None:
    write_sources(Store(str(tmp_path)), {"a": "bcxde", "b": "fghi"})
    _, counts = run_chain(tmp_path, [Split(), Batched()], pool)
    assert as_tuple(counts[1]) == (9, 8, 0, 1, 0)


def test_a_stale_commit_of_the_same_rows_counts_once(tmp_path: Path, pool: Pool) -> None:
    write_sources(Store(str(tmp_path)), {"a": "pq", "b": "r"})
    run_chain(tmp_path, [Split()], pool)
    parts = list(tmp_path.glob("stages/split-*/parts/unit-*.parquet"))
    for part in parts:
        part.with_name(part.name.replace("unit-", "unit-stale")).write_bytes(part.read_bytes())
    _, [counts] = run_chain(tmp_path, [Split()], pool)
    assert as_tuple(counts) == (2, 3, 0, 0, 0)


def test_a_yield_under_the_floor_fails_loudly(tmp_path: Path, pool: Pool) -> None:
    write_sources(Store(str(tmp_path)), {"a": "drop", "b": "bad", "c": "ab"})
    with pytest.raises(RunFailed, match=r"kept 1 of 3 rows.*bad_caption 1, unwanted 1"):
        run_chain(tmp_path, [Split()], pool, min_yield=0.5)


def test_a_stage_that_cannot_open_fails_the_run(tmp_path: Path, pool: Pool) -> None:
    write_sources(Store(str(tmp_path)), {"a": "ab"})
    with pytest.raises(RunFailed, match="no model here"):
        run_chain(tmp_path, [Unable()], pool)


def test_a_worker_opens_a_stage_once(tmp_path: Path, pool: Pool) -> None:
    opened = tmp_path / "opened"
    opened.mkdir()
    write_sources(Store(str(tmp_path)), {f"k{i}": "a" for i in range(30)})
    run_chain(tmp_path, [Split(opened=str(opened))], pool)
    assert len(list(opened.iterdir())) == 2


def test_a_run_that_lost_the_lake_cannot_commit(tmp_path: Path, pool: Pool) -> None:
    """Another run takes the lake over while workers are busy: neither they nor their driver write again."""
    store = Store(str(tmp_path))
    write_sources(store, {f"k{i:02d}": "ab" for i in range(40)})
    with ThreadPoolExecutor(1) as thread:
        stale = thread.submit(run_chain, tmp_path, [Split(pause_s=0.2)], pool)
        while len(_mtimes(tmp_path)) < 3:
            time.sleep(0.01)
        assert store.create("lease/00000002.json", b"{}")
        taken = {path.name for path in tmp_path.glob("stages/split-*/*/**/*")}
        with pytest.raises((StaleLease, RunFailed), match="no longer the lake's"):
            stale.result()
    late = {path.name for path in tmp_path.glob("stages/split-*/*/**/*")} - taken
    assert len(late) <= 3, "more than the one write that each process had under way"
    assert len(taken) < 80


def test_answers_must_be_for_the_rows_asked() -> None:
    rows: list[Row] = [{"key": "a"}]
    [fault] = apply(liar, rows, 1, int).outcomes
    assert getattr(fault, "reason", "") == "foreign_answer"
    [fault] = apply(lambda rows: [], rows, 1, int).outcomes
    assert getattr(fault, "reason", "") == "no_answer"
    both = lambda rows: [{"key": "a1", "parent": "a"}, Drop("a", "no")]  # noqa: E731
    [fault] = apply(both, rows, 1, int).outcomes
    assert getattr(fault, "reason", "") == "two_answers"
