"""A whole INT8 bundle from the FP32 bundle, its calibration and a configuration."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from chattts_onnx.format.manifest import Manifest
from pipeline.core.errors import QuantizationError
from pipeline.graphs.files import load_graph, save_graph
from pipeline.graphs.probe import Feeds
from pipeline.quantization.calibration.histogram import Histogram
from pipeline.quantization.calibration.recording import Recording, graph_feeds
from pipeline.quantization.calibration.recordings_file import load_recordings
from pipeline.quantization.calibration.statistics import GraphStatistics, collect, load_statistics
from pipeline.quantization.config import Int8Config
from pipeline.quantization.int8.graph import Int8Graph, quantize_graph
from pipeline.quantization.int8.smoothing import smooth
from pipeline.quantization.kv_cache import cache_scales, load_magnitudes
from pipeline.quantization.sizes import graph_hashes

Array = NDArray[Any]
Smoothing = tuple[str, float, bool]


@dataclass
class Int8Builder:
    """Quantizes graphs of one FP32 bundle, as often as one likes.

    Smoothing changes the distribution of activations, so that a smoothed graph is calibrated
    anew, over the same recordings; the result is kept for the next configuration that needs it.

    Attributes:
        source: the FP32 bundle.
        manifest: its manifest.
        statistics: of its activations, by graph.
        recordings: what it spoke when they were collected.
        magnitudes: of its keys and values, see :func:`.kv_cache.collect_magnitudes`.
        scratch: folder for smoothed graphs.
    """

    source: Path
    manifest: Manifest
    statistics: Mapping[str, GraphStatistics]
    recordings: list[Recording]
    magnitudes: Array
    scratch: Path
    _smoothed: dict[Smoothing, tuple[Path, GraphStatistics]] = field(default_factory=dict)

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
        path, statistics = self.prepared(name, config)
        cache = cache_scales(config.cache, self.magnitudes) if name == "gpt" else None
        return quantize_graph(path, name, statistics, config, destination, count_operators, cache)

    def prepared(self, name: str, config: Int8Config) -> tuple[Path, GraphStatistics]:
        """The FP32 graph that is quantized, smoothed where wanted, and its statistics."""
        path = self.source / self.manifest.graph(name).file
        if name not in self.statistics:
            raise QuantizationError(
                f"found no calibration of graph '{name}'; run the calibrate stage again"
            )
        alpha, pairs = config.repairs.smoothing, config.repairs.smooth_pairs
        if alpha is None:
            return path, self.statistics[name]
        key = (name, alpha, pairs)
        if key not in self._smoothed:
            self._smoothed[key] = self._smooth(path, key)
        return self._smoothed[key]

    def feeds(self, name: str) -> Iterator[Feeds]:
        """Inputs of a graph, recording by recording."""
        for recording in self.recordings:
            yield from graph_feeds(name, self.manifest.model, recording)

    def _smooth(self, path: Path, key: Smoothing) -> tuple[Path, GraphStatistics]:
        name, alpha, pairs = key
        statistics = self.statistics[name]
        model = load_graph(path)
        if not smooth(model.graph, statistics, alpha, pairs):
            return path, statistics
        folder = self.scratch / f"smooth-{alpha:g}-{'pairs' if pairs else 'norms'}"
        folder.mkdir(parents=True, exist_ok=True)
        save_graph(model, folder / path.name)
        collected = collect(folder / path.name, name, self.feeds(name), _bins(statistics))
        return folder / path.name, collected


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


def _bins(statistics: GraphStatistics) -> int:
    histogram: Histogram = next(iter(next(iter(statistics.tensors.values())).values()))
    return histogram.bins
