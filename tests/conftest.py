"""What several tests share: where the real videos are."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from infra.pool import keep_ray_local

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
