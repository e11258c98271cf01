"""What fills a step: kernels by name, and the time in which none runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from statistics import median

from pipeline.report.rows import Row, make_row
from pipeline.studies.gpu.decode import Engine
from pipeline.studies.gpu.setup import Setup

SHOWN = 16


def profile(setup: Setup, variant: str, mode: str) -> Iterator[Row]:
    """Microseconds a step at the first batch and length of the setup, by CUPTI.

    ONNX Runtime's own profiler shows when kernels were launched, not how long they ran.
    """
    import torch
    from torch._C._autograd import DeviceType
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as torch_profile

    cuda = setup.device == "cuda"
    if cuda:
        torch.zeros(1, device="cuda")  # CUPTI has to be there before the first kernel
    size, engine = setup.size, Engine(setup, variant, mode)
    where = {"mode": mode, "batch": size.batches[0], "length": size.lengths[0]}
    where["checkpoint"] = setup.checkpoint
    running = engine.running(size.batches[0], size.lengths[0], size.warmup + 2 * size.steps + 2)
    for _ in range(size.warmup):
        running.step()
    times = []
    for _ in range(size.steps):
        started = time.perf_counter()
        running.step()
        times.append(time.perf_counter() - started)
    wall = median(times) * 1e6
    yield make_row(variant, "wall_us", wall, "µs", **where)
    if not cuda:
        return
    with torch_profile(activities=[ProfilerActivity.CUDA]) as recorded:
        for _ in range(size.steps):
            running.step()
        torch.cuda.synchronize()
    spent: Counter[str] = Counter()
    launches: Counter[str] = Counter()
    for event in recorded.events() or []:
        if event.device_type == DeviceType.CUDA:
            spent[event.name] += event.device_time_total
            launches[event.name] += 1
    busy = sum(spent.values()) / size.steps
    yield make_row(variant, "kernels_us", busy, "µs", **where)
    yield make_row(variant, "idle_us", wall - busy, "µs", **where)
    count = sum(launches.values()) / size.steps
    yield make_row(variant, "kernels_a_step", count, "kernels", **where)
    for name, total in spent.most_common(SHOWN):
        label = name.replace("|", "/")[:90]
        yield make_row(variant, "kernel_us", total / size.steps, "µs", kernel=label, **where)
