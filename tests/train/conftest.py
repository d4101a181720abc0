"""What training tests share: one torch thread and a toy release."""

from collections.abc import Iterator

import pytest
from toy_release import toy_pairs, write_release

from train.threads import torch_threads


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> Iterator[None]:
    """What tests compare bit for bit is computed on one thread; on a busy machine it is also the fastest."""
    with torch_threads(1):
        yield


@pytest.fixture(scope="session")
def toy_release(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The manifest's path of the toy release: 40 training and 8 held-out pairs of each of three tasks."""
    return write_release(tmp_path_factory.mktemp("toy"), toy_pairs())
