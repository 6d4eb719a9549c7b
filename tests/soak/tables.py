"""The tables that a run prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from typing import Any

from soak.driver import Report, failure_text, pair_name
from soak.kinds import Kind


def summary(report: Report, kind: Kind, pairs: bool = True) -> str:
    """All tables of a report."""
    drawn = max(report.drawn, 1)
    refused, expected = sum(report.refused.values()), sum(report.expected.values())
    lines = [
        f"{report.kind} on {report.target}, seeds {report.first} to {report.last}: {report.drawn} drawn, "
        f"{report.accepted} accepted, {refused} refused ({100 * refused / drawn:.1f}%), "
        f"{expected} refused as they have to be, {sum(report.uncompared.values())} not compared, "
        f"{len(report.failures)} failed, {len(report.slow)} without bound, "
        f"{report.seconds / drawn:.3f} s each",
        *_counted("refused", report.refused, report.seeds),
        *_counted("refused as they have to be", report.expected),
        *_counted("not compared", report.uncompared, report.seeds),
        *_counted("notes", report.notes),
        "features of an accepted draw: "
        + ", ".join(f"{number}: {count}" for number, count in sorted(report.numbers.items())),
        f"with three features or more: {_share(report):.1f}%",
        *feature_table(report, kind),
        *(pair_table(report, kind) if pairs else []),
        *failures_by_kind(report),
    ]
    return "\n".join(lines)


def _share(report: Report) -> float:
    """The share of accepted draws with three features or more, in percent."""
    return 100 * sum(c for n, c in report.numbers.items() if n >= 3) / max(report.accepted, 1)


def _counted(title: str, counts: Counter[str], seeds: Mapping[str, list[int]] | None = None) -> list[str]:
    if not counts:
        return []
    rows = []
    for what, count in counts.most_common():
        of = ", ".join(map(str, (seeds or {}).get(what, ())))
        rows.append(f"  {count:5} {what}" + (f" (seeds {of})" if of else ""))
    return [f"{title}:", *rows]


def feature_table(report: Report, kind: Kind) -> list[str]:
    """The share of each feature among the accepted draws."""
    accepted = max(report.accepted, 1)
    cells = [f"{name} {100 * report.features[name] / accepted:.1f}%" for name in kind.features]
    width = max(map(len, cells)) + 2
    columns = max(1, 118 // width)
    rows = [cells[k : k + columns] for k in range(0, len(cells), columns)]
    return ["share of each feature:", *("  " + "".join(c.ljust(width) for c in row).rstrip() for row in rows)]


def pair_table(report: Report, kind: Kind) -> list[str]:
    """How often each legal pair came: a row for each feature, in the order of the numbers; and the illegal ones."""
    names = kind.features
    lines = [f"pairs ({len(list(combinations(names, 2))) - len(kind.illegal)} legal), how often each came:"]
    lines.append("      " + "".join(f"{k:>5}" for k in range(len(names))))
    for k, row in enumerate(names):
        cells = [
            "    -" if frozenset((row, other)) in kind.illegal else f"{report.pairs[pair_name(row, other)]:5}"
            for other in names[:k]
        ]
        lines.append(f"  {k:>3} {''.join(cells)}     {row}")
    rare = rare_pairs(report, kind)
    least = ", ".join(f"{pair} {count}" for pair, count in rare[:12])
    lines.append(f"rarest: {least}")
    lines += [f"illegal: {' + '.join(sorted(pair))}: {why}" for pair, why in kind.illegal.items()]
    return lines


def rare_pairs(report: Report, kind: Kind) -> list[tuple[str, int]]:
    """The legal pairs with their counts, the rarest first."""
    legal = [pair for pair in combinations(kind.features, 2) if frozenset(pair) not in kind.illegal]
    return sorted(((pair_name(*p), report.pairs[pair_name(*p)]) for p in legal), key=lambda found: found[1])


def failures_by_kind(report: Report) -> list[str]:
    """Each kind of failure with its number, its seeds and the shortest example."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for failure in report.failures:
        groups.setdefault(failure["what"], []).append(failure)
    lines = []
    for what, members in sorted(groups.items(), key=lambda item: -len(item[1])):
        shortest = min(members, key=lambda f: len(f["text"]))
        seeds = ", ".join(str(f["seed"]) for f in members[:12])
        lines += [f"found {len(members)} times: {what} (seeds {seeds})", failure_text(shortest)]
    lines += [f"without bound: {f['kind']} seed {f['seed']} on {f['target']}" for f in report.slow]
    return lines
