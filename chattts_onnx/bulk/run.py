"""A job on this machine: shards in order, one batch that runs through all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from ..bundle import Bundle
from ..errors import ChatTTSError
from .corpus import Corpus, Record
from .errors import BulkError, LineError
from .job import Job, locked
from .line import Defaults, Line, line_id, parse_line
from .shards import Entry, OpenShard, Store
from .speaking import Speaker
from .summary import Summary, Tally, write_summary
from .utterance import Task, line_entry, status

OnProgress = Callable[[Tally], object]
Read = Callable[[Record, int], Line | Entry]


def run(job: Job, bundle: Bundle, slots: int = 8, on_progress: OnProgress | None = None) -> Summary:
    """Speak what is left of a job; see :class:`Job` for what it writes.

    ``slots`` lines are spoken at once.  ``on_progress`` is called after each line.  Raises
    :class:`~.errors.JobError` when the folder holds another job, and
    :class:`~.errors.BulkError` when the machine is at fault; both leave what is finished.
    """
    with locked(job.output):
        job.open()
        store = Store(job)
        speaker = Speaker(bundle, job.settings, slots)
        tally = Tally(job.scan.lines)
        pending = store.pending()
        tally.resumed = job.scan.lines - sum(len(job.scan.numbers(shard)) for shard in pending)
        speak_shards(store, speaker, pending, tally, on_progress)
        store.conclude()
        return write_summary(store, tally, speaker.slots, speaker.occupancy)


def speak_shards(
    store: Store,
    speaker: Speaker,
    shards: Iterable[int],
    tally: Tally,
    on_progress: OnProgress | None = None,
) -> None:
    """Speak and commit the given shards; the batch stays full across their borders."""
    work = Work(store, tally)
    for task, entry in speaker.speak(work.tasks(list(shards))):
        work.conclude(task, entry)
        if on_progress is not None:
            on_progress(tally)


class Work:
    """The shards in hand: few, since lines end in about the order in which they began.

    ``read`` makes the line of a record and its number, or the entry that says why there is none.
    """

    def __init__(self, store: Store, tally: Tally, read: Read | None = None) -> None:
        job = store.job
        self._store = store
        self._tally = tally
        self._read = read or (
            lambda record, number: read_line(job.corpus, record, number, job.settings.defaults)
        )
        self._open: dict[int, OpenShard] = {}

    def tasks(self, shards: list[int]) -> Iterator[Task]:
        """Lines to speak.  Lines that can't be read are recorded here."""
        job, previous = self._store.job, None
        records: Iterator[Record] = iter(())
        for shard in shards:
            # Neighbours are read in one go: seeking in Parquet reads a row group from its start.
            if previous is None or shard != previous + 1:
                records = job.corpus.records(job.scan.starts[shard])
            previous = shard
            opened = self._open[shard] = self._store.open(shard)
            self._tally.resumed += opened.recovered
            for number in opened.numbers:
                record = _next(records)
                if number not in opened:
                    line = self._read(record, number)
                    if isinstance(line, Line):
                        yield Task(line, opened.scratch(number))
                    else:
                        self._add(opened, line)
            self._finish(shard)

    def conclude(self, task: Task, entry: Entry) -> None:
        """Record what came of a line, and finish its shard with the last."""
        shard = task.line.number // self._store.job.scan.shard_lines
        opened = self._open[shard]
        if entry["status"] == "ok":
            entry |= opened.keep(task.line)
        self._add(opened, entry)
        self._finish(shard)

    def _add(self, opened: OpenShard, entry: Entry) -> None:
        if not self._store.job.settings.keep_text:
            entry["text"] = None
        opened.add(entry)
        self._tally.add(entry)

    def _finish(self, shard: int) -> None:
        if shard in self._open and self._open[shard].complete:
            self._open.pop(shard).finish()


def read_line(corpus: Corpus, record: Record, number: int, defaults: Defaults) -> Line | Entry:
    """The line of a record, or the manifest's entry that says why there is none."""
    fields: dict[str, Any] = {}
    try:
        fields = corpus.fields(record)
        return parse_line(number, fields, defaults)
    except LineError as error:
        return bad_entry(number, fields, error)


def bad_entry(number: int, fields: dict[str, Any], error: ChatTTSError) -> Entry:
    """What the manifest says of a line that could not be read."""
    try:
        name = line_id(number, fields)
    except LineError:
        name = str(number)
    text = fields.get("text")
    shown = text.encode("utf-8", "replace").decode() if isinstance(text, str) else ""
    return {
        **line_entry(Line(number, name, shown, None, {})),
        "file": None,
        "sha256": None,
        "samples": 0,
        "seconds": 0.0,
        "finished": False,
        "sentences": None,
        **status(error),
    }


def lines(corpus: Corpus, defaults: Defaults, limit: int | None = None) -> Iterator[Line | Entry]:
    """Every line of a corpus, or what is wrong with it, in order."""
    records = corpus.records()
    for number, record in enumerate(islice(records, limit)):
        yield read_line(corpus, record, number, defaults)


def _next(records: Iterator[Record]) -> Record:
    record = next(records, None)
    if record is None:
        raise BulkError("the corpus has become shorter since it was counted; leave it as it is.")
    return record
