"""The README inside a model repository."""

from __future__ import annotations

from chattts_onnx.format.manifest import Manifest
from pipeline.release.triton.config import TritonConfig
from pipeline.release.triton.model.inputs import FIELDS
from pipeline.release.triton.text import SPEECH, VOCODER, VOCODER_GRAPH

_TEXT = """\
# Triton model repository: {checkpoint}, {variant}

Made by `python -m pipeline.release.triton` from the bundle `{variant}`; weights under the licence
of their checkpoint ({license}).

```console
$ tritonserver --model-repository=model_repository
```

The Python backend's interpreter needs `numpy`, `onnxruntime` and `tokenizers` (versions below).
The engine itself and the bundle lie in `{speech}/1/`.

| package | version |
|---|---|
{packages}

## `{speech}`: text to chunks of audio

Decoupled, so over **gRPC streaming** only. One request is one text; each response holds one chunk
of speech at {sample_rate} Hz: `audio` (float32 within -1 and 1), `pcm` (the same as int16) and
`sample_rate`. Ask only for the outputs you need. The last response is empty and final.

| input [1] | type | | |
|---|---|---|---|
{inputs}

Up to {slots} requests are spoken at once by each instance and {queue} wait; one more is answered
with *unavailable*. A wrong input is answered with *invalid argument* and says what was expected. A
client that cancels its stream gives its slot back within a step or two. Long texts are spoken in
pieces.

`max_batch_size` is 0 and there is no `dynamic_batching` here: Triton's batcher starts requests
together, the engine lets them join and leave a running batch.

On the metrics port, next to Triton's own: `chattts_slots_running`, `chattts_requests_waiting` and
`chattts_requests_total` by outcome.

```python
import numpy as np
import tritonclient.grpc as triton

text = triton.InferInput("text", [1], "BYTES")
text.set_data_from_numpy(np.array([b"Hello there."], dtype=np.object_))
client = triton.InferenceServerClient("localhost:8001")
client.start_stream(lambda result, error: print(error or result.as_numpy("pcm").shape))
client.async_stream_infer("{speech}", [text], outputs=[triton.InferRequestedOutput("pcm")])
client.stop_stream()  # waits for the rest
```

## `{vocoder}`: log-mel to waveform

The bundle's graph `{graph}` in the {backend} backend, for those who bring mels of their own:
`{mel}` [{mel_dims}] to `{waveform}` [{waveform_dims}], batched by Triton (`dynamic_batching`, up
to {max_batch} mels of one length). `{speech}` does not call it: its chunks are decoded next to the
engine, which spares a copy through shared memory per chunk.

## What differs on a GPU

{gpu}
"""

_GPU = """\
This repository is made for {here}. `--device {other}` makes the other kind. What changes:

| | CPU | GPU |
|---|---|---|
| bundle | `int8`, `w8` or `w4` | `fp16`, or 8- or 4-bit weights made for CUDA |
| `instance_group` | `KIND_CPU` | `KIND_GPU`: `count` instances on every visible GPU |
| package | `onnxruntime` | `onnxruntime-gpu[cuda,cudnn]`, in its place |
| speech model | CPU provider, `threads` | CUDA provider with `cuda_options` |
| vocoder | CPU | CUDA provider with the options of the `cuda` accelerator block |
| arena | – | `arena_extend_strategy: kSameAsRequested`; several instances: `gpu_mem_limit` |

Codes are drawn on the GPU, too. The GPU form of these configurations is checked against Triton's
schema; it has not run on a tritonserver with a GPU here.

Raise `slots` before `instance_group.count`: an instance more is a process more with weights and a
cache of its own, while a slot more is a row more in the same steps. Leave ONNX Runtime's graph
optimization alone: in the onnxruntime backend `optimization.graph.level: 2` switches it off."""


def readme(manifest: Manifest, config: TritonConfig) -> str:
    """The README of one repository, in Markdown."""
    graph = manifest.graph(VOCODER_GRAPH)
    (mel,), (waveform,) = graph.inputs, graph.outputs
    here, other = ("the CPU", "gpu") if config.device == "cpu" else ("GPUs", "cpu")
    return _TEXT.format(
        checkpoint=manifest.checkpoint.get("name", "unknown"),
        variant=manifest.variant,
        license=manifest.checkpoint.get("license", "unknown"),
        speech=SPEECH,
        vocoder=VOCODER,
        graph=graph.file,
        backend=config.vocoder.backend,
        packages="\n".join(
            f"| {name} | {manifest.tools.get(name, 'as the bundle names')} |"
            for name in ("numpy", "onnxruntime", "tokenizers")
        ),
        sample_rate=f"{manifest.model.sample_rate:,}",
        inputs="\n".join(
            f"| `{field.name}` | {field.dtype[5:]} | {'' if field.optional else 'required'} "
            f"| {field.meaning} |"
            for field in FIELDS
        ),
        slots=config.speech.slots,
        queue=config.speech.queue_size,
        mel=mel.name,
        waveform=waveform.name,
        mel_dims=", ".join(map(str, mel.shape)),
        waveform_dims=", ".join(map(str, waveform.shape)),
        max_batch=config.vocoder.max_batch_size,
        gpu=_GPU.format(here=here, other=other),
    )
