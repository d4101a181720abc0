"""What several tests share: where the real videos are."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from infra.pool import keep_ray_local

if TYPE_CHECKING:
    from s3_server import S3Server

keep_ray_local()  # before any test imports Ray
settings.register_profile("untimed", deadline=None)  # how long a machine takes is no property of the code
settings.load_profile("untimed")

os.environ["HF_HUB_OFFLINE"] = "1"  # before any test imports what would ask the hub

# Ray workers import the stages that tests define from here.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parent / "support"), *filter(None, [os.environ.get("PYTHONPATH")])]
)

REAL_VIDEOS = Path(os.environ.get("UVR_TEST_VIDEOS", Path(__file__).resolve().parents[2] / "shared" / "videos"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files come first, so that with two at a time none is left over at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def real_videos() -> Path:
    """The folder of real sample videos; tests that need it are skipped where it is absent."""
    if not REAL_VIDEOS.is_dir():
        pytest.skip(f"no sample videos at {REAL_VIDEOS}; set UVR_TEST_VIDEOS")
    return REAL_VIDEOS


@pytest.fixture(scope="module")
def s3() -> "Iterator[S3Server]":
    """An S3 endpoint, which `s3://` means to this process and those it starts."""
    from s3_server import S3Server  # heavy, and few tests need it

    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prefect server that runs until the last test."""
    from flows.service.environment import prepare
    from flows.service.server import start_server

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
        server, url = start_server(prepare())
    server.wait_until_ready()
    yield url
    server.stop()


@pytest.fixture(scope="module")
def shared_prefect(prefect_api: str) -> Iterator[None]:
    """Commands that a module starts find a server: one of its own takes each as long as a small run itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", prefect_api)
        yield
