"""The journal's file: a SQLite database in WAL mode, which several processes may share.

One row per answer, in the order in which they came, so that few pages change with each answer.
Their index is made when an answer is first looked for: most runs only write, and it would cost them
as much again. It holds whole numbers alone. (Measured: a table that is ordered by keys costs three
times as much to write.) Rows become durable in groups: all that came in during one turn of the
event loop are one transaction. ``synchronous`` is NORMAL: what is committed survives the death of
every process, and the file survives a power cut.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_lmmeval.errors import JournalError

# "lmmj", so that no other database is taken for a journal.
_APPLICATION = 0x6C6D6D6A
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, began REAL NOT NULL);
CREATE TABLE IF NOT EXISTS models (
    made_from BLOB PRIMARY KEY, seen REAL NOT NULL, facts TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    id INTEGER PRIMARY KEY, key INTEGER NOT NULL, rest INTEGER NOT NULL, doc INTEGER NOT NULL,
    run INTEGER NOT NULL, answer TEXT NOT NULL);
"""
_INDEX = "CREATE INDEX IF NOT EXISTS answers_by_key ON answers (key, doc)"
# How long another process may hold the file, in seconds. A transaction takes far below one.
_PATIENCE = 60.0
_PAUSE = 0.05
# Among how many rows of other docs that asked the same an answer is looked for. All docs of a task
# may ask the same, and each of them looks.
_OTHER_DOCS = 64
_OF_DOC = """
SELECT id, run, answer FROM answers WHERE key = ? AND rest = ? AND doc = ? ORDER BY id DESC
"""
_OF_ANY_DOC = f"""
SELECT id, run, answer FROM answers WHERE key = ? AND rest = ? LIMIT {_OTHER_DOCS}
"""
_TWO_NUMBERS = struct.Struct(">qq")


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer to be kept.

    Attributes:
        key: What decided it, 16 bytes.
        doc: Whose it is: task, doc, request and repeat.
        answer: The response, as ``answer_text.encoded`` made it.
    """

    key: bytes
    doc: str
    answer: str


@dataclass(frozen=True, slots=True)
class Found:
    """An answer that was there.

    Attributes:
        row: Its row, for ``write``.
        answer: The response, as ``answer_text.encoded`` made it.
        is_own: Whether this run has it already.
    """

    row: int
    answer: str
    is_own: bool


def _is_busy(error: BaseException) -> bool:
    """Whether another process holds the file, and nothing is wrong with it."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)  # less what extends a code


def _halves(key: bytes) -> tuple[int, int]:
    """Return a key as two numbers, as SQLite has them."""
    first, second = _TWO_NUMBERS.unpack(key)
    return first, second


