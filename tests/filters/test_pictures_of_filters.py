"""The filters' guide shows a picture of every reason that has one."""

import re
from pathlib import Path

from suffered import SUFFERED

GUIDE = Path(__file__).parents[2] / "filters" / "README.md"


def test_every_reason_is_shown_and_every_picture_is_there() -> None:
    linked = set(re.findall(r"\]\(examples/([\w-]+)\.jpg\)", GUIDE.read_text()))
    assert linked == {path.stem for path in (GUIDE.parent / "examples").glob("*.jpg")}
    assert {f"quality-{reason}" for reason in (*SUFFERED, "shaky", "texted", "slides", "damaged")} <= linked
    assert {name.split("-")[0] for name in linked} >= {"exact", "perceptual", "semantic", "consistency"}
