"""Teach an example network English, measure what it has learned, and let it write.

    python examples/write.py char_rnn
    python examples/write.py char_lstm
    python examples/write.py gpt --steps 300 --temperature 0.5

What it has learned is told in bits per character: how many yes-or-no questions the next character still is worth.
Guessing blindly among the 96 symbols costs 6.58 of them.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import english
import symnet as sn
from symnet.definition import load

HERE = Path(__file__).resolve().parent
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Recipe:
    """How an example is trained: steps of `batch` windows of `window` characters each."""

    steps: int
    batch: int
    window: int
    learning_rate: float
    clip: float = 1.0


RECIPES = {
    "char_rnn": Recipe(steps=4000, batch=32, window=64, learning_rate=2e-3),
    "char_lstm": Recipe(steps=2500, batch=32, window=64, learning_rate=4e-3),
    "gpt": Recipe(steps=3000, batch=16, window=64, learning_rate=2e-3),
}


def states_of(module: ModuleType) -> dict[str, str]:
    """The output that gives each input of a state: {"h_0": "memory.h_n"}; none for a network without memory."""
    return {name: f"memory.{name[0]}_n" for name in module.INPUTS if name != "text"}


def blank(module: ModuleType, batch: int) -> Arrays:
    """The states (batch, units) before anything has been read: zeros."""
    return {name: np.zeros((batch, *module.INPUTS[name][0]), np.float32) for name in states_of(module)}


def streams(text: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(x, y), each (batch, window): every row reads on where it stopped, from a place of its own in the text."""
    place = rng.integers(0, len(text), recipe.batch)
    while True:
        at = (place[:, None] + np.arange(recipe.window + 1)) % len(text)
        yield text[at[:, :-1]], text[at[:, 1:]]
        place = at[:, -1]


def windows(text: np.ndarray, recipe: Recipe, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(x, y), each (batch, window), from random places: for a network that remembers nothing between them."""
    while True:
        at = rng.integers(0, len(text) - recipe.window, recipe.batch)[:, None] + np.arange(recipe.window + 1)
        yield text[at[:, :-1]], text[at[:, 1:]]


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate at a step: up from 0 within the first twentieth, then down to a tenth along a cosine."""
    warm = max(steps // 20, 1)
    fall = 0.55 + 0.45 * np.cos(np.pi * step / steps)
    return float(recipe.learning_rate * min((step + 1) / warm, 1.0) * fall)


def teach(module: ModuleType, recipe: Recipe, text: np.ndarray, steps: int, seed: int) -> Arrays:
    """Train and return the parameters; ten lines tell of it.

    The states that a window ends with are handed to the next one as they are: the gradient goes back to the
    start of the window and no further (truncated back-propagation through time).
    """
    step = module.make_step(
        module.init_params(seed),
        batch_size=recipe.batch,
        optimizer="adamw",
        learning_rate=recipe.learning_rate,
        clip=recipe.clip,
    )
    states, outputs = blank(module, recipe.batch), states_of(module)
    batches = (streams if states else windows)(text, recipe, np.random.default_rng(seed))
    bits, start = [], time.perf_counter()
    for number in range(steps):
        x, y = next(batches)
        given = {"text": x, **states}
        step.learning_rate = rate(recipe, number, steps)
        if states:
            after = module.forward(step.p, given)
        bits.append(step(given, y) / np.log(2))
        if states:
            states = {name: after[output] for name, output in outputs.items()}
        if (number + 1) % max(steps // 10, 1) == 0:
            speed = (number + 1) * recipe.batch * recipe.window / (time.perf_counter() - start)
            print(f"step {number + 1:6,}   {np.mean(bits):5.2f} bits per character   {speed:8,.0f} characters/s")
            bits = []
    params: Arrays = step.params()
    return params


def held_out(module: ModuleType, params: Arrays, text: np.ndarray, window: int) -> float:
    """Bits per character on `text`, read in windows from a blank state."""
    rows = (len(text) - 1) // window
    x, y = (text[k : k + rows * window].reshape(rows, window) for k in (0, 1))
    parts = [slice(k, min(k + 16, rows)) for k in range(0, rows, 16)]
    sizes = [part.stop - part.start for part in parts]
    losses = [
        module.loss(params, {"text": x[part], **blank(module, size)}, y[part])
        for part, size in zip(parts, sizes, strict=True)
    ]
    return float(np.average(losses, weights=sizes) / np.log(2))


def write(
    module: ModuleType,
    params: Arrays,
    prompt: str,
    count: int,
    *,
    window: int,
    temperature: float = 0.7,
    seed: int = 0,
) -> str:
    """`prompt` and `count` further characters, each drawn from what the network expects.

    A network with memory is given one character at a time and its own last states; one without is given
    the last `window` characters each time.
    """
    rng = np.random.default_rng(seed)
    written = list(english.encode(prompt))
    states, unread = blank(module, 1), list(written)
    for _ in range(count):
        if states:
            result = module.forward(params, {"text": np.array([unread]), **states})
            states = {name: result[output] for name, output in states_of(module).items()}
            logits = result["logits"][0, -1]
        else:
            logits = module.forward(params, np.array([written[-window:]]))[0, -1]
        likely = np.exp((logits - logits.max()) / np.float64(temperature))
        unread = [int(rng.choice(len(likely), p=likely / likely.sum()))]
        written += unread
    return english.decode(np.array(written))


def run(name: str, options: argparse.Namespace) -> float:
    """Compile and teach the example `name`, print what it writes; returns the bits per held-out character."""
    recipe = RECIPES[name]
    start = time.perf_counter()
    net = sn.compile(load(HERE / f"{name}.py"))
    module: Any = net.module
    size = sum(int(np.prod(shape)) for shape in module.PARAMETERS.values())
    print(f"compiled   {name}: {size:,} parameters, in {time.perf_counter() - start:.1f} s")

    training, unseen = english.load()
    params = teach(module, recipe, training, options.steps or recipe.steps, options.seed)
    bits = held_out(module, params, unseen, recipe.window if name == "gpt" else 1000)
    print(f"held-out text   {bits:.2f} bits per character\n")
    print(write(module, params, "The ", options.characters, window=recipe.window, temperature=options.temperature))
    if options.save is not None:
        net.save(options.save)
        np.savez(options.save.with_suffix(".npz"), **params)
    return bits


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line `words`; by default the one of this process."""
    parser = argparse.ArgumentParser(description="Teach an example network English, and let it write.")
    parser.add_argument("name", choices=tuple(RECIPES), help="the example")
    parser.add_argument("--steps", type=int, help="steps of training (default: the example's own)")
    parser.add_argument("--seed", type=int, default=0, help="of the first parameters and the places read")
    parser.add_argument("--characters", type=int, default=600, help="how many to write")
    parser.add_argument("--temperature", type=float, default=0.7, help="below 1: keep to the likely; above: dare more")
    parser.add_argument("--save", type=Path, metavar="FILE.py", help="keep the generated module and its parameters")
    return parser.parse_args(words)


if __name__ == "__main__":
    options = arguments()
    run(options.name, options)
