"""Writing and reading shards, beside the plainest way to do either, and beside another streaming reader.

    pip install litdata==0.2.76            # once, for that reader; without it its row is left out
    python tests/benchmarks/bench_shards.py FOLDER --mb 2000    # measures writing
    python tests/benchmarks/bench_shards.py FOLDER              # measures reading; best some minutes later

Samples of random bytes, sized like pairs of video and text. Everything is measured in turn in every round, with
files thrown out of the page cache before they are read and synced to the disk after they are written; a row tells
the median, its ratio to the plain way of the same round, and the CPU seconds of this process for a gigabyte. What was
just written may lie in a cache below this system's, whence even a disk that is slow reads a gigabyte a second.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import statistics
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import webdataset

from infra.stage import Row
from infra.workspace import LakeWorkspace
from shards.cache import ShardCache
from shards.files import Shard
from shards.manifest import Manifest
from shards.order import Order
from shards.samples import Samples
from shards.stream import BadSamples, PairStream
from shards.writer import FACTS, MEDIA, Pack

CLIP_BYTES, FRAME_BYTES = (200_000, 800_000), (30_000, 90_000)  # from, to
SHARD_BYTES = 128_000_000
WINDOW = 2048  # pairs that are shuffled among themselves
SHARDS = "shards.json"
TASK = "TI2V"  # text and image to video


def make_rows(workspace: LakeWorkspace, total: int) -> Iterator[Row]:
    """Pairs of some bytes in all, their media written to the lake."""
    rng, written, number = np.random.default_rng(3), 0, 0
    while written < total:
        media = {
            "query_image": rng.bytes(int(rng.integers(*FRAME_BYTES))),
            "target_video": rng.bytes(int(rng.integers(*CLIP_BYTES))),
        }
        pair_id = hashlib.sha256(str(number).encode()).hexdigest()[:24]
        paths = {name: workspace.save(f"{pair_id}-{name}", data) for name, data in media.items()}
        ids = {"pair_id": pair_id, "task": TASK, "video_id": f"v{number}", "query_id": f"q{number}"}
        row = dict.fromkeys((*FACTS, *MEDIA)) | ids | paths | {"target_id": f"t{number}", "query_text": "words " * 40}
        row |= {"negatives": [], "negative_cosines": []}
        size = sum(map(len, media.values()))
        yield row | {"bytes": size}
        written, number = written + size, number + 1


def groups_of(rows: list[Row]) -> Iterator[Row]:
    """The rows in groups of a shard's size, as Pack takes them."""
    per_shard = max(1, round(len(rows) / max(1, sum(row["bytes"] for row in rows) / SHARD_BYTES)))
    for number, first in enumerate(range(0, len(rows), per_shard)):
        members = rows[first : first + per_shard]
        placed = [
            row | {"shard_name": f"train-{TASK}-{number:06d}.tar", "split": "train", "position": place}
            for place, row in enumerate(members)
        ]
        yield {"key": f"{number:024d}", **{name: [row[name] for row in placed] for name in Pack.needs}}


