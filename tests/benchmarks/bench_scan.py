"""What a scan costs over decoding alone.

    python tests/benchmarks/bench_scan.py --videos DIR [--repeats 3] [--json]

Every readable video of DIR is decoded twice by one thread, with nothing else done (PyAV, all frames) and
by the whole scan stage, one right after the other and in alternating order, `--repeats` times. The ratio is
the median over the repeats of scan seconds over decode seconds, all files summed; CPU seconds, since
both are one thread and other work on the machine should not count. The scan may come out below its own
cost because it skips the deblocking of frames that no other frame refers to, which the bare decode does not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from infra.errors import RowError
from infra.media.probe import open_video, probe
from infra.stage import Row
from infra.workspace import LakeWorkspace
from synth.scan import Scan, scan_row


def bare_decode(path: str) -> int:
    """Decode every frame and look at none; returns their number."""
    with open_video(path) as (container, stream):
        return sum(1 for _ in container.decode(stream))


def readable(folder: Path) -> list[Row]:
    """Scan's input rows for the videos of a folder (not of its subfolders)."""
    rows = []
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        try:
            rows.append({"key": path.name, "source": str(path), **asdict(probe(str(path)))})
        except RowError:
            continue
    return rows


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(rows: list[Row], repeats: int) -> Row:
    """Seconds by file and repeat for both, and what follows from them."""
    settings, workspace = Scan(), LakeWorkspace(".", "bench")
    frames = sum(bare_decode(row["source"]) for row in rows)  # also warms the file cache
    decode, scan = [0.0] * repeats, [0.0] * repeats
    for repeat in range(repeats):
        for i, row in enumerate(rows):
            tasks = [
                (decode, lambda row=row: bare_decode(row["source"])),
                (scan, lambda row=row: list(scan_row(settings, workspace, row))),
            ]
            for seconds, work in tasks if (i + repeat) % 2 else reversed(tasks):
                seconds[repeat] += cpu_seconds(work)
    return {
        "videos": len(rows),
        "frames": frames,
        "repeats": repeats,
        "decode_s": [round(s, 3) for s in decode],
        "scan_s": [round(s, 3) for s in scan],
        "decode_frames_per_s": round(frames / statistics.median(decode), 1),
        "scan_frames_per_s": round(frames / statistics.median(scan), 1),
        "ratio": round(statistics.median(s / d for s, d in zip(scan, decode, strict=True)), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of a scan over a bare decode, side by side.")
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    facts = measure(readable(options.videos), options.repeats)
    if options.json:
        print(json.dumps(facts))
    else:
        print("\n".join(f"{name:>20}  {value}" for name, value in facts.items()))


if __name__ == "__main__":
    main()
