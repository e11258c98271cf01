"""What fills a step: kernels by name, and the time in which none runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pipeline.benchmark.engine import WARM_STEPS
from pipeline.benchmark.engine_bundle import BundleEngine
from pipeline.report.rows import Row, make_row
from pipeline.studies.gpu.plan import Timed
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
    config = setup.size.config()
    batch, length, steps = config.batches[0], config.lengths[0], config.steps
    engine = BundleEngine(Timed(variant, mode).spec(setup))
    where = {"mode": mode, "batch": batch, "length": length, "checkpoint": setup.checkpoint}
    wall = engine.decode(batch, length, steps).seconds / steps * 1e6
    yield make_row(variant, "wall_us", wall, "µs", **where)
    if not cuda:
        return
    running = engine.running(batch, length, WARM_STEPS + steps)
    for _ in range(WARM_STEPS):
        running.step()
    with torch_profile(activities=[ProfilerActivity.CUDA]) as recorded:
        for _ in range(steps):
            running.step()
        torch.cuda.synchronize()
    spent: Counter[str] = Counter()
    launches: Counter[str] = Counter()
    for event in recorded.events() or []:
        if event.device_type == DeviceType.CUDA:
            spent[event.name] += event.device_time_total
            launches[event.name] += 1
    busy = sum(spent.values()) / steps
    yield make_row(variant, "kernels_us", busy, "µs", **where)
    yield make_row(variant, "idle_us", wall - busy, "µs", **where)
    count = sum(launches.values()) / steps
    yield make_row(variant, "kernels_a_step", count, "kernels", **where)
    for name, total in spent.most_common(SHOWN):
        label = name.replace("|", "/")[:90]
        yield make_row(variant, "kernel_us", total / steps, "µs", kernel=label, **where)
