"""What kind of media a file may be, by its first bytes: a cheap look that decodes nothing."""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 192  # enough for every look below

# First bytes of video containers, and where they stand.
_VIDEO: Final = (
    *((kind, 4) for kind in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")),  # MP4 and QuickTime
    (b"\x1aE\xdf\xa3", 0),  # Matroska, WebM
    (b"RIFF", 0),  # AVI
    (b"GIF8", 0),
    (b"FLV\x01", 0),
    (b"OggS", 0),
    (b"\x30\x26\xb2\x75", 0),  # ASF
    (b"\x00\x00\x01\xba", 0),  # MPEG program stream
    (b"\x00\x00\x01\xb3", 0),  # MPEG video alone
)
_JPEG: Final = b"\xff\xd8\xff"
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_TS_SYNC, _TS_PACKET = b"G", 188  # MPEG transport stream: every packet of so many bytes begins so


def begins_like_video(head: bytes) -> bool:
    """Whether a file that begins with `head` may be a video; it may be incomplete all the same."""
    if head[:1] == _TS_SYNC == head[_TS_PACKET : _TS_PACKET + 1]:
        return True
    return any(head.startswith(magic, at) for magic, at in _VIDEO)


def begins_like_frame(head: bytes) -> bool:
    """Whether a file that begins with `head` may be a JPEG or a PNG, as frames taken from a video are."""
    return head.startswith((_JPEG, _PNG))


def begins_like_image(head: bytes) -> bool:
    """Whether a file that begins with `head` may be a still picture."""
    is_webp = head.startswith(b"RIFF") and head.startswith(b"WEBP", 8)
    return begins_like_frame(head) or is_webp or head.startswith((b"GIF8", b"BM"))