def write_plainly(workspace: LakeWorkspace, groups: list[Row], folder: Path) -> None:
    """The same tars with tarfile alone, synced to the disk."""
    for group in groups:
        members = [dict(zip(Pack.needs, row, strict=True)) for row in zip(*(group[n] for n in Pack.needs), strict=True)]
        with (folder / f"{group['key']}.tar").open("wb") as file, tarfile.open(fileobj=file, mode="w|") as tar:
            for member in members:
                for extension, data in parts_of(member, workspace):
                    entry = tarfile.TarInfo(f"{member['pair_id']}.{extension}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
        sync(folder / f"{group['key']}.tar")


def parts_of(member: Row, workspace: LakeWorkspace) -> Iterator[tuple[str, bytes]]:
    """Extensions and bytes of a sample's members, read plainly."""
    yield "json", json.dumps({name: member[name] for name in FACTS}, sort_keys=True).encode()
    for column, extension in MEDIA.items():
        if member[column] is not None:
            yield extension, Path(workspace.store.full(member[column])).read_bytes()


def read_plainly(paths: list[Path]) -> int:
    """All bytes of some files in order, a mebibyte at a time."""
    total = 0
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(1 << 20):
                total += len(piece)
    return total


def read_stream(manifest: Manifest, cache: Path) -> int:
    """All pairs, shuffled, as training reads them; the bytes of their media."""
    bad, total = BadSamples(), 0
    with ThreadPoolExecutor(3) as pool:
        order = Order(manifest.shards, 1, 0, WINDOW)
        stream = PairStream(Samples(manifest, ShardCache(cache, 0)), order, lambda pair: pair, pool, bad)
        for pair in stream:
            total += len(pair.query.image or b"") + len(pair.target.video or b"")
    if bad.counts:
        raise SystemExit(f"the reader met bad samples: {bad.first}")
    return total


def read_webdataset(paths: list[Path]) -> int:
    """All samples in order by the webdataset package."""
    data = webdataset.WebDataset([str(path) for path in paths], shardshuffle=False)
    return sum(len(found["query.jpg"]) + len(found["target.mp4"]) for found in data)


def litdata_rows(path: str) -> Iterator[dict[str, bytes]]:
    """The samples of a tar as litdata is given them."""
    for found in webdataset.WebDataset([path], shardshuffle=False):
        yield {"json": found["json"], "jpg": found["query.jpg"], "mp4": found["target.mp4"]}


def convert(paths: list[Path], folder: Path) -> bool:
    """Write the samples of some tars for litdata; False where it is not installed."""
    try:
        import litdata
    except ImportError:
        return False
    litdata.optimize(litdata_rows, [str(path) for path in paths], str(folder), chunk_bytes="128MB", num_workers=1)
    return True


def read_litdata(folder: Path) -> int:
    """All samples, shuffled, by litdata in one process."""
    import litdata

    data = litdata.StreamingDataset(str(folder), shuffle=True)
    return sum(len(found["jpg"]) + len(found["mp4"]) for found in data)


def sync(path: Path) -> None:
    """Have a file on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def forget(folder: Path, total: int) -> None:
    """Throw the files below a folder out of the page cache, and have memory ready for more than `total` bytes of them.

    A virtual machine's host takes freed memory back after seconds, and whoever needs it again first would wait for it.
    """
    for path in (found for found in folder.rglob("*") if found.is_file()):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    np.ones(total * 3 // 2, np.uint8)


class Taken(NamedTuple):
    """What something took."""

    seconds: float
    cpu_seconds: float


def timed(work: Callable[[], Any]) -> Taken:
    """What something takes."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return Taken(time.perf_counter() - began, time.process_time() - cpu)


def measure_writing(folder: Path, mb: int, rounds: int) -> list[dict[str, Any]]:
    """Both ways, round by round; leaves the shards, and what the other reader makes of them, in a new folder."""
    workspace = LakeWorkspace(str(folder), "stages/pack")
    groups = list(groups_of(list(make_rows(workspace, mb * 1_000_000))))
    (folder / "plain").mkdir()
    taken: dict[str, list[Taken]] = {"tarfile": [], "Pack": []}
    for _ in range(rounds):
        packed: list[Row] = []
        taken["tarfile"].append(timed(lambda: write_plainly(workspace, groups, folder / "plain")))
        taken["Pack"].append(timed(lambda packed=packed: packed.extend(Pack().open(workspace)(groups))))
    shards = [Shard(row["tar_path"], row["bytes"], row["sha256"], "train", TASK, row["samples"]) for row in packed]
    (folder / SHARDS).write_text(json.dumps([asdict(shard) for shard in shards]))
    convert([folder / shard.name for shard in shards], folder / "litdata")
    return list(compare("write", taken, sum(shard.bytes for shard in shards)))


def measure_reading(folder: Path, rounds: int) -> list[dict[str, Any]]:
    """Every way, round by round, of what lies in a folder."""
    shards = tuple(Shard(**told) for told in json.loads((folder / SHARDS).read_text()))
    manifest = Manifest(str(folder), "bench", shards, (), {})
    paths, total = [Path(manifest.path(shard)) for shard in shards], sum(shard.bytes for shard in shards)
    readers: dict[str, Callable[[], int]] = {
        "plain": lambda: read_plainly(paths),
        "PairStream, shuffled": lambda: read_stream(manifest, folder / "cache"),
        "webdataset, in order": lambda: read_webdataset(paths),
    }
    if (folder / "litdata").exists():
        readers["litdata, shuffled"] = lambda: read_litdata(folder / "litdata")
    taken: dict[str, list[Taken]] = {way: [] for way in readers}
    for _ in range(rounds):
        for way, read in readers.items():
            forget(folder, total)
            taken[way].append(timed(read))
    return list(compare("read", taken, total))


def compare(kind: str, taken: dict[str, list[Taken]], total: int) -> Iterator[dict[str, Any]]:
    """A row for every way: its speed, its ratio to the first way in the same rounds, and what CPU it costs."""
    plain = next(iter(taken.values()))
    for way, rounds in taken.items():
        ratios = [one.seconds / other.seconds for one, other in zip(plain, rounds, strict=True)]
        yield {
            "what": kind,
            "way": way,
            "mb_per_s": round(statistics.median(total / one.seconds for one in rounds) / 1e6),
            "ratio": round(statistics.median(ratios), 2),
            "ratios": [round(ratio, 2) for ratio in ratios],
            "cpu_s_per_gb": round(statistics.median(one.cpu_seconds for one in rounds) / total * 1e9, 2),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="written if it is new, read if it is there")
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()
    if (options.folder / SHARDS).exists():
        results = measure_reading(options.folder, options.rounds)
    else:
        results = measure_writing(options.folder, options.mb, options.rounds)
    for row in results:
        print(json.dumps(row))
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
