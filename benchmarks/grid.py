"""Networks beside the workloads: other kernels, channels, batches, depths and widths."""

from __future__ import annotations

from benchmarks.layers import LSTM, Conv, Elman, Embed, Flatten, Layer, Linear, MaxPool
from benchmarks.workloads import Workload, dense, named, transformer


def _pictures(name: str, size: int, channels: int, batch: int, *layers: Layer) -> Workload:
    return Workload(name, "", batch, (channels, size, size), (*layers, Flatten(), Linear(10)), learning_rate=0.03)


def _tokens(name: str, steps: int, batch: int, *layers: Layer) -> Workload:
    return Workload(name, "", batch, (steps,), layers, vocabulary=48, learning_rate=0.1)


UNSEEN = named(
    [
        _pictures("conv 3x3 2 channels", 24, 2, 8, Conv(5, 3), MaxPool(), Conv(9, 3)),
        _pictures("conv 3x3 24-40", 20, 24, 16, Conv(40, 3, padding=1), MaxPool(), Conv(24, 3)),
        _pictures("conv 3x3 48-96", 12, 48, 32, Conv(96, 3, padding=1), MaxPool()),
        _pictures("conv 3x3 96-96 batch 8", 10, 96, 8, Conv(96, 3, padding=1), Conv(96, 3)),
        _pictures("conv 3x3 wide batch 256", 16, 4, 256, Conv(12, 3, padding=1), MaxPool(), Conv(20, 3)),
        _pictures("conv 3x3 stride 2 deep", 40, 3, 24, *(Conv(n, 3, 1, stride=2) for n in (8, 16, 32))),
        _pictures("conv 4x4 stride 2", 32, 3, 48, Conv(16, 4, padding=1, stride=2), Conv(32, 4, padding=1, stride=2)),
        _pictures("conv 4x4 10-18", 18, 10, 64, Conv(18, 4), MaxPool()),
        _pictures("conv 7x7 3-12", 32, 3, 16, Conv(12, 7, padding=3), MaxPool(), Conv(12, 3)),
        _pictures("conv 7x7 stride 2", 48, 3, 12, Conv(24, 7, padding=3, stride=2), MaxPool(), Conv(40, 3, padding=1)),
        _pictures("conv 1x1 32-64", 16, 32, 40, Conv(64, 1), MaxPool(), Conv(16, 1)),
        _pictures("conv 5x5 six deep", 20, 6, 20, *(Conv(6, 5, padding=2),) * 6),
        Workload("MLP 20-20-20-3 batch 8", "", 8, (20,), dense(20, 20, 3, activation="relu")),
        Workload("MLP 100-1000-10 batch 48", "", 48, (100,), dense(1000, 10, activation="relu")),
        Workload("MLP 300 x 8 silu batch 200", "", 200, (300,), dense(*(300,) * 8, 30, activation="silu")),
        Workload("MLP 1200-300-1200 tanh batch 96", "", 96, (1200,), dense(300, 1200, activation="tanh")),
        _tokens("RNN 64, 20 steps", 20, 16, Elman(48, 64), Linear(48)),
        _tokens("RNN 256, 40 steps", 40, 64, Elman(48, 256), Linear(48)),
        _tokens("LSTM 48, 25 steps", 25, 32, Embed(48, 24), LSTM(48), Linear(48)),
        _tokens("LSTM 160, 12 steps", 12, 64, Embed(48, 80), LSTM(160), Linear(48)),
        _tokens("GPT 48 wide, 2 blocks, 32 steps", 32, 8, *transformer(2, 48, 3, 48)),
        _tokens("GPT 64 wide, 1 block, 128 steps", 128, 4, *transformer(1, 64, 8, 48)),
        _tokens("GPT 192 wide, 1 block, 24 steps", 24, 12, *transformer(1, 192, 6, 48)),
        _tokens("GPT 80 wide, 3 blocks, 16 steps", 16, 64, *transformer(3, 80, 2, 48)),
    ]
)
