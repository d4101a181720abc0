"""Every error the project raises on purpose, in one small tree.

UvrError
├── UsageError            wrong command, path or recipe: exit code 2
├── RowError              one row cannot be done: it is quarantined with `reason`, the run goes on
├── RunFailed             the run cannot go on: exit code 1
│   ├── Passing           may pass by itself: worth another try
│   └── LakeBusy          another live run holds the lake
├── StaleLease            a worker or driver that lost the lake tried to write to it
└── ReleaseCorrupt        a published release does not match its manifest
"""


class UvrError(Exception):
    """Base of every error raised on purpose; its text says what to do."""


class UsageError(UvrError):
    """The command, a path or the recipe is wrong; nothing was started."""


class RowError(UvrError):
    """One row cannot be done. `reason` is a short stable code, `message` says what was seen."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)
        self.reason = reason
        self.message = message

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


class RunFailed(UvrError):
    """The run cannot go on; what was committed stays and the next run resumes from it."""


class Passing(RunFailed):
    """What failed may pass by itself (a full disk, a service that is down): worth another try later."""


class LakeBusy(RunFailed):
    """Another live run holds the lake's lease."""


class StaleLease(UvrError):
    """The lease this process was started under is no longer the lake's: it must not write."""


class ReleaseCorrupt(UvrError):
    """A release does not match its manifest; the text names the shard and what differs."""
