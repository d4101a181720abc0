"""The tiny captioner that a real server serves in tests: trained once, by whichever test comes first."""

from pathlib import Path

import pytest

from flows.tiny_captioner import make_captioner


def served_captioner(config: pytest.Config) -> Path:
    """Its folder, in pytest's cache: it takes minutes to train."""
    return make_captioner(config.cache.mkdir("tiny-captioner"))
