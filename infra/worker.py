"""What runs inside a worker process: one stage opened once, applied to slices of rows.

This is the one place where any exception of a row becomes that row's quarantine.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from infra.errors import RowError, RunFailed, StaleLease
from infra.faults import disk_full, disk_is_full
from infra.stage import Drop, Fault, Outcome, Row, RowStage, Work, Workspace
from infra.tables import part_table

ERROR_TAIL = 2000  # characters of a traceback that are kept


@dataclass
class Settled:
    """Outcomes of some rows, and the seconds and model tokens that each row took."""

    outcomes: list[Outcome] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)


def apply(work: Work, rows: list[Row], batch_rows: int, take_spent: Callable[[], int]) -> Settled:
    """Apply a stage's function to `rows`, batch by batch; a batch that raises is redone row by row.

    `take_spent` tells the tokens since it was last asked. Raises what is no row's fault: RunFailed,
    StaleLease, MemoryError.
    """
    settled = Settled()
    for start in range(0, len(rows), batch_rows):
        batch = rows[start : start + batch_rows]
        began = time.perf_counter()
        outcomes = _attempt(work, batch)
        share = (time.perf_counter() - began) / len(batch)
        tokens, rest = divmod(take_spent(), len(batch))
        settled.outcomes += outcomes
        settled.seconds |= {row["key"]: share for row in batch}
        settled.tokens |= {row["key"]: tokens + (i < rest) for i, row in enumerate(batch)}
    return settled


def _attempt(work: Work, batch: list[Row]) -> list[Outcome]:
    try:
        return _whole(list(work(batch)), batch)
    except (RunFailed, StaleLease, MemoryError):
        raise
    except Exception as error:  # the one boundary at which a row's failure stays a row's
        if disk_is_full(error):
            raise disk_full(error, "a disk that a worker writes to (temporary files?)") from error
        if isinstance(error, RowError):
            fault = (error.reason, error.message)
        else:
            fault = (f"unexpected_{type(error).__name__}", traceback.format_exc()[-ERROR_TAIL:])
    if len(batch) == 1:
        return [Fault(batch[0]["key"], *fault)]
    return [outcome for row in batch for outcome in _attempt(work, [row])]


def _whole(outcomes: list[Outcome], batch: list[Row]) -> list[Outcome]:
    """Check that every row of the batch has exactly one kind of answer, and no other row has any."""
    asked = {row["key"] for row in batch}
    judged = Counter(o.key for o in outcomes if isinstance(o, Drop | Fault))
    made = {o["parent"] for o in outcomes if isinstance(o, dict)}
    if foreign := (judged.keys() | made) - asked:
        raise RowError("foreign_answer", f"the stage answered for rows it was not given: {sorted(foreign)[:3]}")
    if missing := asked - judged.keys() - made:
        raise RowError("no_answer", f"the stage gave neither rows nor a reason for {sorted(missing)[:3]}")
    if twice := {key for key, times in judged.items() if times > 1 or key in made}:
        raise RowError("two_answers", f"the stage both kept and turned away {sorted(twice)[:3]}")
    return outcomes


class Worker:
    """A Ray actor: opens one stage at a time and turns slices of its input into slices of a part."""

    def open(self, stage: RowStage, workspace: Workspace) -> None:
        """Make ready for a stage; a model is loaded here, once."""
        self.stage = stage
        self.workspace = workspace
        self.work = stage.open(workspace)

    def run(self, rows: pa.Table) -> pa.Table:
        """Part rows for the input rows."""
        settled = apply(self.work, rows.to_pylist(), self.stage.batch_rows, self.workspace.take_spent)
        return part_table(self.stage.schema, settled.outcomes, settled.seconds, settled.tokens)
