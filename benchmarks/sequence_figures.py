"""What recurrent and attentive networks cost to compile, how large their source is, and that lengths stay symbolic.

python benchmarks/sequence_figures.py

Compile times are from the declaration to the source with SymPy imported, the best of three, each in a fresh process.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import symnet as sn

RUNS = 3
VOCABULARY, UNITS, WIDTH, HEADS, WINDOW = 96, 128, 96, 4, 64


def rnn() -> sn.Model:
    """Elman's network over characters."""
    return recurrent(sn.SimpleRNN, 1, "rnn")


def lstm() -> sn.Model:
    """Two LSTMs, one upon the other."""
    return recurrent(sn.LSTM, 2, "lstm")


def recurrent(kind: Callable[[int], Callable[[object], object]], layers: int, name: str) -> sn.Model:
    """Recurrent layers over characters that foretell the next one."""
    text = sn.Input(("T",), dtype="int", name="text")
    h = sn.Embedding(VOCABULARY, 32)(text)
    for _ in range(layers):
        h = kind(UNITS)(h)
    return sn.Model(text, sn.Dense(VOCABULARY)(h), loss=sn.CrossEntropy(), name=name)


def gpt(blocks: int = 12) -> sn.Model:
    """A transformer of `blocks` blocks, with gelu."""
    text = sn.Input(("T",), dtype="int", name="text")
    h = sn.PositionalEmbedding(WINDOW)(sn.Embedding(VOCABULARY, WIDTH)(text))
    for _ in range(blocks):
        h = sn.residual(h, sn.LayerNorm(), sn.MultiHeadAttention(HEADS, causal=True))
        h = sn.residual(h, sn.LayerNorm(), sn.Dense(4 * WIDTH, activation="gelu"), sn.Dense(WIDTH))
    return sn.Model(text, sn.Dense(VOCABULARY)(sn.LayerNorm()(h)), loss=sn.CrossEntropy(), name="gpt")


NETWORKS: dict[str, tuple[Callable[[], sn.Model], float]] = {
    "RNN": (rnn, 2.0),
    "LSTM, 2 layers": (lstm, 5.0),
    "GPT, 12 blocks": (gpt, 20.0),
}
"""With the time in seconds that each should stay under."""


def measure(name: str) -> str:
    """Seconds from the declaration to the source, in this process, and the lines and kilobytes of that."""
    start = time.perf_counter()
    source = sn.compile(NETWORKS[name][0]()).source
    return f"{time.perf_counter() - start} {source.count(chr(10))} {len(source) / 1000}"


def compile_times() -> None:
    """Print the table of compile times."""
    print(f"{'network':16} {'seconds':>8} {'limit':>6} {'lines':>7} {'kB':>6}")
    root = Path(__file__).resolve().parent.parent
    for name, (_, limit) in NETWORKS.items():
        command = [sys.executable, __file__, name]
        runs = [subprocess.run(command, cwd=root, capture_output=True, text=True, check=True) for _ in range(RUNS)]
        rows = [[float(word) for word in run.stdout.split()] for run in runs]
        seconds, lines, size = min(rows)
        print(f"{name:16} {seconds:8.2f} {limit:6.1f} {lines:7,.0f} {size:6.0f}")


def lengths() -> dict[int, float]:
    """One generated RNN on texts of 10 and of 1,000 steps: seconds a step of training, printed and returned."""
    net = sn.compile(rnn())
    module = net.module
    print("\nfloating-point operations, from the head of the generated RNN:")
    print("\n".join(re.findall(r"^    (?:forward|loss|backward) .*", net.source, re.MULTILINE)[:3]))
    step = module.make_step(module.init_params(), batch_size=8, learning_rate=1e-3)
    found = {}
    for steps in (10, 1000):
        text = np.random.default_rng(0).integers(0, VOCABULARY, (8, steps + 1))
        loss = step(text[:, :-1], text[:, 1:])
        start = time.perf_counter()
        for _ in range(5):
            step(text[:, :-1], text[:, 1:])
        found[steps] = (time.perf_counter() - start) / 5
        print(f"one RNN, T = {steps:5,}: loss {loss:.3f}, {found[steps] * 1e3:8.2f} ms for a step of training")
    return found


def code_size(least: int = 1, most: int = 12) -> float:
    """Lines that each further block of a GPT adds to the source, printed and returned."""
    few, many = (sn.compile(gpt(blocks)).source.count("\n") for blocks in (least, most))
    middle = (least + most) // 2
    between = sn.compile(gpt(middle)).source.count("\n")
    each = (many - few) / (most - least)
    print(
        f"GPT: {few:,} lines for {least} block, {between:,} for {middle}, {many:,} for {most}: {each:.0f} a block "
        f"({(between - few) / (middle - least):.0f} from {least} to {middle})"
    )
    return each


def main() -> None:
    """Print everything; with the name of a network, its own figures only."""
    if len(sys.argv) > 1:
        print(measure(sys.argv[1]))
        return
    compile_times()
    lengths()
    code_size()


if __name__ == "__main__":
    main()
