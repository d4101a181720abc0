"""What lakes on S3 and its likes need besides fsspec, and what the refusals of such a store mean.

botocore, which talks to the store, comes with the extra `s3`: its errors are looked for only once it is loaded.
"""

from __future__ import annotations

import sys
from typing import Any, Final

# An object that is read in several pieces at once, and replaced meanwhile, comes out half old and half new; one GET is
# all of one of them. A listing that is remembered misses what other processes wrote since.
SOURCE_OPTIONS: Final = {"max_concurrency": 1, "use_listings_cache": False}

# DuckDB lists a folder many times in a query, and asks some eight times what each file is. In a lake that is answered
# from a listing, which is forgotten when this process writes to the folder, and when it connects: while a run owns the
# lake nobody else commits parts.
LAKE_OPTIONS: Final = {"max_concurrency": 1}

_TAKEN = (409, 412)  # HTTP: somebody is writing the name just now, somebody has written it
_BAD_KEYS = "does not know these credentials: correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_NOT_ALLOWED = "may not be used with these credentials: ask for the right to list, read, write and delete there"
_NO_KEYS = "wants credentials and there are none: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_REFUSALS = {
    "NoSuchBucket": "is in a bucket that does not exist: create the bucket, or correct the URL",
    "AccessDenied": _NOT_ALLOWED,
    "403": _NOT_ALLOWED,  # all that the answer to a HEAD request tells
    "ExpiredToken": _BAD_KEYS,
    "InvalidAccessKeyId": _BAD_KEYS,
    "InvalidToken": _BAD_KEYS,
    "SignatureDoesNotMatch": _BAD_KEYS,
}


def is_s3(url: str) -> bool:
    """Whether `url` is in a bucket."""
    return url.startswith(("s3://", "s3a://"))


def failures() -> tuple[type[Exception], ...]:
    """What can go wrong with a store that is no OSError."""
    return _errors("BotoCoreError")


def _errors(*names: str) -> tuple[type[Exception], ...]:
    """Classes of botocore's errors; none before botocore is loaded, when no such error can be."""
    loaded = sys.modules.get("botocore.exceptions")
    return tuple(getattr(loaded, name) for name in names) if loaded else ()


def _answer(error: BaseException) -> dict[str, Any]:
    """What the store answered, if `error` is that."""
    return error.response if isinstance(error, _errors("ClientError")) else {}  # type: ignore[attr-defined]


def http_status(error: BaseException) -> int | None:
    """The status of the answer that `error` is; None when it is no answer of a store."""
    status: int | None = _answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status


def is_unanswered(error: BaseException) -> bool:
    """Whether the store could not be connected to, or went away."""
    return isinstance(error, _errors("ConnectionError", "HTTPClientError"))


def is_taken(error: BaseException) -> bool:
    """Whether a name could not be created because another writer was first."""
    return http_status(error) in _TAKEN


def refusal(error: BaseException) -> str:
    """How a store refuses, and what to do about it; empty when `error` is something else."""
    if isinstance(error, _errors("NoCredentialsError", "PartialCredentialsError")):
        return _NO_KEYS
    return _REFUSALS.get(_answer(error).get("Error", {}).get("Code", ""), "")
