"""What each pass of the compiler did: as a table, and as a page that steps through the program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from html import escape

from codegen.ir.plan import Kernel, Loop, Plan, Region, Step
from codegen.passes.shown import lines
from codegen.passes.state import Traced
from codegen.passes.table import PASSES

HEADER = ("program", "pass", "ms", "equations", "steps", "changed")
WHAT = {row.name: row.what for row in PASSES}


def rows(trace: Iterable[Traced]) -> list[tuple[str, ...]]:
    """A row for each pass: of which program, milliseconds, equations and steps after it, and what it changed."""
    return [
        (
            each.title,
            each.name,
            f"{1e3 * each.seconds:,.1f}",
            f"{len(each.after.program.equations):,}",
            f"{_count(each.after.plan):,}" if each.after.plan else "",
            changed(each),
        )
        for each in trace
    ]


def changed(each: Traced) -> str:
    """Lines that went and came, such as `-3 +1`; what is stored in another order; nothing where all is as it was."""
    if each.phase == "choice":
        return f"{len({choice.recipe for choice in each.after.choices.values()})} recipes"
    if each.phase == "memory":
        shared = sum(len(arena.slots) for memory in each.after.memory for arena in memory.arenas)
        return f"{shared} arrays in places" if shared else ""
    found = []
    before, after = lines(each.before, each.phase), lines(each.after, each.phase)
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    gone = sum(high - low for tag, low, high, _, _ in blocks if tag != "equal")
    came = sum(high - low for tag, _, _, low, high in blocks if tag != "equal")
    found += [f"-{gone}"] if gone else []
    found += [f"+{came}"] if came else []
    moved = sum(each.before.orders.get(name) != order for name, order in each.after.orders.items())
    return " ".join(found) + (f" ({moved} orders)" if moved else "")


def _count(plan: Plan) -> int:
    """The steps, those in loops and kernels included."""
    return sum(_steps(step) for block in plan.blocks for step in block.steps)


def _steps(step: Step) -> int:
    return sum(map(_steps, step.steps)) if isinstance(step, Loop | Region | Kernel) else 1


def page(title: str, trace: Sequence[Traced]) -> str:
    """A page that needs nothing from elsewhere: a pass on the left, what it made of the program on the right."""
    entries = "".join(
        f'<li><a href="#p{k}"{"" if changed(each) else " class=same"}>'
        f"<span>{escape(each.title)}</span> {escape(each.name)}<b>{escape(changed(each))}</b></a></li>"
        for k, each in enumerate(trace)
    )
    sections = "".join(_section(k, each, len(trace)) for k, each in enumerate(trace))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}: passes</title>'
        f"<style>{STYLE}</style><nav><h1>{escape(title)}</h1><ol>{entries}</ol></nav><main>{sections}</main>"
        f"<script>{SCRIPT}</script></html>\n"
    )


def _section(k: int, each: Traced, count: int) -> str:
    body = "".join(_marked(each))
    links = [(k - 1, "previous")] * (k > 0) + [(k + 1, "next")] * (k + 1 < count)
    steps = " ".join(f'<a href="#p{to}">{word}</a>' for to, word in links)
    return (
        f'<section id="p{k}"><h2>{escape(each.name)}</h2><p>{escape(WHAT.get(each.name, ""))}</p>'
        f"<p class=note>{escape(each.title)}, {escape(each.phase)}, {1e3 * each.seconds:,.1f} ms {steps}</p>"
        f"<pre>{body}</pre></section>"
    )


def _marked(each: Traced) -> Iterable[str]:
    """The lines after the pass, with those that it took away and those that it brought marked."""
    before, after = lines(each.before, each.phase), lines(each.after, each.phase)
    for tag, low, high, start, stop in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from (f"<span>{escape(line)}</span>\n" for line in after[start:stop])
            continue
        yield from (f"<del>{escape(line)}</del>\n" for line in before[low:high])
        yield from (f"<ins>{escape(line)}</ins>\n" for line in after[start:stop])


STYLE = """
body{margin:0;font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff}
nav{position:fixed;inset:0 auto 0 0;width:21rem;overflow:auto;border-right:1px solid #ddd;background:#fafafa}
nav h1{font-size:1.1rem;margin:1rem}nav ol{list-style:none;margin:0;padding:0}
nav a{display:flex;gap:.5rem;padding:.15rem 1rem;color:inherit;text-decoration:none}
nav a span{color:#777;width:5.5rem;flex:none}nav a b{margin-left:auto;font-weight:400;color:#06613a}
nav a.same{color:#999}nav a.on{background:#dbe8ff}
main{margin-left:21rem;padding:1rem 2rem}section{margin-bottom:3rem}.note{color:#666}
.steps section{display:none}.steps section.on{display:block}
pre{overflow:auto;font-size:13px;line-height:1.45}
del{background:#ffe9e9;text-decoration:none;color:#8c1c1c}ins{background:#e2f6e6;text-decoration:none;color:#07501f}
del::before{content:"- "}ins::before{content:"+ "}pre span::before{content:"  "}
@media(max-width:50rem){nav{position:static;width:auto;max-height:40vh}main{margin:0;padding:1rem}}
"""

SCRIPT = """
const sections=[...document.querySelectorAll("section")],links=[...document.querySelectorAll("nav a")];
function here(){return Math.max(0,sections.findIndex(s=>"#"+s.id===location.hash));}
function look(){const k=here();sections.forEach((s,i)=>s.classList.toggle("on",i===k));
links.forEach((a,i)=>a.classList.toggle("on",i===k));links[k].scrollIntoView({block:"nearest"});scrollTo(0,0);}
document.body.classList.add("steps");addEventListener("hashchange",look);look();
addEventListener("keydown",e=>{const d={ArrowLeft:-1,ArrowRight:1}[e.key],s=d&&sections[here()+d];
if(s)location.hash=s.id;});
"""
