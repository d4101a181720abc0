"""Pools of processes for work that Python's threads cannot share."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from threading import Thread


def process_pool(workers: int, begin: Callable[[], object] | None = None) -> ProcessPoolExecutor:
    """A pool of `workers` processes that end when this one does, also when it is killed; each calls `begin` first.

    They are spawned: a forked child would inherit the locks of the threads of OpenCV, FFmpeg and torch.
    """
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(begin,))


def _begin(begin: Callable[[], object] | None) -> None:
    # A worker of the standard library waits for work for ever once its parent was killed.
    Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
