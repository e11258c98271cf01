"""Speaks a corpus on a cluster of four nodes and kills one that is at work.

``python -m tests.chattts_onnx.bulk.cluster_run CORPUS BUNDLE OUTPUT``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import ray
from ray.cluster_utils import Cluster as LocalCluster

from chattts_onnx.bulk.cluster import Cluster, run_on_ray
from chattts_onnx.bulk.summary import Tally
from tests.chattts_onnx.bulk.corpora import make_job

STORE_BYTES = 80 << 20


def main() -> None:
    corpus, bundle, output = map(Path, sys.argv[1:4])
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # The head holds the driver's blocks and runs no worker; any of the others may die.
    head = {"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = LocalCluster(initialize_head=True, head_node_args=head)
    worker = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "wait": False}
    nodes = [cluster.add_node(**worker) for _ in range(3)]
    cluster.wait_for_nodes(timeout=300)
    killed: list[str] = []

    def kill(tally: Tally) -> None:
        if not killed:
            (name,) = tally.machines
            node = next(node for node in nodes if node.node_id == name)
            cluster.remove_node(node, allow_graceful=False)
            killed.append(name)
            print(f"killed after {tally.lines} lines", flush=True)

    try:
        ray.init(address=cluster.address, log_to_driver=False)
        job = make_job(corpus, bundle, output, shard_lines=3)
        where = Cluster(cluster.address, workers=2)
        summary = run_on_ray(job, where, 2, {"threads": 1}, kill)
        print(f"machines {summary.machines}", flush=True)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
