"""A whole INT8 bundle from the FP32 bundle, its calibration and a configuration."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from chattts_onnx.format.manifest import Manifest
from pipeline.core.errors import QuantizationError
from pipeline.graphs.probe import Feeds
from pipeline.quantization.calibration.recording import Recording, graph_feeds
from pipeline.quantization.calibration.recordings_file import load_recordings
from pipeline.quantization.calibration.statistics import GraphStatistics, load_statistics
from pipeline.quantization.config import Int8Config
from pipeline.quantization.int8.graph import Int8Graph, quantize_graph
from pipeline.quantization.kv_cache import cache_scales, load_magnitudes
from pipeline.quantization.sizes import graph_hashes

Array = NDArray[Any]


@dataclass
class Int8Builder:
    """Quantizes graphs of one FP32 bundle, as often as one likes.

    Attributes:
        source: the FP32 bundle.
        manifest: its manifest.
        statistics: of its activations, by graph.
        recordings: what it spoke when they were collected.
        magnitudes: of its keys and values, see :func:`.kv_cache.collect_magnitudes`.
        scratch: folder for what is made to be measured.
    """

    source: Path
    manifest: Manifest
    statistics: Mapping[str, GraphStatistics]
    recordings: list[Recording]
    magnitudes: Array
    scratch: Path

    def build(
        self,
        name: str,
        config: Int8Config,
        destination: Path,
        count_operators: bool = True,
    ) -> Int8Graph:
        """Write the INT8 form of the graph ``name`` to ``destination``.

        Raises:
            QuantizationError: see :func:`pipeline.quantization.int8.graph.quantize_graph`.
        """
        if name not in self.statistics:
            raise QuantizationError(
                f"found no calibration of graph '{name}'; run the calibrate stage again"
            )
        path = self.source / self.manifest.graph(name).file
        cache = cache_scales(config.cache, self.magnitudes) if name == "gpt" else None
        return quantize_graph(
            path, name, self.statistics[name], config, destination, count_operators, cache
        )

    def feeds(self, name: str) -> Iterator[Feeds]:
        """Inputs of a graph, recording by recording."""
        for recording in self.recordings:
            yield from graph_feeds(name, self.manifest.model, recording)


@contextmanager
def opened_builder(source: Path, calibration: Path) -> Iterator[Int8Builder]:
    """A builder for the FP32 bundle ``source`` and what the calibrate stage made of it.

    Raises:
        BundleError: the FP32 bundle is missing or damaged.
        QuantizationError: the calibration is missing, damaged or of another bundle.
    """
    manifest = Manifest.load(source, verify=False)
    statistics = load_statistics(calibration, graph_hashes(manifest))
    recordings, magnitudes = load_recordings(calibration), load_magnitudes(calibration)
    with tempfile.TemporaryDirectory(prefix="int8-") as scratch:
        yield Int8Builder(source, manifest, statistics, recordings, magnitudes, Path(scratch))


def link_rest(source: Path, folder: Path, made: Collection[str]) -> None:
    """Let ``folder`` hold links to all files of the bundle ``source`` but ``made`` graphs'.

    A bundle made this way is opened without verification: its manifest is FP32's, unless ``folder``
    has one.
    """
    for path in source.iterdir():
        graph = path.name.split(".", 1)[0]
        if graph not in made and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path.resolve())
