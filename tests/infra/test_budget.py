"""Budgets: a run stops at its limit, keeps what it began, and the next one goes on."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from toy_runs import as_tuple, open_run, run_all, run_chain
from toy_stages import Ask, Batched, FirstOfLetter, Split, write_sources

from infra.budget import Budget, Prices, Spending
from infra.counts import Counts
from infra.errors import BudgetSpent, UsageError
from infra.pool import Pool
from infra.store import Store
from infra.tables import Tables, chain_links

ROWS = {f"k{i:03d}": "abc" for i in range(80)}
TOKENS_PER_UNIT = 2 * 100 + 4 * 3  # a unit of 4 rows is two batches


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(workers=2) as pool:
        yield pool


def test_a_run_stops_at_its_tokens_and_the_next_goes_on(tmp_path: Path, pool: Pool) -> None:
    write_sources(Store(str(tmp_path)), ROWS)
    stages = [Ask()]
    budget, prices = Budget(model_tokens=1000), Prices(million_tokens=500.0, currency="EUR")
    with open_run(tmp_path, stages, pool, budget=budget, prices=prices) as run:
        with pytest.raises(BudgetSpent, match=r"limit of 1,000 model tokens .*EUR.* rows pending: .* about .*tokens"):
            run_all(run, stages)
        stopped = run.tables.counts("ask")
        units = stopped.parents // 4
        assert 5 <= units <= 7, "5 units reach the limit; each of two workers may have one more under way"
        assert stopped.tokens == run.spending.tokens == units * TOKENS_PER_UNIT
        assert run.spending.money == pytest.approx(stopped.tokens / 1e6 * 500)
        with pytest.raises(BudgetSpent):
            run_all(run, stages)
        assert as_tuple(run.tables.counts("ask")) == as_tuple(stopped), "a spent budget starts nothing"
    _, [counts] = run_chain(tmp_path, stages, pool)
    assert as_tuple(counts) == (80, 80, 0, 0, 0)
    assert counts.tokens == 20 * TOKENS_PER_UNIT


def test_a_table_stage_does_not_start_on_a_spent_budget(tmp_path: Path, pool: Pool) -> None:
    write_sources(Store(str(tmp_path)), {"a": "pq"})
    stages = [Split(), Batched(), FirstOfLetter()]
    run_chain(tmp_path, stages[:2], pool)
    spent = Budget(hours=1e-9)
    with (
        open_run(tmp_path, stages, pool, budget=spent) as run,
        pytest.raises(BudgetSpent, match="Stage first has 2 of 2 rows pending"),
    ):
        run_all(run, stages)
    run_chain(tmp_path, stages, pool)
    with open_run(tmp_path, stages, pool, budget=spent) as run:
        assert as_tuple(run_all(run, stages)[2]) == (2, 2, 0, 0, 0), "what is done costs nothing"


def test_parts_from_before_tokens_were_counted_are_read(tmp_path: Path, pool: Pool) -> None:
    write_sources(Store(str(tmp_path)), {"a": "pq", "b": "r"})
    run_chain(tmp_path, [Split()], pool)
    for path in tmp_path.glob("stages/*/parts/*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns("tokens"), path)
    links = chain_links([Split()])
    with Tables(Store(str(tmp_path)), links) as tables:
        assert as_tuple(tables.counts("split")) == (2, 3, 0, 0, 0)
        assert tables.counts("split").tokens == 0
    write_sources(Store(str(tmp_path)), {"a": "pq", "b": "r", "c": "s"})
    _, [counts] = run_chain(tmp_path, [Split()], pool)
    assert as_tuple(counts) == (3, 4, 0, 0, 0)


def test_money_and_hours_are_limits_and_estimates_are_plain() -> None:
    spending = Spending(Budget(money=3.0), Prices(worker_hour=2.0))
    counts = Counts("x", 100, 10, 10, 0, 0, 90, 360.0, 0)  # 36 s a row, 90 rows to go
    spending.seconds = 3600.0
    spending.check(counts, 2)
    spending.seconds = 5400.0
    with pytest.raises(
        BudgetSpent, match=r"3 USD .*90 of 100 rows pending: .* 0\.45 hours with 2 workers, 0\.90 worker"
    ):
        spending.check(counts, 2)
    with pytest.raises(BudgetSpent, match="not known"):
        spending.check(Counts("x", 100, 0, 0, 0, 0, 100, 0.0, 0), 0)
    with pytest.raises(UsageError, match=r"prices\.worker_hour"):
        Spending(Budget(money=1.0), Prices())
