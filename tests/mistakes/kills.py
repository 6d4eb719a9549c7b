"""Kills at random moments, of commands that write and of training with checkpoints: nothing is lost.

    python -m mistakes.kills --count 200 --seed 1

The file that a command writes is one of those that it writes whole, whenever it was killed; the next run leaves
nothing unfinished beside it.  A training that was killed goes on from its newest checkpoint, and ends with the
parameters of one that was not.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.context import BaseContext
from pathlib import Path

from mistakes.commands import in_process
from mistakes.driver import workplace
from mistakes.files import network
from mistakes.killed import write
from symnet.cli.main import main as symnet
from symnet.support.extras import installed
from symnet.support.files import write_arrays
from symnet.support.unfinished import FRESH
from symnet.training.checkpoints.folder import newest

LONGEST = 0.25
"""Seconds that a process is left to itself, at most, once it has written each of its files."""

TRAIN = ["train", "m.py", "--data", "d.npz", "--epochs", "1", "--quiet", "--params", "out.npz"]
COMMANDS: Mapping[str, tuple[str, Sequence[list[str]]]] = {
    "compile": ("out.py", [["compile", "m.py", "-o", "out.py", "--dtype", d] for d in ("float32", "float64")]),
    "latex": ("m.tex", [["latex", "m.py", "-o", "m.tex"], ["latex", "m.py", "-o", "m.tex", "--optimizer", "adam"]]),
    "report": ("r.md", [["report", "m.py", "-o", "r.md", "--no-steps", "--dtype", d] for d in ("float32", "float64")]),
    "graph": ("g.svg", [["graph", "m.py", "-o", "g.svg"], ["graph", "m.py", "-o", "g.svg", "--unfold"]]),
    "train": ("out.npz", [[*TRAIN, "--seed", seed] for seed in "01"]),
    "predict": (
        "o.npy",
        [["predict", "m.toml", "--data", "d.npz", "--params", p, "-o", "o.npy"] for p in ("p.npz", "q.npz")],
    ),
    "bundle": ("b.pyz", [["bundle", "m.toml", "--params", p, "-o", "b.pyz"] for p in ("p.npz", "q.npz")]),
    "export": (
        "w.safetensors",
        [["export", "m.toml", "--params", p, "--weights", "w.safetensors"] for p in ("p.npz", "q.npz")],
    ),
}
"""By command: what it writes, and two lines that write it differently."""
NEEDS = {"export": "safetensors", "checkpoints": "safetensors"}
LONG = [*TRAIN[:4], "--epochs", "400", "--quiet"]
RESUMED = [*LONG, "--params", "end.npz", "--checkpoint", "steps", "--resume", "--checkpoint-every", "1", "--keep", "2"]


def context() -> BaseContext:
    """Processes that have imported everything from the start, where the system has such."""
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    found = multiprocessing.get_context(method)
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # which the server of Python 3.11 has not
    found.set_forkserver_preload(["mistakes.killed"])
    return found


def killed(made: BaseContext, lines: Sequence[list[str]], after: float, once: bool) -> None:
    """Run the lines in a process, and kill it after so many seconds; if `once`, after it has run each line once."""
    ready, sender = made.Pipe(duplex=False)
    process = made.Process(target=write, args=(os.getcwd(), lines, sender))  # type: ignore[attr-defined]
    process.start()
    sender.close()
    if once and (told := ready.recv()):
        raise AssertionError(told)
    time.sleep(after)
    process.kill()
    process.join()
    ready.close()
    time.sleep(2 * FRESH)  # a file that is younger may be somebody's


def unfinished() -> list[str]:
    """What is left of files that nobody finished."""
    return sorted(path.as_posix() for path in Path().rglob("*.part"))


def commands(made: BaseContext, name: str, kills: int, rng: random.Random) -> int:
    """Kill a command so often; the number of kills that left something unfinished."""
    output, lines = COMMANDS[name]
    whole = []
    for line in lines:
        done(line)
        whole.append(Path(output).read_bytes())
    assert len(set(whole)) == len(lines), f"{name}: both lines write the same"
    left = 0
    for _ in range(kills):
        killed(made, lines, rng.uniform(0, LONGEST), once=True)
        assert Path(output).read_bytes() in whole, f"{name}: '{output}' is not whole"
        left += bool(unfinished())
        if rng.random() < 0.3:
            done(lines[0])
            assert not unfinished(), f"{name}: {unfinished()} stays"
    done(lines[0])
    assert not unfinished(), f"{name}: {unfinished()} stays"
    return left


def checkpoints(made: BaseContext, kills: int, rng: random.Random) -> int:
    """Kill a training so often, which goes on each time; the number of kills that left something unfinished."""
    line = RESUMED
    done([*LONG, "--params", "whole.npz"])
    left = before = 0
    for _ in range(kills):
        killed(made, [line], 0.3 + rng.uniform(0, LONGEST), once=False)
        found = newest("steps")
        assert not found.damaged, f"damaged: {[*found.damaged]}"
        step = int(found.checkpoint.arrays["optimizer/t"]) if found.checkpoint else 0
        assert step >= before, f"step {before} was lost, {step} is there"
        before = step
        left += bool(unfinished())
        assert not Path("end.npz").exists() or Path("end.npz").read_bytes() == Path("whole.npz").read_bytes()
    done(line)
    assert not unfinished(), f"{unfinished()} stays"
    assert Path("end.npz").read_bytes() == Path("whole.npz").read_bytes(), "the training came out another"
    return left


def done(line: list[str]) -> None:
    """Run a command to its end, which is a good one."""
    status, _, err = in_process(symnet, line)
    assert status == 0, err


def all_kinds(count: int, seed: int) -> dict[str, tuple[int, int]]:
    """By what is killed: how often, and how often something was left unfinished."""
    rng, made = random.Random(seed), context()
    names = [name for name in (*COMMANDS, "checkpoints") if installed(NEEDS.get(name, "numpy"))]
    shares = {name: count // len(names) + (k < count % len(names)) for k, name in enumerate(names)}
    found = {}
    with workplace():
        write_arrays("q.npz", network().module.init_params(7))
        for name, kills in shares.items():
            left = checkpoints(made, kills, rng) if name == "checkpoints" else commands(made, name, kills, rng)
            found[name] = kills, left
    return found


def main() -> int:
    """Kill, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m mistakes.kills", description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.perf_counter()
    found = all_kinds(options.count, options.seed)
    for name, (kills, left) in found.items():
        print(f"{name:<12} {kills:>4} kills, {left} of them in the middle of a file; nothing lost, nothing stays")
    total = sum(kills for kills, _ in found.values())
    print(f"{total} kills in {time.perf_counter() - start:.0f} s")
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
