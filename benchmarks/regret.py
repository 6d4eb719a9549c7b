"""How well the cost model chooses: convolutions over a grid of shapes, by every recipe, against the chosen one.

    python -m benchmarks.regret [--fits]

Regret is the time of the chosen recipes over that of the best ones, forward, input gradient and
kernel gradient together.  CPU time of one thread, so that other work on the machine matters little;
the fastest of several runs, in which all candidates take turns.  `--fits` prints every candidate.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

if __name__ == "__main__":  # before NumPy reads it
    os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

import symnet as sn
from codegen.passes.state import Given
from codegen.pipeline import generate
from symnet.differentiate.programs import network

Shape = tuple[int, int, int, int, int, int, int]
"""Input channels, height, width, output channels, kernel, padding, stride."""

SHAPES: tuple[tuple[Shape, int], ...] = (
    ((1, 28, 28, 6, 5, 2, 1), 64),
    ((6, 14, 14, 16, 5, 0, 1), 64),
    ((3, 48, 48, 4, 3, 1, 1), 64),
    ((4, 24, 24, 8, 3, 1, 2), 64),
    ((3, 32, 32, 32, 3, 1, 1), 32),
    ((32, 32, 32, 32, 3, 1, 1), 16),
    ((32, 16, 16, 64, 3, 1, 1), 32),
    ((64, 16, 16, 64, 3, 1, 1), 32),
    ((8, 20, 20, 8, 7, 3, 1), 32),
    ((16, 28, 28, 32, 3, 0, 1), 16),
    ((12, 10, 10, 24, 3, 1, 1), 128),
    ((64, 8, 8, 128, 3, 1, 1), 64),
    ((128, 7, 7, 32, 3, 1, 1), 32),
    ((2, 40, 40, 2, 5, 2, 1), 16),
    ((24, 20, 20, 40, 3, 1, 1), 8),
    ((48, 12, 12, 96, 3, 1, 1), 16),
    ((96, 10, 10, 96, 3, 1, 1), 8),
    ((96, 8, 8, 96, 3, 0, 1), 4),
    ((3, 48, 48, 24, 7, 3, 2), 12),
    ((16, 16, 16, 32, 4, 1, 2), 24),
)
PARTS = ("forward", "input", "kernel")
FORWARD = ("columns", "columns/4", "shifts", "shifts/2", "shifts/4", "stacks/7", "pairs", "pairs/4")
KERNEL = (
    *("columns", "columns/4", "shifts", "shifts/4", "turned columns", "turned columns/4"),
    *("turned shifts", "turned shifts/4", "pairs", "pairs/4"),
)
WORDS = ("columns", "shifts", "stacks", "pairs")
RECIPES = (*(f"forward:{way}" for way in FORWARD), *(f"kernel:{way}" for way in KERNEL))


@dataclass(frozen=True)
class Candidate:
    """Code for one layer by certain recipes.

    steps: the whole training step, equation by equation, and which part of the layer each is, if any.
    times: of each part, in microseconds, one a round.
    """

    recipe: str
    steps: list[tuple[str, object]]
    names: dict[str, object]
    remarks: dict[str, str]
    times: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})

    def run(self, rounds: int) -> None:
        """Run the step and time the parts; in the middle of a whole step, since arrays share their memory."""
        for _ in range(rounds):
            for part, code in self.steps:
                start = time.thread_time()
                exec(code, self.names)  # type: ignore[arg-type]  # noqa: S102
                if part:
                    self.times[part].append(1e6 * (time.thread_time() - start))

    def cost(self, part: str) -> float:
        """Microseconds of a part."""
        return float(np.min(self.times[part]))


def candidate(shape: Shape, batch: int, recipe: str = "") -> Candidate:
    """A convolution of this shape, by a preferred recipe or by the cost model's choice."""
    channels, height, width, filters, kernel, padding, stride = shape
    image = sn.Input((channels, height, width), name="image")
    first = sn.Conv2D(channels, 1, use_bias=False, name="first")(image)
    last = sn.Conv2D(filters, kernel, padding=padding, stride=stride, use_bias=False, name="last")(first)
    program = network(sn.Model(image, last, loss=sn.SquaredError()))
    stages = {"forward": "", "loss": "", "backward": ""}
    results = {t.name: t.name for t in program.tensors if t.kind == "result"}
    emitted = generate(program, Given(results=results, recipes=(recipe,) if recipe else ()), stages=stages)
    text = "\n".join(["import numpy as np", *emitted.imports, "DTYPE = np.float32", emitted.source])
    names: dict[str, object] = {}
    exec(text, names)  # noqa: S102
    rng = np.random.default_rng(0)
    work = names["Workspace"](batch)  # type: ignore[operator]
    arrays = {
        kind: {
            t.name: rng.standard_normal([e.const for e in t.shape]).astype("f4")
            for t in program.tensors
            if t.kind == kind
        }
        for kind in ("parameter", "result")
    }
    work.image[...] = rng.standard_normal(work.image.shape)
    work.target[...] = 0
    names |= {"p": arrays["parameter"], "g": arrays["result"], "w": work, "N": batch}
    lines = emitted.source.split("\n")
    steps: list[tuple[str, object]] = []
    remarks: dict[str, str] = {}
    for equation, start, stop in emitted.blocks:
        part = {"last": "forward", "d_first": "input", "d_last.weight": "kernel"}.get(equation.target, "")
        part = part if len(equation.reads) == 2 and equation.over else ""
        block = "\n".join(line[4:] for line in lines[start - 1 : stop])
        steps.append((part, compile(block, part or equation.target, "exec")))
        if part:
            remarks[part] = next((word for word in WORDS if f"# by {word}" in block), "")
    return Candidate(recipe, steps, names, remarks)


