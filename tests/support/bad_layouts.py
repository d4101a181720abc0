"""What can be wrong with a dataset laid out as UVRB: how to spoil one, and the line that tells it."""

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

from uvrb_layout import VIDEO, as_tar, as_zip, rows_of, write, write_rows

from eval.uvrb.assemble import CORPUS, INSTANCES, QUERIES


def changed(folder: Path, table: str, line: int, **values: object) -> None:
    """Other values in one line of a table; None takes one out."""
    rows = rows_of(folder, table)
    rows[line - 1] = {key: value for key, value in {**rows[line - 1], **values}.items() if value is not None}
    write_rows(folder, table, rows)


def added(folder: Path, table: str, line: bytes) -> None:
    with (folder / f"jsonl/{table}.jsonl").open("ab") as file:
        file.write(line + b"\n")


# By name: a dataset, what spoils it, and how the problem's line begins.
BAD = {
    "missing video": (
        "MSRVTT",
        lambda at: (at / "videos/clip1.mp4").unlink(),
        "jsonl/corpus.jsonl, line 2, id 'v1': videos/clip1.mp4 and videos_frames/clip1/*.jpg are not there: add",
    ),
    "missing image": (
        "MS-TI",
        lambda at: (at / "images/q1.jpg").unlink(),
        "jsonl/queries.jsonl, line 2, id 'q1': images/q1.jpg is not there: add it",
    ),
    "missing video of a query": (
        "LoVR-C2V",
        lambda at: (at / "videos/q2.mp4").unlink(),
        "jsonl/queries.jsonl, line 3, id 'q2': videos/q2.mp4 and",
    ),
    "empty video": (
        "MSRVTT",
        lambda at: write(at / "videos/clip1.mp4", b""),
        "line 2, id 'v1': videos/clip1.mp4 is empty",
    ),
    "empty frame": (
        "MSRVTT",
        lambda at: ((at / "videos/clip1.mp4").unlink(), write(at / "videos_frames/clip1/1.jpg", b"")),
        "line 2, id 'v1': videos_frames/clip1/1.jpg is empty",
    ),
    "a page instead of a video": (
        "MSRVTT",
        lambda at: write(at / "videos/clip1.mp4", b"<!DOCTYPE html>"),
        "line 2, id 'v1': videos/clip1.mp4 does not begin as a video does (b'<!DOCTYP')",
    ),
    "a video instead of an image": (
        "MSRVTT-I2V",
        lambda at: write(at / "images/q0.jpg", VIDEO),
        "line 1, id 'q0': images/q0.jpg does not begin as a picture does",
    ),
    "a folder instead of a video": (
        "MSRVTT",
        lambda at: ((at / "videos/clip1.mp4").unlink(), (at / "videos/clip1.mp4").mkdir()),
        "id 'v1': videos/clip1.mp4 and",
    ),
    "a name that no disk takes": (
        "MSRVTT",
        lambda at: changed(at, "corpus", 1, video="x" * 5000),
        "line 1, id 'v0': ",
    ),
    "unknown query": (
        "MSRVTT",
        lambda at: added(at, "instances", b'{"qid": "q9", "pos": ["v0"]}'),
        "jsonl/instances.jsonl, line 4, id 'q9': is no query's: take the line out",
    ),
    "unknown positive": (
        "MSRVTT",
        lambda at: changed(at, "instances", 2, pos=["v1", "v9"]),
        "jsonl/instances.jsonl, line 2, id 'q1': names the video 'v9', which jsonl/corpus.jsonl has not",
    ),
    "unknown candidate": (
        "MS-TI",
        lambda at: changed(at, "instances", 2, neg=["v9"]),
        "line 2, id 'q1': names the video 'v9'",
    ),
    "query twice": (
        "MSRVTT",
        lambda at: added(at, "queries", b'{"id": "q1", "text": "again"}'),
        "jsonl/queries.jsonl, line 4, id 'q1': stands in line 2 already",
    ),
    "video twice": (
        "MSRVTT",
        lambda at: added(at, "corpus", b'{"id": "v0", "video": "clip1.mp4"}'),
        "jsonl/corpus.jsonl, line 4, id 'v0': stands in line 1 already",
    ),
    "instance twice": (
        "MSRVTT",
        lambda at: added(at, "instances", b'{"qid": "q0", "pos": ["v1"]}'),
        "jsonl/instances.jsonl, line 4, id 'q0': stands in line 1 already",
    ),
    "positive twice": (
        "MSRVTT",
        lambda at: changed(at, "instances", 1, pos=["v0", "v0"]),
        "line 1, id 'q0': `pos` holds 'v0' twice: leave one",
    ),
    "query without instance": (
        "MSRVTT",
        lambda at: added(at, "queries", b'{"id": "q7", "text": "unanswered"}'),
        "jsonl/queries.jsonl, line 4, id 'q7': has no answer: add its line to jsonl/instances.jsonl",
    ),
    "query without positive": (
        "MSRVTT",
        lambda at: changed(at, "instances", 1, pos=[]),
        "jsonl/instances.jsonl, line 1, id 'q0': has no `pos`",
    ),
    "no candidates": (
        "MS-TV",
        lambda at: changed(at, "instances", 3, neg=None),
        "jsonl/instances.jsonl, line 3, id 'q2': has no `neg`: P@1 chooses among",
    ),
    "right and wrong": (
        "MS-TV",
        lambda at: changed(at, "instances", 1, neg=["v0", "v1"]),
        "line 1, id 'q0': 'v0' is right and wrong",
    ),
    "positives that are no list": (
        "MSRVTT",
        lambda at: changed(at, "instances", 1, pos="v0"),
        "line 1, id 'q0': `pos` is no list of ids",
    ),
    "text query with an image": (
        "MSRVTT",
        lambda at: changed(at, "queries", 1, image="q.jpg"),
        "jsonl/queries.jsonl, line 1, id 'q0': a query of MSRVTT is text: take its image out",
    ),
    "composed query without text": (
        "MS-TI",
        lambda at: changed(at, "queries", 2, text=" "),
        "line 2, id 'q1': a query of MS-TI is text and image: give it its text",
    ),
    "image query with a video instead": (
        "MSRVTT-I2V",
        lambda at: changed(at, "queries", 2, image=None, video="clip1.mp4"),
        "line 2, id 'q1': a query of MSRVTT-I2V is image: give it its image, take its video out",
    ),
    "text that is a number": (
        "MSRVTT",
        lambda at: changed(at, "queries", 1, text=3),
        "line 1, id 'q0': `text` is no text: 3",
    ),
    "half a character": (
        "MSRVTT",
        lambda at: changed(at, "queries", 1, text="a \ud83d"),
        "line 1, id 'q0': `text` has half a character at 3",
    ),
    "video without a file": (
        "MSRVTT",
        lambda at: changed(at, "corpus", 2, video=None),
        "jsonl/corpus.jsonl, line 2, id 'v1': has no `video`",
    ),
    "no id": (
        "MSRVTT",
        lambda at: added(at, "corpus", b'{"video": "clip1.mp4"}'),
        "jsonl/corpus.jsonl, line 4: has no `id`",
    ),
    "id of another kind": (
        "MSRVTT",
        lambda at: added(at, "queries", b'{"id": true, "text": "x"}'),
        "jsonl/queries.jsonl, line 4: `id` holds true, which is no id",
    ),
    "wrong JSON": (
        "MSRVTT",
        lambda at: added(at, "queries", b'{"id": "q3", "text": }'),
        "jsonl/queries.jsonl, line 4: is not JSON (Expecting value, column 22)",
    ),
    "a line cut off": (
        "MSRVTT",
        lambda at: write(at / QUERIES, (at / QUERIES).read_bytes()[:-8]),
        "jsonl/queries.jsonl, line 3: is not JSON (Unterminated string",
    ),
    "JSON that is no object": (
        "MSRVTT",
        lambda at: added(at, "instances", b'["q0", "v0"]'),
        "jsonl/instances.jsonl, line 4: is JSON, but no object",
    ),
    "a number without end": (
        "MSRVTT",
        lambda at: added(at, "corpus", b'{"id": ' + b"1" * 5000 + b"}"),
        "jsonl/corpus.jsonl, line 4: is JSON that cannot be read",
    ),
    "no UTF-8": (
        "MSRVTT",
        lambda at: added(at, "queries", b'{"id": "q3", "text": "\xe9"}'),
        "jsonl/queries.jsonl, line 4: is not UTF-8 (byte 23)",
    ),
    "empty queries": ("MSRVTT", lambda at: write(at / QUERIES, b""), "jsonl/queries.jsonl: is empty"),
    "empty corpus": ("MSRVTT", lambda at: write(at / CORPUS, b"\n\n"), "jsonl/corpus.jsonl: is empty"),
    "empty instances": ("MSRVTT", lambda at: write(at / INSTANCES, b""), "jsonl/instances.jsonl: is empty"),
    "no corpus": ("MSRVTT", lambda at: (at / CORPUS).unlink(), "jsonl/corpus.jsonl: is not there: add it"),
    "a path upward": (
        "MSRVTT",
        lambda at: changed(at, "corpus", 1, video="videos/../../secret.mp4"),
        "line 1, id 'v0': 'videos/../../secret.mp4' is no name inside the dataset",
    ),
    "an absolute path": (
        "MSRVTT-I2V",
        lambda at: changed(at, "queries", 1, image="/etc/passwd"),
        "line 1, id 'q0': '/etc/passwd' is no name inside the dataset",
    ),
    "a path of another system": (
        "MSRVTT",
        lambda at: changed(at, "corpus", 1, video="..\\secret.mp4"),
        "line 1, id 'v0': '..\\\\secret.mp4' is no name inside the dataset",
    ),
    "a name with a zero": (
        "MSRVTT",
        lambda at: changed(at, "corpus", 1, video="clip0.mp4\0"),
        "line 1, id 'v0': 'clip0.mp4\\x00' is no name inside the dataset",
    ),
    "archive that is none": (
        "MSRVTT",
        lambda at: (shutil.rmtree(at), write(at.with_name("MSRVTT.zip"), b"no zip")),
        "MSRVTT.zip cannot be read as zip",
    ),
    "archive of media cut off": (
        "MSRVTT",
        lambda at: cut_off(as_tar(at / "videos")),
        "videos.tar cannot be read as tar",
    ),
    "archive in another form": (
        "MSRVTT",
        lambda at: (shutil.rmtree(at), write(at.with_name("MSRVTT.tar.gz"), b"\x1f\x8b")),
        "MSRVTT.tar.gz: is in a form that is not read: unpack it",
    ),
    "member that leads out of a zip": (
        "MSRVTT",
        lambda at: append_to_zip(as_zip(at), "../evil.mp4"),
        "MSRVTT.zip: '../evil.mp4' leads out of the archive",
    ),
    "member that leads out of a tar": (
        "MSRVTT",
        lambda at: append_to_tar(as_tar(at / "videos"), "/tmp/evil.mp4"),
        "videos.tar: '/tmp/evil.mp4' leads out of the archive",
    ),
    "member twice": (
        "MSRVTT",
        lambda at: append_to_tar(as_tar(at / "videos"), "clip0.mp4"),
        "videos.tar: 'clip0.mp4' stands twice in the archive",
    ),
    "archive in an archive": (
        "MSRVTT",
        lambda at: (write(at / "images.zip", b"PK"), as_tar(at)),
        "MSRVTT.tar: 'images.zip' is an archive in an archive: unpack one of them",
    ),
    "encrypted member": (
        "MSRVTT",
        lambda at: encrypt_last(append_to_zip(as_zip(at / "videos"), "x.mp4")),
        "videos.zip: 'x.mp4' is encrypted: store it plainly",
    ),
    "link in an archive": (
        "MSRVTT",
        lambda at: (
            (at / "videos/clip0.mp4").unlink(),
            (at / "videos/clip0.mp4").symlink_to("/etc/passwd"),
            as_tar(at),
        ),
        "line 1, id 'v0': videos/clip0.mp4 and",
    ),
}


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 512 + 512 + 100])


def append_to_zip(path: Path, name: str) -> Path:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, VIDEO)
    return path


def encrypt_last(path: Path) -> None:
    """Flag the last member of a ZIP as encrypted, in the ZIP's directory."""
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)


def append_to_tar(path: Path, name: str) -> None:
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(VIDEO)
        archive.addfile(member, io.BytesIO(VIDEO))
