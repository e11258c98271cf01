from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from chattts_onnx import Bundle, BundleError, InputError, ProviderError, open_bundle
from chattts_onnx.graphs import sessions


def test_threads_come_from_the_machine_or_the_caller(bundle_path: Path) -> None:
    assert 1 <= sessions.available_cores() <= len(os.sched_getaffinity(0))
    assert open_bundle(bundle_path, verify=False).config.threads == sessions.available_cores()
    chosen = open_bundle(bundle_path, threads=3, verify=False)
    options = chosen.session("vocos").get_session_options()
    assert options.intra_op_num_threads == 3
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="threads is"):
            open_bundle(bundle_path, threads=wrong)  # type: ignore[arg-type]


def test_spinning_stops_when_idle(bundle_path: Path) -> None:
    for spinning in (True, False):
        bundle = open_bundle(bundle_path, threads=1, verify=False, spinning=spinning)
        options = bundle.session("vocos").get_session_options()
        expected = str(int(spinning))
        entry = options.get_session_config_entry
        assert entry("session.intra_op.allow_spinning") == expected
        assert entry("session.force_spinning_stop") == expected


def test_provider_choice(bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_bundle(bundle_path, [sessions.CPU], verify=False).providers == [sessions.CPU]
    with pytest.raises(ProviderError, match="MadeUpProvider is not offered"):
        open_bundle(bundle_path, ["MadeUpProvider"])
    with pytest.raises(InputError, match="expected a list"):
        open_bundle(bundle_path, sessions.CPU)
    offered = [sessions.CUDA, sessions.CPU]
    monkeypatch.setattr(ort, "get_available_providers", lambda: offered)
    (first, options), (last, _) = sessions.choose_providers(None)
    assert (first, last) == (sessions.CUDA, sessions.CPU)
    assert options["enable_skip_layer_norm_strict_mode"] == "1"
    own = sessions.choose_providers([(sessions.CUDA, {"device_id": 1})])
    assert own[0][1]["device_id"] == 1 and own[-1][0] == sessions.CPU


@pytest.mark.skipif(
    sessions.CUDA in ort.get_available_providers(), reason="this ONNX Runtime has CUDA"
)
def test_provider_that_does_not_start_is_an_error(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = [sessions.CUDA, sessions.CPU]
    with monkeypatch.context() as patch:
        patch.setattr(ort, "get_available_providers", lambda: offered)
        bundle = open_bundle(bundle_path, verify=False)
    with pytest.raises((ProviderError, BundleError)):
        bundle.session("vocos")


def test_node_assignment_counts_operators(bundle: Bundle, bundle_path: Path) -> None:
    bundle.forced(
        np.ones((1, 2, bundle.model.num_vq), dtype=np.int64),
        np.ones((1, 2)),
        np.ones((1, 2, bundle.model.num_vq), dtype=np.int64),
    )
    placed = bundle.node_assignment()["gpt"]
    assert list(placed) == [sessions.CPU]
    layers = bundle.model.num_hidden_layers
    assert placed[sessions.CPU]["com.microsoft::GroupQueryAttention"] == layers
    with pytest.raises(InputError, match="record_assignment"):
        open_bundle(bundle_path, verify=False).node_assignment()


def test_damaged_graph_is_a_bundle_error(bundle_path: Path, tmp_path: Path) -> None:
    opened = open_bundle(bundle_path, threads=1, verify=False)
    broken = tmp_path / "vocos.onnx"
    broken.write_bytes(b"not a graph")
    with pytest.raises(BundleError, match="no ONNX graph"):
        sessions.open_session(broken, opened.manifest.graph("vocos"), opened.config)
