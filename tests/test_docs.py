"""Everything the documentation shows is run: its Python, its commands, its files, its formulas.

`pytest tests/test_docs.py --update-docs` writes what comes out now into the Markdown files, and shows the difference.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import symnet as sn
from codegen.ir.functions import FUNCTIONS
from codegen.lower.recipes import GROUPS
from codegen.machine.target import TARGETS
from codegen.notation.words import REDUCTIONS
from codegen.passes.state import Pass
from codegen.passes.table import PASSES
from codegen.passes.watch import LEVELS
from markdown import Block, blocks, refreshed, shows
from symnet.cli.main import COMMANDS, main
from symnet.definition import load
from symnet.model.activations import ACTIVATIONS
from symnet.model.layers.base import Layer
from symnet.model.losses import LOSSES
from symnet.network.compiler import Network
from symnet.network.compiler import compile as compile_model
from symnet.optim.optimizers import OPTIMIZERS
from symnet.runtime import fragments

ROOT = Path(__file__).resolve().parent.parent
FILES = (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]
PAGES = (*FILES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md")
PAGE_NAMES = [path.relative_to(ROOT).as_posix() for path in PAGES]


@dataclass
class Session:
    """What the blocks of one file do, one after another: a namespace, a folder, and what differs from the file."""

    name: str
    folder: Path
    namespace: dict[str, Any] = field(default_factory=dict)
    printed: str = ""
    differing: list[tuple[Block, tuple[str, ...] | None, tuple[str, ...]]] = field(default_factory=list)
    """(block, what it should be or None where that cannot be told, what came out)."""

    def run(self, block: Block) -> None:
        """Run or check one block."""
        if "file" in block.notes:
            Path(block.notes["file"]).write_text(block.text, encoding="utf-8")
        elif "excerpt" in block.notes:
            self._compare(block, self._source(block.notes["excerpt"]), whole=False)
        elif "latex" in block.notes:
            self._compare(block, self._latex(block.notes["latex"]), whole=True)
        elif "not run" not in block.notes:
            assert block.language in KINDS, f"{self.name}:{block.start}: a block of an unknown kind '{block.language}'"
            KINDS[block.language](self, block)

    def python(self, block: Block) -> None:
        """Execute the block; what it prints is for the `output` block that may follow."""
        # Empty lines in front make tracebacks show the line of the Markdown file.
        code = compile("\n" * block.start + block.text, str(ROOT / self.name), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, self.namespace)  # noqa: S102 - the documentation's own snippets
        self.printed = out.getvalue()

    def output(self, block: Block) -> None:
        """Compare with what the last Python block printed."""
        self._compare(block, tuple(self.printed.splitlines()), whole=True)

    def console(self, block: Block) -> None:
        """Run each `$ command` and compare what follows it with what it prints."""
        starts = [k for k, line in enumerate(block.lines) if line.startswith("$ ")]
        assert starts and starts[0] == 0, f"{self.name}:{block.start}: expected a line '$ command' first"
        for start, stop in zip(starts, [*starts[1:], len(block.lines)], strict=True):
            shown = block.lines[start + 1 : stop]
            part = Block("console", block.notes, block.start + start + 1, shown)
            self._compare(part, tuple(command(block.lines[start][2:]).splitlines()), whole=True)

    def nothing(self, block: Block) -> None:
        """Text, grammars and formulas of the author's own."""

    def _compare(self, block: Block, actual: tuple[str, ...], *, whole: bool) -> None:
        if not shows(block.lines, actual, whole=whole, loose="loose" in block.notes):
            self.differing.append((block, refreshed(block.lines, actual, whole=whole), actual))

    def _source(self, where: str) -> tuple[str, ...]:
        if isinstance(self.namespace.get(where), Network):
            return tuple(self.namespace[where].source.splitlines())
        path = next(p for p in (self.folder / where, ROOT / where) if p.is_file())
        return tuple(path.read_text(encoding="utf-8").splitlines())

    def _latex(self, where: str) -> tuple[str, ...]:
        source, chapter, section, *row = where.split(" > ")
        source, _, notation = source.partition(" ")
        net = self.namespace.get(source) or compile_model(load(source))
        text = net.latex(notation or "index").split(f"\n## {chapter}\n", 1)[1].split("\n## ", 1)[0]
        found = re.search(
            rf"^### {re.escape(section)}(?: \(\w+\))?\n+```math\n(.*?)\n```", text, re.MULTILINE | re.DOTALL
        )
        assert found, f"{self.name}: nothing called '{section}' under '{chapter}' of {source}"
        lines = tuple(found[1].splitlines())
        if not row:
            return lines
        return tuple(line.removesuffix(r" \\").replace(" & ", " ") for line in lines if line.startswith(row[0]))


