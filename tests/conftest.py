"""What several tests share: the real videos, an S3 endpoint, a browser."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

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

    with patch.dict(os.environ):  # `uvr serve` of a later test must not inherit what this server is told
        os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
        server, url = start_server(prepare())
    server.wait_until_ready()
    yield url
    server.stop()


@pytest.fixture(scope="module")
def shared_prefect(prefect_api: str) -> Iterator[None]:
    """Commands that a module starts find a server: one of its own takes each as long as a small run itself."""
    with patch.dict(os.environ, {"PREFECT_API_URL": prefect_api}):
        yield


@pytest.fixture(scope="module")  # its event loop would be in the way of other modules' tests
def browser() -> Iterator[Any]:
    """A headless Chromium; tests that need it are skipped where it or its driver is absent."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def look(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file; at the end the browser must have complained about nothing and asked nobody."""
    said: list[str] = []
    asked: list[str] = []
    pages = []

    def open_page(path: Path, **options: Any) -> Any:
        page = browser.new_page(**options)
        pages.append(page)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for page in pages:
        page.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
