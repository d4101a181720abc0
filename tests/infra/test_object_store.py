"""Lakes on S3, against a real endpoint: one writer wins, readers see all or nothing, refusals are plain."""

import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from s3_server import S3Server
from toy_stages import Split, write_sources

from infra.errors import LakeBusy, RowError, RunFailed, StaleLease
from infra.faults import cannot_reach
from infra.lake import requeue
from infra.lease import Lease, hold_lease
from infra.listing import find_files
from infra.stage import Fault, Outcome
from infra.store import Store, open_source
from infra.tables import (
    Link,
    Tables,
    chain_links,
    connect,
    has_table,
    part_table,
    read_parts,
    replace_table,
    write_part,
)
from infra.workspace import LakeWorkspace


@pytest.fixture
def lake(s3: S3Server) -> Store:
    return Store(f"{s3.bucket()}/some/lake")


def test_names_are_written_listed_shared_and_removed(lake: Store, tmp_path: Path) -> None:
    assert lake.list("parts") == []
    assert not lake.exists("parts/a")
    lake.write("parts/a", b"one")
    lake.write("parts/a", b"two")
    lake.write("parts/empty", b"")
    (tmp_path / "large").write_bytes(b"bytes" * 10**6)
    lake.put("parts/deep/large", tmp_path / "large")
    lake.share("parts/a", "release/a")
    lake.remove("parts/a")
    again: Store = pickle.loads(pickle.dumps(lake))
    assert again.list("parts") == ["parts/deep", "parts/empty"]
    assert again.read("release/a") == b"two"
    assert again.read("parts/empty") == b""
    assert again.size("parts/deep/large") == 5 * 10**6
    assert again.exists("release/a")
    assert not again.exists("parts/a")
    with pytest.raises(FileNotFoundError):
        again.read("parts/a")
    found = find_files(f"{lake.url}/parts")
    assert [file.url for file in found] == [lake.location(name) for name in ("parts/deep/large", "parts/empty")]
    with open_source(lake.location("release/a")) as file:
        assert file.read() == b"two"


def test_what_another_process_wrote_is_seen_at_once(lake: Store) -> None:
    """A listing that has not seen a file does not hide it."""
    lake.write("parts/a", b"1")
    assert lake.list("parts") == ["parts/a"]
    script = "import sys; from infra.store import Store; Store(sys.argv[1]).write('parts/b', b'2')"
    subprocess.run([sys.executable, "-c", script, lake.url], check=True)
    assert lake.list("parts") == ["parts/a", "parts/b"]
    assert lake.exists("parts/b")
    assert [file.url for file in find_files(f"{lake.url}/parts/*")] == [
        lake.location(name) for name in ("parts/a", "parts/b")
    ]


def test_one_of_many_writers_creates_a_name(lake: Store) -> None:
    contents = [str(number).encode() for number in range(16)]
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda data: lake.create("published/1", data), contents))
    assert won.count(True) == 1
    assert lake.read("published/1") == contents[won.index(True)]


def test_a_reader_sees_one_whole_content_or_the_other(lake: Store, tmp_path: Path) -> None:
    size = 8 * 2**20
    for letter in "ab":
        (tmp_path / letter).write_bytes(letter.encode() * size)
    lake.put("x", tmp_path / "a")
    stop = threading.Event()

    def replace() -> None:
        while not stop.is_set():
            lake.write("x", b"b" * size)
            lake.put("x", tmp_path / "a")

    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(replace)
        seen = {lake.read("x") for _ in range(12)}
        stop.set()
        writing.result()
    assert seen <= {b"a" * size, b"b" * size}


def test_the_lease_has_one_holder(lake: Store) -> None:
    with hold_lease(lake) as first:
        first.check(lake)
        with pytest.raises(LakeBusy, match=f"process {os.getpid()}"), hold_lease(lake):
            pass
    with hold_lease(lake) as second:
        assert second.number == first.number + 1


