"""What a pass leaves beside the database that it changed: its changeset, and the planned rows as Parquet."""

from dataclasses import dataclass
from pathlib import Path

import apsw

from mailtide.database.changeset import Opener, Recorder
from mailtide.database.differences import Differences
from mailtide.database.schedules_schema import Preparation
from mailtide.database.write import RunRow
from mailtide.rules.columns import Desired, Int64

MAX_CHANGES = 200_000
"""Of a changeset that nobody depends on; beyond that the database itself travels as fast."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Which files a pass is to leave.

    changeset, export: paths, None for none. always: a changeset however many the changes are. They stay unwritten when the
    pass finds no difference, and may be unfinished when it fails.
    """

    changeset: Path | None = None
    export: Path | None = None
    always: bool = False

    def write(
        self,
        connection: apsw.Connection,
        before: Opener,
        preparation: Preparation,
        ids: Int64,
        desired: Desired,
        differences: Differences,
        send_time: str,
        run: RunRow,
    ) -> None:
        """Write them, once the differences are written on a connection, committed or not; arguments as of Recorder."""
        changes = len(differences.insert) + len(differences.update_row) + len(differences.delete)
        if self.changeset is not None and (self.always or changes <= MAX_CHANGES):
            recorder = Recorder(self.changeset, before, preparation, ids, desired, differences, send_time)
            recorder.record(connection, run)
        if self.export is not None:
            # Half a second of imports that only those pay who export.
            from mailtide.database.schedule_parquet import write_schedule

            write_schedule(self.export, ids, desired, send_time)
