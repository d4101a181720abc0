"""Takes secrets out of text that people or other services will see: credentials in URLs and signed links."""

from __future__ import annotations

import re

from infra.errors import UsageError

# user:password@ or token@ between a scheme and a host
_USERINFO = re.compile(r"(?<=://)[^/\s@'\"]+@")
# values of query parameters that grant access: keys, tokens, signatures
_GRANTS = re.compile(
    r"(?i)([?&;](?:[\w.-]*(?:key|token|secret|password|signature|credential|auth)[\w.-]*|sig|se|sp|sv)=)[^&\s'\"<>]+"
)
HIDDEN = "***"


def redact(text: str) -> str:
    """`text` with user names and passwords of URLs and access-granting query values replaced by stars."""
    return _GRANTS.sub(rf"\g<1>{HIDDEN}", _USERINFO.sub(f"{HIDDEN}@", text))


def refuse_secrets(*urls: str) -> None:
    """Raise UsageError when a URL carries what `redact` would take out.

    Parameters of a run are shown in the dashboard, written to its database and sent in events.
    """
    for url in urls:
        if redact(url) != url:
            raise UsageError(
                f"{redact(url)} carries credentials, which would be shown wherever the run is: "
                "give them in the environment (or in the file that the storage's client reads) instead"
            )
