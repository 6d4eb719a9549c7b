"""The figures as Markdown tables, and their place in the documentation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import CONTENDERS, DESCRIBED
from benchmarks.workloads import WORKLOADS
from symnet.support.files import write_atomic

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- benchmarks -->", "<!-- end of benchmarks -->"

Raced = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""{workload: {contender: the fields of a Result}}, as in results.json."""


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table; the first `left` columns are flush left."""
    rule = ["---"] * left + ["--:"] * (len(header) - left)
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def report(found: Mapping[str, Any], sentence: str) -> str:
    """All tables, with the words that they need.  `sentence` describes the machine."""
    raced: Raced = found["race"]
    names = {name for results in raced.values() for name in results}
    used = [f"`{name}` {text}" for name, text in DESCRIBED.items() if name in names]
    ours, theirs = ([t for t in used if t.startswith("`symnet") is flag] for flag in (True, False))
    parts = [
        f"Measured on: {sentence}",
        "Milliseconds of one training step in float32: forward, loss, backward and SGD. The ratio is that of symnet's "
        "fastest way to run to the fastest peer.",
        times(raced),
        f"symnet's code comes from ordinary definitions: {'; '.join(ours)}. Peers: {'; '.join(theirs)}. "
        "Settings of OpenBLAS (`OPENBLAS_*`) in the environment are cleared for all alike. Each contender is a process "
        f"of its own; they take {found['rounds']} turns of {found['burst']:g} s, one after another, and a figure is "
        "the median of the turns' medians. Before anything is timed, three steps of each are compared with PyTorch's "
        "in float64.",
        "What it costs: seconds from the definition to the loaded module with SymPy imported, and to the third step "
        "of `torch.compile`; MB that a step's workspace takes (tracemalloc), and the peak of the whole process, for "
        "symnet with the compiler in it.",
        costs(raced),
    ]
    if found.get("growth"):
        parts += ["As the batch grows, microseconds a sample:", growth(found["growth"])]
    if found.get("unseen"):
        parts += [
            "Networks of other shapes (`python -m benchmarks.unseen`): the ratio to the fastest peer. The cost model "
            "was fitted on operations of such sizes, its blocks for convolutions with six of these in view.",
            unseen(found["unseen"]),
        ]
    return "\n\n".join(parts)


def times(raced: Raced) -> str:
    """The step of each workload: symnet's ways to run, the fastest peer, eager PyTorch."""
    ways = [name for name in CONTENDERS if CONTENDERS[name].ours and any(name in results for results in raced.values())]
    rows = []
    for name, results in raced.items():
        best, peer = best_of(results, ours=True), best_of(results, ours=False)
        rows.append(
            [
                f"{name}: {WORKLOADS[name].title}",
                *(milliseconds(results, way) for way in ways),
                f"{milliseconds(results, peer)} {peer}",
                milliseconds(results, "torch"),
                f"**{ratio(results, best, peer)}**",
            ]
        )
    return markdown(["workload", *ways, "fastest peer", "torch", "ratio"], rows)


def costs(raced: Raced) -> str:
    """Compile times and memory."""
    rows = []
    for name, results in raced.items():
        compiled = [r["figures"]["compile"] for r in results.values() if "compile" in r["figures"]]
        workspace = results.get("symnet", {}).get("figures", {}).get("workspace", math.nan)
        rows.append(
            [
                f"{name}: {WORKLOADS[name].title}",
                number(min(compiled, default=math.nan), 2),
                number(results.get("torch-step", {}).get("ready", math.nan), 1),
                number(workspace / 1e6, 1),
                *(number(peak(results, way) / 1e6, 0) for way in ("symnet", "torch", "jax")),
            ]
        )
    return markdown(
        ["workload", "compile, s", "torch.compile, s", "workspace, MB", "peak symnet", "peak torch", "peak jax"], rows
    )


def growth(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """{workload: {batch: {contender: seconds a sample}}} as a table; a column a batch."""
    batches = list(dict.fromkeys(batch for by_batch in found.values() for batch in by_batch))
    rows = []
    for name, by_batch in found.items():
        for who in dict.fromkeys(who for figures in by_batch.values() for who in figures):
            shown = [number(1e6 * by_batch.get(batch, {}).get(who, math.nan), 1) for batch in batches]
            rows.append([f"{name}: {WORKLOADS[name].title}", who, *shown])
    return markdown(["workload", "", *(f"batch {int(batch):,}" for batch in batches)], rows, left=2)


def unseen(raced: Raced) -> str:
    """The ratio to the fastest peer on each network of the grid."""
    rows, ratios = [], []
    for name, results in raced.items():
        best, peer = best_of(results, ours=True), best_of(results, ours=False)
        shown = (f"{milliseconds(results, who)} {who}" for who in (best, peer))
        rows.append([name, *shown, ratio(results, best, peer)])
        ratios.append(quotient(results, best, peer))
    known = [value for value in ratios if value > 0]
    below = sum(value < 1 for value in known)
    mean = math.exp(sum(map(math.log, known)) / len(known)) if known else math.nan
    summary = (
        f"{below} of {len(known)} below 1; geometric mean {number(mean, 2)}, worst {max(known, default=math.nan):.2f}."
    )
    return f"{markdown(['network', 'symnet, ms', 'fastest peer, ms', 'ratio'], rows)}\n\n{summary}"


def best_of(results: Mapping[str, Mapping[str, Any]], *, ours: bool) -> str:
    """The fastest of symnet's ways to run, or of the peers; empty where nothing was timed."""
    timed = [n for n, r in results.items() if not r["failure"] and n.startswith("symnet") is ours]
    return min(timed, key=lambda name: results[name]["median"], default="")


def milliseconds(results: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """Three digits of the median step of a contender; `-` where there is none."""
    seconds = results[name]["median"] if name in results and not results[name]["failure"] else math.nan
    value = 1e3 * seconds
    return number(value, max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0)


def ratio(results: Mapping[str, Mapping[str, Any]], ours: str, theirs: str) -> str:
    """The ratio of two medians, in two digits."""
    return number(quotient(results, ours, theirs), 2)


def quotient(results: Mapping[str, Mapping[str, Any]], ours: str, theirs: str) -> float:
    """The ratio of two medians; NaN where one of them is not there."""
    return float(results[ours]["median"] / results[theirs]["median"]) if ours and theirs else math.nan


def peak(results: Mapping[str, Mapping[str, Any]], name: str) -> float:
    """Bytes; NaN where the system does not say."""
    return results.get(name, {}).get("figures", {}).get("peak", 0.0) or math.nan


def number(value: float, digits: int) -> str:
    """With so many digits behind the point; `-` for NaN."""
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def placed(text: str, tables: str) -> str:
    """A page with these tables between its two marks.  Raises ValueError where it has not one of each, in order."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"expected one line '{BEGIN}' and after it one line '{END}'")
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{tables}\n\n{END}{rest.partition(END)[2]}"


def write(tables: str, path: Path = PAGE) -> None:
    """Put the tables into the page."""
    write_atomic(path, placed(path.read_text(encoding="utf-8"), tables))
