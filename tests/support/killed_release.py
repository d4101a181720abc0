"""Publishes a release in a child process for every line it reads, `LAKE N`, which dies at its Nth step.

A step is an operation on a file below the lake's releases. The program prints the child's process id, waits for
another line, lets it go, and prints how it ended. Python starts and imports everything once: the children are forked.
"""

import os
import signal
import sys
from pathlib import Path

from published_release import pair_row, release

from shards.layout import Layout
from shards.manifest import PUBLISHED

LAYOUT = Layout(shard_bytes=8000, val_share=0.3)
OLD = [pair_row(number) for number in range(12)]
NEW = [pair_row(number) for number in range(24)]
FILE_OPERATIONS = {"open", "os.mkdir", "os.rename", "os.link", "os.remove", "shutil.copyfile"}


def die_at(nth: int, lake: str) -> None:
    """Have this process killed just before the nth time that it touches a file of releases; never with 0."""
    count, folders = 0, tuple(f"{lake}/{folder}" for folder in ("releases", PUBLISHED))

    def look(event: str, told: tuple[object, ...]) -> None:
        nonlocal count
        if event in FILE_OPERATIONS and isinstance(told[0], str | Path) and str(told[0]).startswith(folders):
            count += 1
            if count == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def main() -> None:
    for line in iter(sys.stdin.readline, ""):
        lake, nth = line.split()
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(told, 1)
            die_at(int(nth), lake)
            release(lake, NEW, LAYOUT)
            os._exit(0)
        print(pid, flush=True)
        sys.stdin.readline()
        os.write(tell, b"!")
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        os.close(told)
        os.close(tell)


if __name__ == "__main__":
    main()
