"""Local response normalization: this project's layer against torch.nn.LocalResponseNorm, in time and memory.

    python benchmarks/local_response_norm.py
    python benchmarks/local_response_norm.py --batch 32 --threads 2
    python benchmarks/local_response_norm.py --compile --shapes 96x55x55/2

Both sides alternate, round by round, and the ratio is taken within each round, because machines drift; the
median over the rounds is reported, and their range. --cpu-time, of all threads, is for a machine on which
others work. Peak memory is the most that is allocated at once by a
call beyond what was there before it (the input and the incoming gradient): what the CPU's allocator reports
to torch's profiler, or CUDA's own count. torch's layer has no groups; it is given each GPU's half as an image.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from topfive.layers import LocalResponseNorm

SHAPES = {  # maps x height x width / groups, where networks normalize
    "96x55x55/2": "AlexNet norm1",
    "256x27x27/2": "AlexNet norm2",
    "64x56x56/1": "GoogLeNet norm1",
    "192x56x56/1": "GoogLeNet norm2",
}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
CONSTANTS = (5, 1e-4, 0.75, 2.0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), help="maps x h x w / groups")
    parser.add_argument("--layouts", nargs="+", default=list(LAYOUTS), choices=LAYOUTS)
    parser.add_argument("--batch", type=int, default=128, help="images (default 128)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of both sides (default 5)")
    parser.add_argument(
        "--dtype",
        default="float32",
        choices=["float32", "bfloat16", "float16"],
        help="half precision needs CUDA: torch's layer has none on the CPU",
    )
    parser.add_argument("--threads", type=int, default=None, help="default: torch's own choice")
    parser.add_argument("--compile", action="store_true", help="torch.compile both sides")
    parser.add_argument("--cpu-time", action="store_true", help="instead of the wall's")
    parser.add_argument("--json", action="store_true", help="print one JSON object per row")
    return parser.parse_args()


class Torchs(nn.LocalResponseNorm):
    """torch's layer, with groups as further images."""

    def __init__(self, groups: int):
        super().__init__(*CONSTANTS)
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        if self.groups == 1:
            return super().forward(x)
        runs = x.reshape(len(x) * self.groups, -1, *x.shape[2:])
        return super().forward(runs).reshape(x.shape)


def forward(layer: nn.Module, x: Tensor, _: Tensor) -> Callable[[], object]:
    def once() -> object:
        with torch.no_grad():
            return layer(x)

    return once


def forward_and_backward(layer: nn.Module, x: Tensor, incoming: Tensor) -> Callable[[], object]:
    return lambda: torch.autograd.grad(layer(x), x, incoming)


def seconds(once: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    start = clock()
    once()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def peak_bytes(once: Callable[[], object], device: torch.device) -> int:
    """The most that is allocated at once beyond what was there before."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        once()
        return int(torch.cuda.max_memory_allocated() - before)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        once()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def compared(sides: list[Callable], rounds: int, device: torch.device, clock: Callable) -> dict:
    """Medians and ratios of `rounds` rounds of both sides, ours first, after one to warm up."""
    pairs = [[seconds(side, device, clock) for side in sides] for _ in range(rounds + 1)][1:]
    ratios = [b / a for a, b in pairs]
    memory = [peak_bytes(side, device) for side in sides]
    return {
        "ms": round(1e3 * statistics.median(a for a, _ in pairs), 1),
        "torch ms": round(1e3 * statistics.median(b for _, b in pairs), 1),
        "times faster": round(statistics.median(ratios), 1),
        "range": f"{min(ratios):.1f}-{max(ratios):.1f}",
        "MB": round(memory[0] / 1e6),
        "torch MB": round(memory[1] / 1e6),
        "times less memory": round(memory[1] / memory[0], 1),
    }


def main() -> None:
    asked = arguments()
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler announces every start and stop
    if asked.threads:
        torch.set_num_threads(asked.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    clock = time.process_time if asked.cpu_time else time.perf_counter
    settings = f"batch {asked.batch}, {asked.dtype}, {asked.rounds} rounds, compile {asked.compile}"
    settings += ", CPU time" if asked.cpu_time else ", wall time"
    if not asked.json:
        print(f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}, {settings}")
    header = False
    for shape in asked.shapes:
        size, groups = shape.split("/")
        maps, height, width = map(int, size.split("x"))
        for layout in asked.layouts:
            x = torch.randn(asked.batch, maps, height, width).relu() * 50
            x = x.to(device, getattr(torch, asked.dtype), memory_format=LAYOUTS[layout])
            incoming, x = torch.randn_like(x), x.requires_grad_()
            layers = [LocalResponseNorm(*CONSTANTS, int(groups)), Torchs(int(groups))]
            if asked.compile:
                layers = [torch.compile(layer) for layer in layers]
            for what in (forward, forward_and_backward):
                sides = [what(layer, x, incoming) for layer in layers]
                row = {"where": SHAPES.get(shape, ""), "shape": shape, "layout": layout}
                row["pass"] = "forward" if what is forward else "both"
                row |= compared(sides, asked.rounds, device, clock)
                if asked.json:
                    print(json.dumps(row | {"threads": torch.get_num_threads(), "device": name}))
                    continue
                if not header:
                    print(" | ".join(row))
                    header = True
                print(" | ".join(str(value) for value in row.values()), flush=True)


if __name__ == "__main__":
    main()
