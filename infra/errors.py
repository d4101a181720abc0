"""Every error the project raises on purpose, in one small tree.

UvrError
├── UsageError            wrong command, path or recipe: exit code 2
│   └── ReleaseWithdrawn  the release must not be used any more
├── RowError              one row cannot be done: it is quarantined with `reason`, the run goes on
├── RunFailed             the run cannot go on: exit code 1
│   ├── LakeBusy          another live run holds the lake
│   ├── BudgetSpent       the run used up what its recipe allows it
│   └── Passing           may pass by itself: worth another try later
│       ├── DiskFull      no space is left to write to
│       ├── EndpointDown  a service or server cannot be reached
│       └── ClusterLost   Ray itself is gone, not one worker
├── StaleLease            a worker or driver that lost the lake tried to write to it
└── ReleaseCorrupt        a published release does not match its manifest
"""


class UvrError(Exception):
    """Base of every error raised on purpose; its text says what to do."""


class UsageError(UvrError):
    """The command, a path or the recipe is wrong; nothing was started."""


class ReleaseWithdrawn(UsageError):
    """Source videos of the release were removed; the text names the release to use instead."""


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


class LakeBusy(RunFailed):
    """Another live run holds the lake's lease."""


class BudgetSpent(RunFailed):
    """The run used up its budget; what is pending waits for the next run."""


class Passing(RunFailed):
    """A fault of the surroundings that may pass by itself: worth another try later."""


class DiskFull(Passing):
    """No space is left where something had to be written."""


class EndpointDown(Passing):
    """A service or server could not be reached, though it was tried again for a while."""


class ClusterLost(Passing):
    """The Ray cluster cannot be reached or went away while it was used."""


class StaleLease(UvrError):
    """The lease this process was started under is no longer the lake's: it must not write."""


class ReleaseCorrupt(UvrError):
    """A release does not match its manifest; the text names the file and what differs."""
