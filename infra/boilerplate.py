"""Words that do not describe what is shown: patterns for texts of crawls and for answers of models alike.

Each is the source of a regular expression, to be compiled with IGNORECASE.
"""

from __future__ import annotations

from typing import Final

LINK: Final = r"https?://\S+|\bwww\.\S+"

# What asks the viewer to do something, or sells.
PROMOTION: Final = (
    r"\bclick (?:here|below|the link)\b"
    r"|\bsubscribe\b.{0,40}\b(?:channel|button|bell|videos?)\b"
    r"|\blike and (?:share|subscribe)\b"
    r"|\b(?:like|share),? (?:and|&) subscribe\b"
    r"|\b(?:hit|smash) (?:the|that) (?:like|subscribe|bell (?:icon|button))\b"
    r"|\blinks? in (?:the |my |our )?(?:bio|description)\b"
    r"|\bthank(?:s| you) (?:so much )?for watching\b"
    r"|\bfollow (?:me|us) (?:on|for|at)\b"
    r"|\buse (?:the |my |our )?(?:promo|discount|coupon) code\b"
    r"|\ball rights reserved\b"
)

# What stands where a text should be.
PLACEHOLDER: Final = r"\blorem ipsum\b|\b(?:insert|your|placeholder) (?:caption|text|description|query) here\b"

_MEDIA: Final = r"(?:mp4|m4v|mov|avi|mkv|webm|mpe?g|wmv|flv|3gp|gif|jpe?g|png|heic)"
_CAMERA: Final = r"(?:image|video|img|dsc[nf]?|vid|mvi|mov|gopr|gx|gh|pxl|dji)"

# clip_final-2.mp4, IMG_0431, video0012, VID-20230101-WA0003
FILE_NAME: Final = rf"\b\w[\w()-]{{0,99}}\.{_MEDIA}\b|\b{_CAMERA}[_-]?\d{{3,}}(?:[_-]\w+)*\b"

HASHTAG: Final = r"#(?=\w*[^\W\d])\w+"  # "#1" is a number
