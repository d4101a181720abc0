"""The contact sheet: clips of the release with their captions, the same picture every time."""

from pathlib import Path

import cv2
import numpy as np
from toy_release import COLOURS, toy_pairs, write_release

from shards.contact_sheet import CLIPS, draw_contact_sheet, ensure_contact_sheet, first_clips
from shards.manifest import load_manifest


def test_it_shows_different_clips_in_their_colours(tmp_path: Path) -> None:
    release = load_manifest(write_release(tmp_path, toy_pairs()))
    pairs = first_clips(release)
    assert len({pair.target_id for pair in pairs}) == len(pairs) == CLIPS
    sheet = draw_contact_sheet(pairs)
    picture = cv2.imdecode(np.frombuffer(sheet, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1].astype(int)
    for colour in {pair.query.text.split()[1] for pair in pairs if pair.query.text}:
        near = (abs(picture - COLOURS[colour]) < 30).all(axis=2)
        assert near.sum() > 500, colour
    assert draw_contact_sheet(pairs) == sheet


def test_it_is_made_once_beside_the_manifest(tmp_path: Path) -> None:
    release = load_manifest(write_release(tmp_path, toy_pairs()))
    path = Path(str(ensure_contact_sheet(release)))
    assert path.parent == tmp_path
    made = path.stat().st_mtime_ns
    ensure_contact_sheet(release)
    assert path.stat().st_mtime_ns == made


def test_a_release_without_clips_has_none(tmp_path: Path) -> None:
    texts = [sample for sample in toy_pairs() if sample["__key__"].startswith("T2T")]
    release = load_manifest(write_release(tmp_path, texts))
    assert ensure_contact_sheet(release) is None
    assert not list(tmp_path.glob("*.jpg"))
