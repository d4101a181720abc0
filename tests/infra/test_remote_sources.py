"""Sources on web servers that come late, are in trouble, or never come."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from late_server import Server
from toy_runs import as_tuple, open_run, run_all
from toy_stages import Fetch, write_sources

from infra.errors import EndpointDown
from infra.lake import requeue
from infra.listing import find_files
from infra.pool import Pool
from infra.store import Store, open_source, read_source
from infra.tables import chain_links


@pytest.fixture
def server() -> Server:
    return Server({"/a.mp4": b"abc", "/b.mp4": b"de"})


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(workers=2) as pool:
        yield pool


def test_a_server_that_comes_late_is_waited_for(server: Server) -> None:
    with server.serving(after_s=1.0):
        assert read_source(f"{server.url}/a.mp4") == b"abc"
    with server.serving(after_s=0.5):
        [found] = find_files(f"{server.url}/b.mp4")
    assert (found.url, found.size_bytes) == (f"{server.url}/b.mp4", 2)


def test_a_server_in_trouble_is_asked_again(server: Server) -> None:
    with server.serving():
        server.trouble = 5
        with open_source(f"{server.url}/a.mp4") as file:
            assert file.read() == b"abc"
        server.trouble = 3
        assert [file.size_bytes for file in find_files(f"{server.url}/a.mp4")] == [3]


@pytest.mark.parametrize("path", ["/none.mp4", "/secret.mp4"])
def test_a_clear_no_is_taken_for_an_answer(server: Server, path: str) -> None:
    with server.serving():
        with pytest.raises(FileNotFoundError):
            read_source(server.url + path)
        asked = server.seen[path]
        assert find_files(server.url + path) == []
        assert asked <= 2, "HEAD and GET, but no second try"


def test_without_patience_a_server_that_is_down_is_said_so_at_once(server: Server) -> None:
    with pytest.raises(EndpointDown, match=r"a\.mp4 cannot be reached: .*refused|Connect call failed"):
        find_files(f"{server.url}/a.mp4", patience_s=0.0)


def test_rows_that_could_not_be_reached_are_done_when_the_server_is_back(
    tmp_path: Path, server: Server, pool: Pool
) -> None:
    stages = [Fetch()]
    links = chain_links(stages)
    write_sources(Store(str(tmp_path)), {"a.mp4": "", "b.mp4": ""}, server.url)
    with open_run(tmp_path, stages, pool, min_yield=0.0) as run:
        [counts] = run_all(run, stages)
        assert as_tuple(counts) == (2, 0, 0, 2, 0)
        reasons = run.tables.query("SELECT DISTINCT reason FROM settled_fetch")
        assert reasons == [{"reason": "unreachable"}]
        assert requeue(run.store, run.lease, links, None, "missing_file") == 0
        assert requeue(run.store, run.lease, links, None, "unreachable") == 2
        with server.serving():
            [counts] = run_all(run, stages)
        assert as_tuple(counts) == (2, 2, 0, 0, 0)
        assert run.tables.query("SELECT key, text FROM out_fetch ORDER BY key") == [
            {"key": "a.mp4", "text": "abc"},
            {"key": "b.mp4", "text": "de"},
        ]