KINDS: dict[str, Callable[[Session, Block], None]] = {
    "python": Session.python,
    "output": Session.output,
    "console": Session.console,
    "text": Session.nothing,
    "math": Session.nothing,
}


def command(line: str) -> str:
    """What `symnet ...` (in this process) or `python FILE ...` prints, on both streams."""
    program, *words = shlex.split(line)
    if program == "symnet":
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
            main(words)
        return out.getvalue()
    assert program == "python", f"the documentation runs '{program}'; expected symnet or python"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *words],
        check=False,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_what_is_shown_is_what_comes_out(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    pytest.importorskip("sklearn")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    text = path.read_text(encoding="utf-8")
    session = Session(path.relative_to(ROOT).as_posix(), tmp_path)
    before = set(sys.modules)
    try:
        for block in blocks(text):
            session.run(block)
    finally:
        for module in set(sys.modules) - before:
            if str(getattr(sys.modules[module], "__file__", None) or "").startswith(str(tmp_path)):
                del sys.modules[module]
    if not session.differing:
        return
    report = "\n\n".join(_difference(session.name, block, actual) for block, _, actual in session.differing)
    lost = [block for block, wanted, _ in session.differing if wanted is None]
    if request.config.getoption("--update-docs"):
        lines = text.splitlines()
        for block, wanted, _ in reversed(session.differing):
            lines[block.start : block.stop] = block.lines if wanted is None else wanted
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        assert not lost, f"to be mended by hand: {session.name}, lines {', '.join(str(b.start) for b in lost)}"
        sys.__stdout__.write(f"\n{report}\n")  # type: ignore[union-attr]
        return
    pytest.fail(f"{report}\nIf the change is meant: pytest --update-docs", pytrace=False)


def _difference(name: str, block: Block, actual: tuple[str, ...]) -> str:
    if "excerpt" in block.notes:
        return f"{name}:{block.start}: this does not occur in {block.notes['excerpt']}:\n{block.text}"
    return "\n".join(difflib.unified_diff(block.lines, actual, f"{name}:{block.start + 1}", "now", lineterm=""))


def test_index_has_every_page() -> None:
    linked = {target for target, _ in LINK.findall((ROOT / "docs" / "README.md").read_text(encoding="utf-8"))}
    assert {path.name for path in ROOT.glob("docs/*.md")} - {"README.md"} <= linked


LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([\w-]+))?\)")


@pytest.mark.parametrize("path", PAGES, ids=PAGE_NAMES)
def test_links_lead_somewhere(path: Path) -> None:
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in LINK.findall(prose):
        file = path.parent / target if target else path
        assert file.exists(), f"{target} does not exist"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
LOWER = ROOT / "codegen" / "lower"
LISTED = {
    "README.md": {
        "commands": COMMANDS,
        "layers": [kind for kind in Layer.kinds if kind in sn.__all__],
        "losses": {cls.__name__ for cls in LOSSES.values()},
        "activations": ACTIVATIONS,
        "optimizers": set(OPTIMIZERS),
        "extras": set(EXTRAS) - {"examples", "test", "notebook", "bench", "lint", "dev"},
    },
    "docs/python.md": {"options of compile": {f"{name}=True" for name in ("hvp", "wrt_inputs", "weighted")}},
    "docs/generated_module.md": {
        "parts": re.findall(r"^# --- (.*?) -+$", fragments(True, False) + fragments(False, True), re.MULTILINE)
    },
    "docs/equations.md": {"functions": FUNCTIONS, "reductions": REDUCTIONS},
    "docs/architecture.md": {
        "lowering": {path.relative_to(LOWER).as_posix() for path in LOWER.rglob("[!_]*.py")} - {"storage.py"},
        "debug levels": {"SYMNET_DEBUG", "0", *map(str, LEVELS)},
    },
}


