"""What the deployments are to do; checked before any server starts. Light to import, for the command line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from infra.errors import UsageError


@dataclass(frozen=True)
class Nightly:
    """On which videos and lake, with which recipe, when."""

    videos: str | None = None
    lake: str | None = None
    recipe: str | None = None
    overrides: tuple[str, ...] = ()
    cron: str | None = None  # None: what prefect.yaml says
    timezone: str | None = None

    @property
    def is_scheduled(self) -> bool:
        """Whether there is something to run by the clock."""
        return self.videos is not None and self.lake is not None

    def checked(self) -> Nightly:
        """These settings with paths that mean the same in any folder; raises UsageError for what could never run.

        Prefect's environment must have been prepared.
        """
        from prefect.client.schemas.schedules import CronSchedule
        from pydantic import ValidationError

        from flows.recipe import read_recipe
        from infra.redact import refuse_secrets

        if (self.videos is None) != (self.lake is None):
            raise UsageError("--videos and --lake go together: a nightly run needs both")
        read_recipe(self.recipe, self.overrides)
        refuse_secrets(*filter(None, (self.videos, self.lake)))
        try:
            ZoneInfo(self.timezone or "UTC")
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise UsageError(f"no time zone {self.timezone!r}; names are like Europe/Berlin") from error
        try:
            if self.cron is not None:
                CronSchedule(cron=self.cron)
        except ValidationError as error:
            raise UsageError(f"--cron takes minute, hour, day, month and weekday, not {self.cron!r}") from error
        return replace(self, videos=_absolute(self.videos), lake=_absolute(self.lake), recipe=_absolute(self.recipe))


def _absolute(path: str | None) -> str | None:
    return path if path is None or "://" in path else str(Path(path).resolve())
