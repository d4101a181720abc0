"""A pool of processes works, and ends with the process that made it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from infra.processes import process_pool


def test_work_is_done_in_order_by_other_processes() -> None:
    with process_pool(2) as pool:
        assert list(pool.map(divmod, [7, 8, 9], [2, 3, 4])) == [(3, 1), (2, 2), (2, 1)]
        assert pool.submit(os.getpid).result() != os.getpid()


def test_every_process_begins_with_what_it_is_told(tmp_path: Path) -> None:
    with process_pool(1, (tmp_path / "begun").mkdir) as pool:
        assert pool.submit(os.path.isdir, tmp_path / "begun").result()


PARENT = """
import os, time
from infra.processes import process_pool

if __name__ == "__main__":
    pool = process_pool(2)
    [pool.submit(time.sleep, 0.3) for _ in range(4)]
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


def test_processes_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": "."},
    ) as parent:
        assert parent.stdout is not None
        some_worker = int(parent.stdout.readline())
        workers = psutil.Process(parent.pid).children(recursive=True)
        assert some_worker in [worker.pid for worker in workers]
        parent.kill()
    until = time.monotonic() + 30
    while any(map(_is_alive, workers)):
        if time.monotonic() > until:
            pytest.fail("a worker outlived its parent by half a minute")
        time.sleep(0.1)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