def test_the_figures_of_the_benchmarks() -> None:
    """The README's are those of the tables."""
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    raced = [float(x) for x in re.findall(r"^\| W\d.*\| \*\*([\d.]+)\*\* \|$", page, re.MULTILINE)]
    unseen = [float(x) for x in re.findall(r"\| ([\d.]+) \|$", page.split("| ratio |")[-1], re.MULTILINE)]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"takes {min(raced)} to {max(raced)} of the time on fourteen networks" in readme and len(raced) == 14
    assert f"{min(unseen)} to {max(unseen)} on {len(unseen)} more" in readme


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize(("name", "what"), [(name, what) for name, lists in LISTED.items() for what in lists])
def test_lists_are_complete(name: str, what: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert [item for item in LISTED[name][what] if f"`{item}`" not in text] == []


def targets(row: Pass) -> str:
    """Those that a pass is for."""
    suited = sorted(name for name, target in TARGETS.items() if row.suits(target))
    return "all" if len(suited) == len(TARGETS) else ", ".join(suited)


def pass_table() -> str:
    """The table of passes as the page on the architecture shows it."""
    rows = [
        f"| {row.phase} | `{row.name}` | {row.what} | {_example(*row.example)} "
        f"| {targets(row)} | {row.proves} | {'yes' if row.optional else 'no'} |"
        for row in PASSES
    ]
    return "\n".join(
        [
            "| phase | pass | what it does | example | targets | keeps | optional |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]
    )


MOST_LINES = 4
"""Of an example that is read in a cell of a table."""


def _example(before: str, after: str) -> str:
    """What a pass makes of a short text; nothing where it is long."""
    if len([*before.splitlines(), *after.splitlines()]) > MOST_LINES:
        return ""
    escaped = (text.replace("|", r"\|").splitlines() for text in (before, after))
    return "<br>becomes<br>".join("<br>".join(f"`{line}`" for line in lines) for lines in escaped)


def recipe_table() -> str:
    """The table of recipes as the page on the architecture shows it."""
    rows = [
        f"| {number} | `{row.name}` | `{_file(row.build)}` | {row.what} |"
        for number, group in enumerate(GROUPS, start=1)
        for row in group
    ]
    return "\n".join(["| group | recipe | file | for, and how |", "|---|---|---|---|", *rows])


def _file(build: Any) -> str:
    module = getattr(build, "func", build).__module__.removeprefix("codegen.lower.")
    return f"{module.replace('.', '/')}.py"


@pytest.mark.parametrize(
    ("head", "table"),
    [("| phase | pass |", pass_table), ("| group | recipe |", recipe_table)],
    ids=["passes", "recipes"],
)
def test_the_tables_of_the_compiler_are_shown(
    head: str, table: Callable[[], str], request: pytest.FixtureRequest
) -> None:
    path = ROOT / "docs" / "architecture.md"
    text = path.read_text(encoding="utf-8")
    (shown,) = re.findall(rf"^{re.escape(head)}.*\n(?:\|.*\n)+", text, re.MULTILINE)
    if shown != f"{table()}\n" and request.config.getoption("--update-docs"):
        path.write_text(text.replace(shown, f"{table()}\n"), encoding="utf-8")
    assert shown == f"{table()}\n", "if the change is meant: pytest --update-docs"


@pytest.mark.parametrize("path", PAGES, ids=PAGE_NAMES)
def test_text_is_portable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(work|tmp|home|root)/", text)
    assert r"\operatorname" not in text and "$$" not in text, "GitHub does not render it"


@pytest.mark.parametrize(
    ("shown", "loose", "expected"),
    [
        ("a\nb\nc 1.5", False, True),
        ("a\nb\nc 1.7", False, False),
        ("a\nb\nc 1.7", True, True),
        ("a\n...", False, True),
        ("...\nc 1.5", False, True),
        ("a\n...\nc 1.5", False, True),
        ("b\n...", False, False),
        ("a\nb", False, False),
        ("...\na\nb", False, False),
        ("a\nb\nc 1.5\nd", False, False),
    ],
)
def test_comparison_notices_a_difference(shown: str, loose: bool, expected: bool) -> None:
    assert shows(tuple(shown.splitlines()), ("a", "b", "c 1.5"), whole=True, loose=loose) is expected