def measured(shape: Shape, batch: int, rounds: int) -> tuple[Candidate, list[Candidate]]:
    """(by the cost model's choice, by each recipe), all timed in turns."""
    chosen = candidate(shape, batch)
    others = [candidate(shape, batch, recipe) for recipe in RECIPES]
    for _ in range(rounds):
        for each in (chosen, *others):
            each.run(3)
    return chosen, others


def best(others: Sequence[Candidate], chosen: Candidate) -> Iterator[tuple[str, float, str]]:
    """(part, microseconds, recipe) of the fastest way to each part."""
    for part in chosen.remarks:
        kind = "kernel" if part == "kernel" else "forward"
        fastest = min((chosen, *(o for o in others if o.recipe.startswith(kind))), key=lambda c: c.cost(part))
        yield part, fastest.cost(part), fastest.recipe or "chosen"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Regret of the cost model for convolutions.")
    parser.add_argument("--rounds", type=int, default=2, help="how often all candidates take turns")
    parser.add_argument("--fits", action="store_true", help="print every candidate")
    options = parser.parse_args()
    print(f"{'channels, size, filters, kernel':38s} {'chosen':24s} {'us':>8s} {'best':>8s} {'regret':>7s}   best by")
    regrets = []
    for shape, batch in SHAPES:
        chosen, others = measured(shape, batch, options.rounds)
        if options.fits:
            for each in (chosen, *others):
                print(f"    {each.recipe:12s}", {p: (round(each.cost(p)), each.remarks[p]) for p in each.remarks})
        total = sum(chosen.cost(part) for part in chosen.remarks)
        fastest = list(best(others, chosen))
        ideal = sum(cost for _, cost, _ in fastest)
        regrets.append(total / ideal)
        c, h, w, f, k, p, s = shape
        words = " ".join(chosen.remarks[part] or "plain" for part in chosen.remarks)
        name = f"{batch} x {c}, {h} x {w}, {f}, {k} x {k} / {s} + {p}"
        ways = " ".join(way for _, _, way in fastest)
        print(f"{name:38s} {words:24s} {total:8.0f} {ideal:8.0f} {regrets[-1]:7.2f}   {ways}", flush=True)
    print(f"geometric mean {math.exp(np.mean(np.log(regrets))):.3f}, worst {max(regrets):.2f}")


if __name__ == "__main__":
    main()