def _number(doc: str) -> int:
    digest = hashlib.blake2b(doc.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class Store:
    """An open journal. For one thread at a time; each pipeline opens its own.

    Args:
        path: The file; made, with its folder, if it is not there.
        run: Name of the run, the same in all of its processes.

    Raises:
        JournalError: It cannot be opened, or is no journal.
    """

    def __init__(self, path: Path, run: str) -> None:
        self.path = path
        self._is_indexed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Opened by one thread, used by the event loop's, closed by either.
            self._db = sqlite3.connect(
                path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"journal {path}: {error}") from error
        try:
            with self._told():
                self._prepare()
                self._run = self._note_run(run)
        except JournalError:
            self._db.close()
            raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise JournalError(f"journal {self.path}: {error}") from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:  # whatever it was: no transaction stays open
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _prepare(self) -> None:
        # In this order: another process may make the tables, and name the file, between the two.
        (tables,) = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = self._db.execute("PRAGMA application_id").fetchone()
        if application != _APPLICATION and tables:
            raise JournalError(f"journal {self.path}: a database of something else")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if application == _APPLICATION and version != _VERSION:
            raise JournalError(
                f"journal {self.path}: of another version of this tool ({version}, expected "
                f"{_VERSION}); remove it or give another path"
            )
        self._write_ahead()
        self._db.execute("PRAGMA synchronous=NORMAL")
        # They would hold up the event loop; ``checkpoint`` makes them on a thread.
        self._db.execute("PRAGMA wal_autocheckpoint=0")
        if not tables:
            with self._transaction():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id={_APPLICATION}")
                self._db.execute(f"PRAGMA user_version={_VERSION}")

    def _write_ahead(self) -> None:
        """Switch to WAL mode. SQLite waits for no other process there, and several may begin."""
        switch = "PRAGMA journal_mode=WAL"
        try:
            self._db.execute(switch)
            return
        except sqlite3.Error as error:
            if not _is_busy(error):
                raise
        # Deferred: most runs find nobody there.
        from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

        again = Retrying(
            retry=retry_if_exception(_is_busy),
            stop=stop_after_delay(_PATIENCE),
            wait=wait_random(0, _PAUSE),
            reraise=True,
        )
        again(self._db.execute, switch)

    def _note_run(self, run: str) -> int:
        self._db.execute(
            "INSERT OR IGNORE INTO runs (name, began) VALUES (?, ?)", (run, time.time())
        )
        (number,) = self._db.execute("SELECT id FROM runs WHERE name = ?", (run,)).fetchone()
        return int(number)

    def find(self, key: bytes, doc: str, *, of_earlier_runs: bool) -> Found | None:
        """Return the answer to a request.

        Within a run an answer is its own doc's only: a text is generated for each doc anew, and
        only a doc that is asked again, after a worker died, finds what it was answered.

        Args:
            key: What decides the answer.
            doc: Whose it is.
            of_earlier_runs: Whether other runs' answers count, another doc's if need be.

        Raises:
            JournalError: The file cannot be read.
        """
        with self._told():
            if not self._is_indexed:
                self._db.execute(_INDEX)
                self._is_indexed = True
            rows = self._db.execute(_OF_DOC, (*_halves(key), _number(doc)))
            for row, run, answer in rows:
                if of_earlier_runs or run == self._run:
                    return Found(row, answer, is_own=run == self._run)
            if not of_earlier_runs:
                return None
            for row, run, answer in self._db.execute(_OF_ANY_DOC, _halves(key)):
                if run != self._run:
                    return Found(row, answer, is_own=False)
            return None

    def write(self, entries: Sequence[Entry], taken: Sequence[int] = ()) -> None:
        """Keep answers; once this returns they are on disk.

        Args:
            entries: The answers.
            taken: Rows of earlier runs that this one goes on from: they become its own, and go
                when it has no more need of them.

        Raises:
            JournalError: They cannot be written.
        """
        rows = [(*_halves(e.key), _number(e.doc), self._run, e.answer) for e in entries]
        moved = [(self._run, row) for row in taken]
        with self._transaction():
            self._db.executemany("INSERT INTO answers VALUES (NULL, ?, ?, ?, ?, ?)", rows)
            if moved:
                self._db.executemany("UPDATE answers SET run = ? WHERE id = ?", moved)

    def note_model(self, made_from: bytes, facts: str) -> None:
        """Remember what a model was like, for a run without one.

        Args:
            made_from: What tells its arguments from others.
            facts: What to remember; replaces what was there.

        Raises:
            JournalError: It cannot be written.
        """
        row = (made_from, time.time(), facts)
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO models VALUES (?, ?, ?)", row)

    def facts(self, made_from: bytes) -> str | None:
        """Return what was last noted of a model; None if nothing was.

        Raises:
            JournalError: The file cannot be read.
        """
        with self._told():
            row = self._db.execute(
                "SELECT facts FROM models WHERE made_from = ?", (made_from,)
            ).fetchone()
        return None if row is None else str(row[0])

    def has_own(self) -> bool:
        """Whether there are answers of this run.

        Raises:
            JournalError: The file cannot be read.
        """
        with self._told():
            rows = self._db.execute("SELECT 1 FROM answers WHERE run = ? LIMIT 1", (self._run,))
            return rows.fetchone() is not None

    def forget(self, *, older_than: float, own: bool) -> None:
        """Drop the answers of runs that began before a time of the clock, and perhaps this run's.

        Raises:
            JournalError: The file cannot be written.
        """
        old = "SELECT id FROM runs WHERE began < ? OR id = ?"
        which = (older_than, self._run if own else -1)
        with self._transaction():
            self._db.execute(f"DELETE FROM answers WHERE run IN ({old})", which)
            self._db.execute(f"DELETE FROM runs WHERE id IN ({old})", which)

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file, as far as readers allow. For any thread."""
        with contextlib.suppress(sqlite3.Error):
            db = sqlite3.connect(self.path, timeout=_PATIENCE)
            with contextlib.closing(db):
                db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close the file; the last one to do so empties the write-ahead log."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
