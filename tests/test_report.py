"""The report: formulas that KaTeX takes, links that lead somewhere, code that belongs to its equation, true costs."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
from functools import lru_cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from codegen.ir.equation import all_reads, size_symbol
from codegen.notation import show
from katex import refused
from pictured import NETWORKS
from symnet.cli.main import main
from symnet.explain import katex
from symnet.explain.report import Report, html, markdown, report, tex
from symnet.explain.report.costs import costs
from symnet.explain.report.highlight import highlighted
from symnet.explain.report.numbers import memory, polynomial, polynomial_tex, short
from symnet.explain.report.page import formulas, tex_span
from symnet.network.compiler import Network

EXAMPLES = Path(__file__).parent.parent / "examples"
N, T = size_symbol("N"), size_symbol("T")


@lru_cache(maxsize=8)
def compiled(name: str) -> Network:
    return sn.compile(NETWORKS[name]())


@lru_cache(maxsize=8)
def made(name: str) -> Report:
    return report(compiled(name), steps=name != "deep")


class Page(HTMLParser):
    """The links, anchors, addresses and texts of a page, and whether its elements are nested properly."""

    EMPTY = frozenset("meta br".split())

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []
        self.addresses += [given[k] or "" for k in ("src", "srcset", "data", "action", "poster") if k in given]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", NETWORKS)
def test_katex_takes_every_formula_in_strict_mode(name: str) -> None:
    found = formulas(made(name))
    assert len(found) > 10
    assert refused(found) == []


def test_strict_mode_refuses_something() -> None:
    assert len(refused([r"\undefined", "a_", r"\text{ü}é", "x"])) == 3


@pytest.mark.parametrize("name", NETWORKS)
def test_page_is_whole_links_resolve_and_nothing_is_outside(name: str) -> None:
    text = html(made(name))
    page = Page(text)
    assert page.open == []
    assert len(page.anchors) == len(set(page.anchors))
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.anchors)
    assert page.addresses == []
    rest = text.replace(katex.script(), "").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|//\w+\.\w+/|@import", rest)
    assert set(re.findall(r"url\((.{5})", rest)) <= {"data:", "#symn"}
    assert len(text) < 2_000_000


@pytest.mark.parametrize("name", NETWORKS)
def test_equation_numbers_link_both_ways(name: str) -> None:
    page, text = made(name), html(made(name))
    rows = [row for chapter in page.chapters for group in chapter.groups for row in group.rows]
    assert [row.number for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        assert f'id="eq-{row.number}"' in text
        assert row.code or row.inside, f"({row.number}) {row.target} is computed nowhere"
        for code in row.code:
            assert f'href="#L{code.first}"' in text
            assert f'id="L{code.first}"' in text
            line = re.search(rf'<span class="line" id="L{code.first}">.*?</span>', text)
            assert line is not None
            assert f'href="#eq-{row.number}"' in line[0]
        assert all(number != row.number for number in row.uses)


@pytest.mark.parametrize("name", NETWORKS)
def test_code_stands_beside_the_equation_that_it_computes(name: str) -> None:
    net = compiled(name)
    lines = net.source.splitlines()
    # The compiler may add to what the program computes, such as copies in another axis order; of that itself
    # it may put values into their readers.
    missing = {e.target for e in net.program.equations} - {e.target for e, _, _ in net.blocks}
    assert missing <= {r.tensor for e in net.program.equations for r in all_reads(e)}
    covered: set[int] = set()
    for equation, first, last in net.blocks:
        comment = "".join(re.sub(r"\W", "", line) for line in lines[first - 1 : last] if line.lstrip().startswith("#"))
        assert comment.startswith(re.sub(r"\W", "", show(equation)))
        assert not covered & set(range(first, last + 1))
        covered |= set(range(first, last + 1))
    for row in (r for c in made(name).chapters for g in c.groups for r in g.rows):
        for code in row.code:
            assert [line.strip() for line in code.lines] == [line.strip() for line in lines[code.first - 1 : code.last]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETWORKS)
def test_workspace_is_as_large_as_the_report_says(name: str, dtype: str) -> None:
    net = sn.compile(NETWORKS[name](), dtype=dtype)
    for batch, length in ((1, 1), (7, 5)):
        sizes = {"N": batch, "T": length}
        said = costs(net).memory.workspace.subs({N: batch, T: length})
        tracemalloc.start()
        workspace = net.module.Workspace(*(sizes[s] for s in net.program.sizes))
        numpy = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        seen = tracemalloc.take_snapshot().filter_traces([numpy])
        tracemalloc.stop()
        assert sum(trace.size for trace in seen.traces) == said, workspace


def test_derivations_and_matrices_fold_in() -> None:
    text = html(made("cnn"))
    assert "The largest difference seen is" in text
    rows = {row.target: row for chapter in made("cnn").chapters for group in chapter.groups for row in group.rows}
    assert rows["d_logits"].matrices == (
        r"\begin{aligned}\delta^{\text{logits}}_{n} & = \hat{y}_{n} - y_{n}\end{aligned}"
    )
    gradients = [row for row in rows.values() if row.target.startswith("d_")]
    assert all(row.steps for row in gradients)
    assert max(s.difference or 0 for row in gradients for s in row.steps) < 1e-6
    assert text.count("<summary>step by step</summary>") == len(gradients)
    assert not any(row.steps for c in report(compiled("cnn"), steps=False).chapters for g in c.groups for row in g.rows)


def test_costs_of_the_cnn() -> None:
    found = costs(compiled("cnn"))
    assert [s.name for s in found.stages] == ["forward", "loss", "backward"]
    assert found.passes[0].name == "as derived"
    assert found.passes[-1].operations == sum(s.computed for s in found.stages)
    assert found.passes[0].operations == sum(s.derived for s in found.stages)
    parameters = sum(int(np.prod(shape)) for shape in compiled("cnn").module.PARAMETERS.values())
    assert found.memory.parameters == found.memory.gradients == 4 * parameters
    assert found.memory.alive.subs(N, 100) < found.memory.workspace.subs(N, 100)


def test_numbers_for_people() -> None:
    assert polynomial(670090 * N + 10) == "670,090 N + 10"
    assert polynomial(N * T * 3 - T) == "3 N T − T"
    assert polynomial(0 * N) == "0"
    assert polynomial_tex(1234 * N**2) == r"1{,}234\,N^{2}"
    assert memory(999) == "999 bytes"
    assert memory(1_431_564) == "1.43 MB"
    assert short(1_294_012) == "1.29M"


@pytest.mark.parametrize("write", [html, tex, markdown])
def test_same_network_same_text(write: object) -> None:
    assert callable(write)
    assert write(report(sn.compile(NETWORKS["cnn"]()))) == write(made("cnn"))


def test_text_is_escaped() -> None:
    assert "<script" not in tex_span("<script>") + "".join(highlighted(['x = "<script>"', "# <script>"]))
    assert highlighted(["def f(:", "  '''"]) == ["def f(:", "  &#x27;&#x27;&#x27;"]
    shown = "".join(highlighted(["for k in range(2):", '    x = "a<b"  # & so on']))
    assert '<b class="k">for</b>' in shown
    assert '<b class="c"># &amp; so on</b>' in shown
    assert unescape(re.sub("<[^>]*>", "", shown)) == 'for k in range(2):    x = "a<b"  # & so on'


def test_typefaces_are_embedded_where_they_are_needed() -> None:
    plain, script = katex.stylesheet(["x"]), katex.stylesheet([r"\mathscr{F}"])
    assert "KaTeX_Main" in plain
    assert "font-family:KaTeX_Script" not in plain.split(".katex")[0]
    assert len(script) > len(plain) + 9_000
    assert "fonts/" not in script


def test_report_of_the_lenet_is_small(tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    assert main(["report", str(EXAMPLES / "digits_cnn.py"), "-o", str(out)]) == 0
    assert out.stat().st_size < 2_000_000


@pytest.mark.parametrize(("ending", "start"), [("html", "<!DOCTYPE html>"), ("tex", "\\documentclass"), ("md", "# ")])
def test_command_writes_a_file(ending: str, start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / f"r.{ending}"
    assert main(["report", str(EXAMPLES / "digits_mlp.toml"), "-o", str(out)]) == 0
    assert out.read_text(encoding="utf-8").startswith(start)
    assert "a report on digits_mlp" in capsys.readouterr().out


def test_command_refuses_other_endings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(EXAMPLES / "digits_mlp.toml"), "-o", str(tmp_path / "r.pdf")]) == 2
    assert "expected a file name that ends with .html, .tex or .md, got '.pdf'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NETWORKS)
def test_latexmk_compiles_the_paper(name: str, tmp_path: Path) -> None:
    if not shutil.which("latexmk") or not shutil.which("pdflatex"):
        pytest.skip("latexmk is not installed")
    (tmp_path / "r.tex").write_text(tex(made(name)), encoding="utf-8")
    command = ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "r.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "undefined" not in (tmp_path / "r.log").read_text(errors="replace").lower()


@pytest.mark.parametrize("width", [1280, 390])
def test_chromium_sets_every_formula_and_the_page_fits(width: int, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("Chromium is not installed")
    # As before printing, everything is opened, so that every formula is set.
    report_on = "window.dispatchEvent(new Event('beforeprint'));var e=document.documentElement;"
    report_on += "document.title=[e.scrollWidth,document.querySelectorAll('.katex').length,"
    report_on += "document.querySelectorAll('.katex-error').length].join(' ')"
    page = tmp_path / "r.html"
    page.write_text(html(made("cnn")).replace("</body>", f"<script>{report_on}</script></body>"), encoding="utf-8")
    # A window is at least 500 pixels wide, so the narrow page stands in a frame.
    frame = tmp_path / "frame.html"
    frame.write_text(f'<iframe src="r.html" style="border:0;width:{width}px;height:900px"></iframe>', encoding="utf-8")
    options = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    common = [chromium, *options.split(), f"--user-data-dir={tmp_path / 'profile'}", "--disable-component-update"]
    more = ["--allow-file-access-from-files", "--virtual-time-budget=5000", f"--window-size={width},900", "--dump-dom"]
    goal = page if width > 500 else frame
    if goal is frame:
        reader = "<script>onload=()=>{document.title=document.querySelector('iframe').contentDocument.title}</script>"
        frame.write_text(frame.read_text() + reader, encoding="utf-8")
    done = subprocess.run([*common, *more, goal.as_uri()], capture_output=True, text=True, timeout=120, check=False)
    title = re.search(r"<title>(\d+) (\d+) (\d+)</title>", done.stdout)
    assert title is not None, done.stderr[-1000:]
    wide, set_, wrong = map(int, title.groups())
    assert wide <= width
    assert set_ >= len(formulas(made("cnn")))
    assert wrong == 0


def test_notebook_reprs() -> None:
    net = compiled("cnn")
    for shown in (net, net.model):
        assert shown._repr_svg_().startswith("<svg")
        assert shown._repr_latex_().startswith("$$\n\\begin{aligned}")
        assert refused([shown._repr_latex_().strip("$\n")]) == []
        Page(shown._repr_html_())
        assert "conv2d_1" in shown._repr_html_()
    assert "backward ↑" in net._repr_svg_()
    assert "backward ↑" not in net.model._repr_svg_()
    assert "partial L" in net._repr_latex_()
    assert sn.compile(NETWORKS["plain"]())._repr_latex_()


def test_report_does_not_depend_on_hashing() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests'); import hashlib, symnet as sn; from pictured import mixed; "
        "from symnet.explain.report import html, report; "
        "print(hashlib.sha256(html(report(sn.compile(mixed()))).encode()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=EXAMPLES.parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_notebook_is_executed_and_holds_what_it_shows() -> None:
    text = (EXAMPLES / "tour.ipynb").read_text(encoding="utf-8")
    assert "Affine(" not in text, "a network's repr is one line, not its program"
    cells = json.loads(text)["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    for number, cell in enumerate(code, start=1):
        ast.parse("".join(cell["source"]))
        assert cell["execution_count"] == number
        assert all(output["output_type"] != "error" for output in cell["outputs"])
    shown = [key for cell in code for output in cell["outputs"] for key in output.get("data", {})]
    assert {"text/html", "image/svg+xml", "text/latex"} <= set(shown)


def test_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    nbformat = pytest.importorskip("nbformat", reason="running the notebook needs nbformat, nbclient and ipykernel")
    nbclient = pytest.importorskip("nbclient", reason="running the notebook needs nbformat, nbclient and ipykernel")
    pytest.importorskip("ipykernel", reason="running the notebook needs nbformat, nbclient and ipykernel")
    book = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute(cwd=str(tmp_path))
    said = "".join(o.get("text", "") for cell in book.cells for o in cell.get("outputs", []))
    accuracy = re.search(r"test accuracy ([\d.]+)%", said)
    assert accuracy is not None
    assert float(accuracy[1]) > 96
