"""What several tests share: where the real videos are."""

import os
from pathlib import Path

import pytest

from infra.pool import keep_ray_local

keep_ray_local()  # before any test imports Ray

# Ray workers import the stages that tests define from here.
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(Path(__file__).parent / "support"), *filter(None, [os.environ.get("PYTHONPATH")])]
)

REAL_VIDEOS = Path(os.environ.get("UVR_TEST_VIDEOS", Path(__file__).resolve().parents[2] / "shared" / "videos"))


@pytest.fixture(scope="session")
def real_videos() -> Path:
    """The folder of real sample videos; tests that need it are skipped where it is absent."""
    if not REAL_VIDEOS.is_dir():
        pytest.skip(f"no sample videos at {REAL_VIDEOS}; set UVR_TEST_VIDEOS")
    return REAL_VIDEOS