HOLDER = """
import sys, time
from infra.lease import hold_lease
from infra.store import Store
with hold_lease(Store(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_holder_is_replaced_and_fenced_off(lake: Store) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, lake.url], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"held\n"
        owner.kill()
    stale = LakeWorkspace(lake.url, "stages/x", Lease(1))
    stale.save("before.txt", b"the lake is still its own")
    with hold_lease(lake):
        with pytest.raises(StaleLease):
            stale.save("after.txt", b"too late")
        assert not lake.exists("stages/x/media/af/after.txt")


def test_a_lease_whose_answer_was_lost_is_held_all_the_same(s3: S3Server, lake: Store) -> None:
    """The PUT is sent again and told that the name is taken: by itself."""
    s3.lose_answers = 1
    with hold_lease(lake) as lease:
        assert lease.number == 1
        assert s3.lose_answers == 0


def test_a_store_that_ignores_conditions_is_no_place_for_a_lake(s3: S3Server, lake: Store) -> None:
    s3.conditions = False
    try:
        with pytest.raises(RunFailed, match="If-None-Match"), hold_lease(lake):
            pass
    finally:
        s3.conditions = True


def test_saving_media_asks_for_no_listing(s3: S3Server, lake: Store) -> None:
    """What a worker does for every row takes as many requests in a lake of millions."""
    lake.write("lease/00000001.json", b"")
    workspace = LakeWorkspace(lake.url, "stages/x", Lease(1))
    s3.requests.clear()
    path = workspace.save("clip.mp4", b"clip")
    assert workspace.read(path) == b"clip"
    assert workspace.recall("answers/1") is None
    workspace.keep("answers/1", b"a")
    assert workspace.recall("answers/1") == b"a"
    methods = [request.partition(" ")[0] for request in s3.requests]
    assert methods == ["GET", "PUT", "GET", "GET", "GET", "PUT", "GET"]  # before every write, one GET for the lease
    assert s3.listings() == []


def _story(store: Store) -> list[object]:
    """What tables tell of a small chain, as rows are committed, requeued and replaced."""
    stage = Split()
    links = chain_links([stage])
    write_sources(store, {"a": "xy", "b": "bad", "c": "z"})
    told: list[object] = []
    rows: list[Outcome] = [
        {"key": "a0", "parent": "a", "letter": "x", "opened_by": 1},
        {"key": "a1", "parent": "a", "letter": "y", "opened_by": 1},
        Fault("b", "bad_row", "it is bad"),
    ]
    with Tables(store, links[:1]) as tables:
        tables.begin(links[1], stage.schema)
        told.append(tables.counts("split"))
        write_part(store, links[1], "unit-1", part_table(stage.schema, rows))
        told.append(tables.counts("split"))
        write_part(store, links[1], "unit-2", part_table(stage.schema, [dict(rows[0], key="c0", parent="c")]))
        told.append(tables.counts("split"))
        told.append(tables.table("out_split", ("parent", "letter")).to_pylist())
    with hold_lease(store) as lease:
        told.append(requeue(store, lease, links, None, "bad_row"))
    with Tables(store, links) as tables:
        told.append(tables.counts("split"))
        replace_table(store, links[1], "all", part_table(stage.schema, rows))
        told.append(tables.counts("split"))
    told.append(has_table(store, links[1], "all"))
    return told


def test_tables_tell_the_same_on_s3(lake: Store, tmp_path: Path) -> None:
    assert _story(lake) == _story(Store(str(tmp_path)))


def test_a_query_lists_once_and_sees_what_was_committed_since(s3: S3Server, lake: Store) -> None:
    """DuckDB wants to know each part's size many times; the listings have told it."""
    links = (Link("split", "stages/split", ()), Link("join", "stages/join", ()))
    write = partial(lake.write_table, rows=pa.table({"key": ["a"]}))
    for link in links:
        for number in range(3):
            write(f"{link.folder}/parts/{number}.parquet")
    counting = "SELECT " + ", ".join(f"(SELECT count(*) FROM ({read_parts(lake, link)}))" for link in links)
    s3.requests.clear()
    with connect(lake) as db:
        assert db.execute(counting).fetchall() == [(3, 3)]
        write("stages/split/parts/3.parquet")
        assert db.execute(counting).fetchall() == [(4, 3)]
    assert len(s3.listings()) == 3  # a folder that was not written to is not listed again
    assert [request for request in s3.requests if request.startswith("HEAD")] == []


def test_a_bucket_that_does_not_exist_is_named(s3: S3Server) -> None:
    nowhere = Store("s3://uvr-no-such-bucket/lake")
    wanted = r"s3://uvr-no-such-bucket.* is in a bucket that does not exist: create"
    with pytest.raises(RunFailed, match=wanted):
        nowhere.write("a", b"")
    with pytest.raises(RunFailed, match=wanted), hold_lease(nowhere):
        pass
    with pytest.raises(RowError, match=r"refused.*create the bucket"):
        LakeWorkspace("memory://elsewhere", "x").read("s3://uvr-no-such-bucket/video.mp4")


@pytest.mark.parametrize(
    ("before", "variables", "said"),
    [
        ("", {"AWS_ACCESS_KEY_ID": "stranger"}, "does not know these credentials: correct AWS_ACCESS_KEY_ID"),
        ("", {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "wants credentials and there are none: set"),
        ("sys.modules['s3fs'] = None", {}, "pip install 'universal-video-retrieval[s3]'"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    lake: Store, tmp_path: Path, before: str, variables: dict[str, str | None], said: str
) -> None:
    changed = {**os.environ, "HOME": str(tmp_path), **variables}
    environment = {name: value for name, value in changed.items() if value is not None}
    script = f"import sys; {before}\nfrom flows.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "status", "--lake", lake.url],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (1, 2), done.stdout
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: s3://")
    assert said in done.stderr


def test_an_endpoint_that_cannot_be_connected_to_may_come_back() -> None:
    from botocore.exceptions import ClientError, EndpointConnectionError

    assert cannot_reach(EndpointConnectionError(endpoint_url="http://127.0.0.1:1"))
    for status, may_come_back in ((503, True), (429, True), (404, False), (403, False)):
        answer = {"Error": {"Code": str(status)}, "ResponseMetadata": {"HTTPStatusCode": status}}
        assert cannot_reach(ClientError(answer, "PutObject")) == may_come_back
