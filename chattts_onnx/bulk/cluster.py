"""A job on a Ray cluster: Ray Data hands shards to workers, each with the bundle open.

Corpus, bundle and output lie on storage that all nodes see under the same paths.  Ray gives a
dead node's shards to another; a shard is the same bytes whoever speaks it, and is committed by a
rename, so it does not matter when two workers had it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import ChatTTSError, InputError
from .errors import BulkError
from .job import Job, locked
from .shards import Store, read_entries
from .summary import Summary, Tally, write_summary

OnProgress = Callable[[Tally], object]
Row = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """Where to run: ``address`` of a cluster, ``auto`` for the one this machine belongs to, or
    ``local`` to start one; ``workers`` bundles, each with its share of a node."""

    address: str = "auto"
    workers: int = 1
    cpus_per_worker: float = 1
    gpus_per_worker: float = 0

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"workers is {self.workers}; expected at least 1.")


def run_on_ray(
    job: Job,
    cluster: Cluster,
    slots: int = 8,
    runtime: dict[str, Any] | None = None,
    on_progress: OnProgress | None = None,
) -> Summary:
    """Speak what is left of a job on a cluster; as :func:`.run`, its result and its errors.

    ``runtime`` holds keyword arguments of :func:`~chattts_onnx.open_bundle`.
    """
    ray = _ray()
    with locked(job.output):
        job.open()
        store = Store(job)
        pending = store.pending()
        tally = Tally(job.scan.lines)
        tally.resumed = job.scan.lines - sum(len(job.scan.numbers(shard)) for shard in pending)
        if pending:
            options = {"providers": None, "threads": None, "verify": True, **(runtime or {})}
            for row in _shards(ray, job, cluster, (pending, slots, options)):
                _count(tally, row)
                if on_progress is not None:
                    on_progress(tally)
        store.conclude()
        return write_summary(store, tally)


class ShardSpeaker:
    """A worker: opens the bundle once, then speaks one shard a call."""

    def __init__(self, job: Job, slots: int, runtime: dict[str, Any]) -> None:
        from ..bundle import open_bundle
        from .speaking import Speaker

        self._store = Store(job)
        self._speaker = Speaker(
            open_bundle(job.bundle, huge_pages=True, **runtime), job.settings, slots
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Speak the shards in the column ``shard``; a row of counts for each."""
        rows = [self._speak(int(shard)) for shard in batch["shard"]]
        return {key: [row[key] for row in rows] for key in rows[0]}

    def _speak(self, shard: int) -> Row:
        import ray

        from .run import speak_shards

        store, tally = self._store, Tally(len(self._store.job.scan.numbers(shard)))
        if not store.finished(shard):
            try:
                speak_shards(store, self._speaker, [shard], tally)
            except (BulkError, OSError):
                # Another worker that had the shard before may have committed it meanwhile.
                if not store.finished(shard):
                    raise
        entries = list(read_entries(store.part(shard)))
        return {
            "shard": shard,
            "lines": len(entries),
            "failed": sum(entry["status"] != "ok" for entry in entries),
            "seconds": float(sum(entry["seconds"] for entry in entries)),
            "node": ray.get_runtime_context().get_node_id(),
        }


def _shards(
    ray: Any, job: Job, cluster: Cluster, work: tuple[list[int], int, dict[str, Any]]
) -> Iterator[Row]:
    """Counts of each shard, as they are committed."""
    pending, slots, runtime = work
    _connect(ray, cluster)
    from ray.data import ActorPoolStrategy, DataContext

    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    # One block a shard, so that each is given out, and given out again, by itself.
    rows = [{"shard": shard} for shard in pending]
    shards = ray.data.from_items(rows, override_num_blocks=len(rows))
    spoken = shards.map_batches(
        ShardSpeaker,
        fn_constructor_args=(job, slots, runtime),
        batch_size=1,
        compute=ActorPoolStrategy(
            min_size=1, max_size=cluster.workers, max_tasks_in_flight_per_actor=2
        ),
        num_cpus=cluster.cpus_per_worker,
        num_gpus=cluster.gpus_per_worker or None,
    )
    try:
        yield from spoken.iter_rows()
    except ChatTTSError:
        raise
    except Exception as error:
        raise BulkError(
            f"the cluster did not finish: {_cause(error)} Run the same command again when it is "
            "mended; finished shards are kept."
        ) from error


def _connect(ray: Any, cluster: Cluster) -> None:
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(address=cluster.address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"no Ray cluster at {cluster.address!r}: {error} Start one with `ray start --head`, "
            "or use --ray local."
        ) from error


def _count(tally: Tally, row: Row) -> None:
    tally.lines += row["lines"]
    tally.failed += row["failed"]
    tally.seconds += row["seconds"]
    tally.machines.add(str(row["node"]))


def _cause(error: BaseException) -> str:
    """The last line of what the worker said."""
    inner = getattr(error, "cause", None) or error.__cause__ or error
    return str(inner).strip().splitlines()[-1] if str(inner).strip() else type(inner).__name__


def _ray() -> Any:
    try:
        import ray
        import ray.data  # noqa: F401  as ray.data below
    except ImportError as error:
        raise InputError(
            "--ray needs Ray; install chattts-onnx[ray] on all nodes, or leave --ray out."
        ) from error
    return ray
