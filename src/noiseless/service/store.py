"""Jobs and the audit log on the disk: SQLite for what is known, a folder for each job's files.

A job is there once its row is committed, and done once its row says so; what a killed service leaves behind is told
from the rows and files alone. Files lie under the job's random name, whatever the client calls them.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from noiseless.errors import OutputError
from noiseless.io.atomic import replacing
from noiseless.service.uploads import IMAGE

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
UNFINISHED = (QUEUED, RUNNING)
IS_UNFINISHED = f"state IN ('{QUEUED}', '{RUNNING}')"
MOST_ATTEMPTS = 3
INPUT, RESULT, PLANES, OUTCOME = "input", "result", "planes.npy", "outcome.json"

TABLES = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, name TEXT NOT NULL, options TEXT NOT NULL, blend INTEGER NOT NULL,
    digest TEXT NOT NULL, pixels INTEGER NOT NULL, client TEXT NOT NULL, created REAL NOT NULL, started REAL,
    finished REAL, attempts INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, outcome TEXT, error TEXT,
    kind TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, created);
CREATE TABLE IF NOT EXISTS audit (
    moment REAL NOT NULL, client TEXT NOT NULL, model TEXT NOT NULL, digest TEXT NOT NULL, options TEXT NOT NULL,
    job TEXT NOT NULL
);
"""


@dataclass(frozen=True)
class Job:
    """A row of the table of jobs.

    Attributes:
        id: random name, which cannot be guessed.
        state: queued, running, done, failed or cancelled.
        name: of the file, as the client says.
        options: what was asked for.
        blend: whether the full effect is kept, so that the result can be had at any strength.
        digest: SHA-256 of the input.
        pixels: of the input.
        client: who sent it.
        created: moment, in seconds since 1970, as are `started` and `finished`.
        started: when it began.
        finished: when it was done, failed or cancelled.
        attempts: how often it began.
        bytes: of its files.
        outcome: media type, suffix and report of what is done.
        error: what went wrong.
        kind: of what was sent, see `noiseless.service.uploads`.
    """

    id: str
    state: str
    name: str
    options: Mapping[str, Any]
    blend: bool
    digest: str
    pixels: int
    client: str
    created: float
    started: float | None = None
    finished: float | None = None
    attempts: int = 0
    bytes: int = 0
    outcome: Mapping[str, Any] | None = None
    error: str | None = None
    kind: str = IMAGE


COLUMNS = ", ".join(field.name for field in fields(Job))


