"""How many rows of a stage are where."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from infra.errors import RunFailed


@dataclass(frozen=True)
class Counts:
    """Where the input keys of one stage are: `in = parents + dropped + quarantined + pending`."""

    name: str
    in_: int
    out: int
    parents: int
    dropped: int
    quarantined: int
    pending: int
    seconds: float
    tokens: int

    def check(self) -> None:
        """Raise RunFailed when rows were lost or counted twice."""
        settled = self.parents + self.dropped + self.quarantined + self.pending
        if settled != self.in_:
            raise RunFailed(
                f"stage {self.name}: {self.in_} rows went in but {settled} are accounted for ({asdict(self)}); "
                "this is a defect, please report it"
            )


def status_row(counts: Counts) -> dict[str, object]:
    """Counts of one stage under the names the command line prints."""
    facts = asdict(counts)
    return {"name": facts.pop("name"), "in": facts.pop("in_"), **facts}