class Store:
    """Jobs and audit log of one service; any thread may call.

    Args:
        folder: there already, used by this service alone.

    Raises:
        OutputError: the data base cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder / "jobs", threading.Lock()
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._connection = sqlite3.connect(folder / "service.sqlite", check_same_thread=False, isolation_level=None)
            self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + TABLES)
        except (OSError, sqlite3.Error) as error:
            fix = "Free some space there, or name another: --state DIR."
            raise OutputError(f"cannot keep jobs in {folder}", got=str(error), fix=fix) from error

    def close(self) -> None:
        """Let go of the data base."""
        with self._lock:
            self._connection.close()

    def path(self, job: str, file: str) -> Path:
        """Where a file of a job is."""
        return self._folder / job / file

    def add(self, file: BinaryIO, job: Mapping[str, Any]) -> Job:
        """Keep a new job: first its input, then its row.

        Args:
            file: the input, read from here on.
            job: name, options, blend, digest, pixels, client and kind.

        Raises:
            OutputError: it cannot be kept; nothing is left of it.
        """
        row = Job(secrets.token_hex(16), QUEUED, created=time.time(), **job)
        folder = self._folder / row.id
        try:
            folder.mkdir(mode=0o700)
            with replacing(folder / INPUT) as target:
                shutil.copyfileobj(file, target, 1 << 20)
            size = (folder / INPUT).stat().st_size
            values = {**vars(row), "options": json.dumps(dict(row.options)), "bytes": size}
            places = ", ".join("?" * len(values))
            with self._transaction() as connection:
                connection.execute(f"INSERT INTO jobs ({COLUMNS}) VALUES ({places})", [*values.values()])
        except (OutputError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise OutputError("cannot keep the job", got=getattr(error, "strerror", None) or str(error)) from error
        return row

    def get(self, job: str) -> Job | None:
        """A job, or ``None`` where there is none of this name."""
        found = self._rows("WHERE id = ?", job)
        return found[0] if found else None

    def count(self, state: str) -> int:
        """How many jobs are in this state."""
        return self._number("SELECT COUNT(*) FROM jobs WHERE state = ?", state)

    def ahead(self, job: Job) -> int:
        """How many jobs come before one that waits: images before images, others before others."""
        query = "SELECT COUNT(*) FROM jobs WHERE state = ? AND created < ? AND (kind = ?) = ?"
        return self._number(query, QUEUED, job.created, IMAGE, job.kind == IMAGE)

    def claim(self, *, image: bool = True) -> Job | None:
        """The image, or what is none, that waits longest, which is running from now on."""
        with self._transaction() as connection:
            row = connection.execute(
                f"UPDATE jobs SET state = ?, started = ?, attempts = attempts + 1 WHERE id ="
                f" (SELECT id FROM jobs WHERE state = ? AND (kind = ?) = ? ORDER BY created LIMIT 1)"
                f" RETURNING {COLUMNS}",
                (RUNNING, time.time(), QUEUED, IMAGE, image),
            ).fetchone()
        return _job(row) if row else None

    def put_back(self, job: Job) -> None:
        """A running job waits again, as if it had not begun."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, attempts = attempts - 1 WHERE id = ? AND state = ?",
                (QUEUED, job.id, RUNNING),
            )

    def finish(self, job: Job, outcome: Mapping[str, Any]) -> None:
        """A running job is done; its files are written. Its row and its line in the audit log come together."""
        size = sum(file.stat().st_size for file in (self._folder / job.id).iterdir())
        with self._transaction() as connection:
            changed = connection.execute(
                "UPDATE jobs SET state = ?, finished = ?, outcome = ?, bytes = ? WHERE id = ? AND state = ?",
                (DONE, time.time(), json.dumps(dict(outcome)), size, job.id, RUNNING),
            ).rowcount
            if changed:
                self._audit(connection, job.client, str(outcome["report"]["model"]), job.digest, job.options, job.id)

    def end(self, job: str, state: str, error: str) -> bool:
        """An unfinished job failed or was cancelled, and its files go; whether it was unfinished still."""
        with self._transaction() as connection:
            changed = connection.execute(
                f"UPDATE jobs SET state = ?, finished = ?, error = ?, bytes = 0 WHERE id = ? AND {IS_UNFINISHED}",
                (state, time.time(), error, job),
            ).rowcount
        if changed:
            shutil.rmtree(self._folder / job, ignore_errors=True)
        return bool(changed)

    def remove(self, job: str) -> None:
        """Forget a finished job."""
        with self._transaction() as connection:
            connection.execute(f"DELETE FROM jobs WHERE id = ? AND NOT {IS_UNFINISHED}", (job,))
        shutil.rmtree(self._folder / job, ignore_errors=True)

    def audit(self, client: str, model: str, digest: str, options: Mapping[str, Any]) -> None:
        """Note who ran which model on what, for a request that was answered directly."""
        with self._transaction() as connection:
            self._audit(connection, client, model, digest, options, "")

    def recover(self) -> list[Job]:
        """Make good what a killed service left: the unfinished jobs, as they are now."""
        for job in self._rows("WHERE state = ?", RUNNING):
            outcome = self.path(job.id, OUTCOME)
            if outcome.exists():  # everything was written but the row
                self.finish(job, json.loads(outcome.read_text("utf-8")))
            elif job.attempts >= MOST_ATTEMPTS:
                self.end(job.id, FAILED, f"the service stopped {job.attempts} times while it did this job")
            else:
                with self._transaction() as connection:
                    connection.execute("UPDATE jobs SET state = ? WHERE id = ?", (QUEUED, job.id))
        known = {name for (name,) in self._found("SELECT id FROM jobs")}
        for folder in self._folder.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)
        return self._rows(f"WHERE {IS_UNFINISHED}")

    def expire(self, before: float, most_bytes: int) -> None:
        """Forget jobs that were finished before a moment, and the oldest while all take more than so many bytes."""
        total = self.stored()
        query = f"SELECT id, finished, bytes FROM jobs WHERE NOT {IS_UNFINISHED} ORDER BY finished"
        for job, finished, size in self._found(query):
            if finished < before or total > most_bytes:
                total -= size
                self.remove(job)

    def stored(self) -> int:
        """Bytes of all jobs."""
        return self._number("SELECT TOTAL(bytes) FROM jobs")

    def _number(self, query: str, *values: Any) -> int:
        return int(self._found(query, *values)[0][0])

    def _rows(self, where: str, *values: Any) -> list[Job]:
        return [_job(row) for row in self._found(f"SELECT {COLUMNS} FROM jobs {where}", *values)]

    def _found(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise OutputError("cannot write the data base of jobs", got=str(error)) from error
            finally:
                if self._connection.in_transaction:  # whatever went wrong, the next one can begin
                    self._connection.execute("ROLLBACK")

    @staticmethod
    def _audit(
        connection: sqlite3.Connection, client: str, model: str, digest: str, options: Mapping[str, Any], job: str
    ) -> None:
        values = (time.time(), client, model, digest, json.dumps(dict(options)), job)
        connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", values)


def _job(row: tuple[Any, ...]) -> Job:
    values = dict(zip((field.name for field in fields(Job)), row, strict=True))
    plain = {name: json.loads(values[name]) if values[name] else None for name in ("options", "outcome")}
    return Job(**{**values, **plain, "blend": bool(values["blend"])})
