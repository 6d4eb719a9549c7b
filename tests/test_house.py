"""The rules of the house, held by reading the source: who imports whom, how long things get, what is never called."""

import ast
import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import symnet as sn
from recognisers import GONE

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*ROOT.glob("codegen/**/*.py"), *ROOT.glob("symnet/**/*.py")])
EXAMPLES = sorted(ROOT.glob("examples/*.py"))

LONGEST_FILE = 300
LONGEST_FUNCTION = 60

FORBIDDEN_CALLS = {"eval", "exec", "compile", "sympify", "parse_expr", "lambdify", "S"}
"""What would run, or hand to Python's parser, a text that may come from a user."""

ALLOWED_CALLS = {
    # A Python model file is a script, and runs as one.
    ("symnet/definition.py", "exec"),
    ("symnet/definition.py", "compile"),
    # The generated module, whose text comes from the emitter alone, is loaded here.
    ("symnet/assembly/loading.py", "exec"),
    ("symnet/verify/nonfinite.py", "exec"),
    ("symnet/assembly/loading.py", "compile"),
    # sn.compile itself.
    ("symnet/network/compiler.py", "compile"),
}

ONE_SYSTEM = {
    *("fcntl", "grp", "msvcrt", "posix", "pty", "pwd", "resource", "select", "termios", "tty", "winreg"),
    *("os.fork", "os.forkpty", "os.kill", "os.killpg", "os.mkfifo", "os.uname", "os.getuid", "os.geteuid", "os.setsid"),
    *("os.sched_getaffinity", "os.sched_setaffinity", "os.nice", "os.chown", "os.symlink", "os.wait", "os.waitpid"),
    *("os.startfile", "os.O_BINARY", "os.O_SYNC", "os.O_DIRECT", "os.O_CLOEXEC", "os.rename", "os.sep"),
    *("signal.SIGKILL", "signal.SIGALRM", "signal.SIGUSR1", "signal.SIGHUP", "signal.alarm", "signal.setitimer"),
    *("signal.pthread_sigmask", "time.tzset", "socket.AF_UNIX"),
}
"""What only some systems have, or what differs between them: `os.replace` also replaces on Windows, `os.rename` not."""

GUARDED = {
    # Behind `hasattr`, with the number of all cores elsewhere.
    ("symnet/runtime/cores.py", "os.sched_getaffinity"),
    # Looked at where it exists, for an error instead of a crash.
    ("symnet/runtime/shared.py", "/dev/shm"),
    # The processor's name for a comment; elsewhere the one that the standard library has.
    ("symnet/network/tune.py", "/proc/cpuinfo"),
    # Where it is missing, the system itself refuses to delete files that are open.
    ("symnet/support/unfinished.py", "fcntl"),
}

PLACE = re.compile(r"/(dev|proc|tmp|etc|usr|home)(/|$)|[A-Z]:\\")

MODULES_OF_CODEGEN = {"codegen", "numpy", "sympy", *sys.stdlib_module_names}


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(tree: ast.AST) -> Iterator[str]:
    """The top-level packages that a module imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else (node.module or "").split(".")[0]


def called(node: ast.Call) -> str:
    """The last name of what a call calls; a method of some object, as in `pattern.compile(...)`, is not meant."""
    function = node.func
    if isinstance(function, ast.Name):
        return function.id
    from_sympy = isinstance(function, ast.Attribute) and ast.unparse(function.value) in {"sympy", "sp", "builtins"}
    return function.attr if from_sympy and isinstance(function, ast.Attribute) else ""


def too_long(node: ast.FunctionDef) -> Iterator[str]:
    documented = ast.get_docstring(node) is not None and len(node.body) > 1
    first = node.body[1 if documented else 0]  # a signature and a docstring may take the room they need
    length = (node.end_lineno or node.lineno) - first.lineno + 1
    if length > LONGEST_FUNCTION:
        yield f"{node.name} has {length} lines, more than {LONGEST_FUNCTION}"


def hidden_imports(node: ast.FunctionDef) -> Iterator[str]:
    if any(isinstance(inner, ast.Import | ast.ImportFrom) for inner in ast.walk(node)):
        yield f"an import inside the function {node.name}"


def unsafe_calls(node: ast.Call, path: str) -> Iterator[str]:
    name = called(node)
    if name in FORBIDDEN_CALLS and (path, name) not in ALLOWED_CALLS:
        yield f"calls {name}"
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    if ast.unparse(node.func) in {"np.load", "numpy.load"} and keywords.get("allow_pickle") != "False":
        yield "np.load without allow_pickle=False"


def of_one_system(node: ast.Attribute | ast.Import | ast.ImportFrom | ast.Constant, path: str) -> Iterator[str]:
    match node:
        case ast.Attribute():
            names = {ast.unparse(node)}
        case ast.Constant():
            names = {node.value} if isinstance(node.value, str) and PLACE.match(node.value) else set()
        case ast.Import():
            names = {alias.name for alias in node.names}
        case ast.ImportFrom():
            names = {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    for name in names:
        if (name in ONE_SYSTEM or isinstance(node, ast.Constant)) and (path, name) not in GUARDED:
            yield f"{name} is not there, or not the same, on every system"


def text_files(node: ast.Call) -> Iterator[str]:
    """Without an encoding, text is read and written in the system's own."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
    words = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
    modes = [w.value for w in words if isinstance(w, ast.Constant) and re.fullmatch("[rwxabt+]{1,3}", str(w.value))]
    text = name in {"read_text", "write_text"} or (name == "open" and (modes or isinstance(function, ast.Name)))
    if text and not any("b" in mode for mode in modes) and "encoding" not in {k.arg for k in node.keywords}:
        yield f"{name} without an encoding"


def blind(node: ast.ExceptHandler) -> Iterator[str]:
    if node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"}:
        yield "catches everything"


def stub(node: ast.Raise) -> Iterator[str]:
    if node.exc is not None and "NotImplementedError" in ast.unparse(node.exc):
        yield "a stub"


def offences(path: str, source: str) -> Iterator[str]:
    """Every breach of the house's rules in one file, as `path:line: what`."""
    if (lines := len(source.splitlines())) > LONGEST_FILE:
        yield f"{path}:{lines}: more than {LONGEST_FILE} lines in a file"
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef():
                found = [*too_long(node), *hidden_imports(node)]
            case ast.Call():
                found = [*unsafe_calls(node, path), *text_files(node)]
            case ast.Attribute() | ast.Import() | ast.ImportFrom() | ast.Constant():
                found = list(of_one_system(node, path))
            case ast.ExceptHandler():
                found = list(blind(node))
            case ast.Raise():
                found = list(stub(node))
            case _:
                continue
        yield from (f"{path}:{node.lineno}: {what}" for what in found)


@pytest.mark.parametrize("path", SOURCES, ids=label)
def test_source_keeps_the_rules(path: Path) -> None:
    assert list(offences(label(path), path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", [path for path in SOURCES if label(path).startswith("codegen/")], ids=label)
def test_codegen_knows_nothing_of_networks(path: Path) -> None:
    others = set(imported(ast.parse(path.read_text(encoding="utf-8")))) - MODULES_OF_CODEGEN
    assert not others, f"codegen may import {sorted(MODULES_OF_CODEGEN - sys.stdlib_module_names)} and no more"


@pytest.mark.parametrize(
    ("source", "offence"),
    [
        ("eval('1')", "calls eval"),
        ("import sympy\nsympy.sympify('x')", "calls sympify"),
        ("def f():\n    import os", "an import inside"),
        ("class A:\n    def f(self):\n        from os import path", "an import inside"),
        ("try:\n    pass\nexcept Exception:\n    pass", "catches everything"),
        ("try:\n    pass\nexcept:\n    pass", "catches everything"),
        ("raise NotImplementedError", "a stub"),
        ("np.load('x.npz')", "np.load"),
        ("def f():\n    'It.'\n" + "    pass\n" * (LONGEST_FUNCTION + 1), "has 61 lines"),
        ("\n" * (LONGEST_FILE + 1), "lines in a file"),
        ("import fcntl", "fcntl is not there"),
        ("import os\nos.fork()", "os.fork is not there"),
        ("from os import fork", "os.fork is not there"),
        ("name = '/dev/shm/block'", "/dev/shm/block is not there"),
        ("open('x')", "open without an encoding"),
        ("path.open('w')", "open without an encoding"),
        ("path.read_text()", "read_text without an encoding"),
    ],
)
def test_rules_notice_a_breach(source: str, offence: str) -> None:
    found = list(offences("symnet/sample.py", source))
    assert len(found) == 1
    assert offence in found[0]


def test_rules_let_ordinary_code_pass() -> None:
    source = (
        "import re\nre.compile('x')\nnp.load('x.npz', allow_pickle=False)\ntry:\n    pass\nexcept OSError:\n    pass"
        "\nopen('x', 'rb')\nopen('x', encoding='utf-8')\npath.open('xb')\nos.replace(a, b)"
    )
    assert list(offences("symnet/sample.py", source)) == []


def test_every_import_form_is_seen() -> None:
    tree = ast.parse(
        "import symnet.model.layers as l\nfrom symnet import graph\ndef f():\n    import symnet\nfrom . import x"
    )
    assert list(imported(tree)) == ["symnet", "symnet", ".", "symnet"]


ROOMS = {
    "codegen": "ir notation machine analysis oracle lower plan emit passes pipeline",
    "symnet": "runtime support readers machine model data stream differentiate optim facts assembly verify explain "
    "export training network definition sklearn cli",
}
"""The rooms of each package, from the ground up."""
LOOSE = 3
"""So many modules at most stand at the top of a package."""


def upward(package: str, path: str, source: str) -> Iterator[str]:
    """The imports of a file in a room that go to no room below."""
    rooms = ROOMS[package].split()
    own = path.split("/")[1].removesuffix(".py")
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            top, _, rest = name.partition(".")
            room = rest.split(".")[0]
            if top == package and room != own and not (room in rooms and rooms.index(room) < rooms.index(own)):
                yield f"{own} imports {room}"


@pytest.mark.parametrize("package", ROOMS)
def test_imports_go_down(package: str) -> None:
    files = {label(path): path for path in SOURCES if label(path).startswith(f"{package}/")}
    inner = {name: path for name, path in files.items() if name.split("/")[1] not in ("__init__.py", "__main__.py")}
    assert {name.split("/")[1].removesuffix(".py") for name in inner} == set(ROOMS[package].split())
    found = {name: list(upward(package, name, path.read_text(encoding="utf-8"))) for name, path in inner.items()}
    assert {name: what for name, what in found.items() if what} == {}
    assert sum(name.count("/") == 1 for name in inner) <= LOOSE


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("codegen/ir/view.py", "from codegen.analysis import structure"),
        ("codegen/oracle/watch.py", "import codegen.passes.table"),
        ("symnet/model/graph.py", "from symnet import explain"),
        ("symnet/cli/train.py", "from symnet.nowhere import thing"),
    ],
)
def test_an_import_upwards_is_noticed(path: str, source: str) -> None:
    assert len(list(upward(path.split("/")[0], path, source))) == 1


FOLDERS = {
    "codegen/lower/products": "codegen.lower.(windows|recipes|choose|lowering)",
    "codegen/lower/windows": "codegen.lower.(recipes|choose|lowering)",
    "codegen/plan/memory": "codegen.plan.(?!memory)",
}
"""What a folder within a room does not import."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_of_a_room_keep_apart(folder: str) -> None:
    for path in (ROOT / folder).glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not [name for name in modules if re.match(FOLDERS[folder], name)], label(path)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))])
def test_what_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:codegen|symnet|tests|benchmarks|examples)/[\w./]+?)/?`", text))
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_public_name_is_loaded_when_it_is_asked_for() -> None:
    """And not before: what only prints help does not wait for SymPy."""
    tree = ast.parse((ROOT / "symnet" / "__init__.py").read_text(encoding="utf-8"))
    typed = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    names = {alias.name for node in ast.walk(typed[0]) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert names == set(sn.__all__) == set(sn.__all__) & set(dir(sn))
    for name in sn.__all__:
        assert getattr(sn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Denze'; did you mean 'Dense'"):
        sn.__getattr__("Denze")
    code = "import sys, symnet.cli.main as m; m.main(['--help']); sys.exit('sympy' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.DEVNULL)


def test_every_room_says_what_lives_there() -> None:
    for folder in {path.parent for path in SOURCES}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))), label(folder)


def defined(path: Path) -> set[str]:
    """The names of all functions and classes in a file; none where there is no such file."""
    tree = ast.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}


@pytest.mark.parametrize("path", GONE)
def test_equations_are_read_in_one_place(path: str) -> None:
    back = defined(ROOT / path) & set(GONE[path].split())
    assert not back, f"{path} recognises by itself again what codegen/analysis reads: {sorted(back)}"


def test_script_and_packages_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    module, function = project["project"]["scripts"]["symnet"].split(":")
    assert callable(getattr(importlib.import_module(module), function))
    for folder in {path.parent for path in SOURCES}:
        assert (folder / "__init__.py").is_file(), f"{folder.relative_to(ROOT)} would not be installed"
    for package in ("symnet", "codegen"):
        assert (ROOT / package / "py.typed").is_file()


ELSEWHERE = """
import importlib, multiprocessing, subprocess, sys
import numexpr, numpy as np, sympy
for name in sys.argv[1:]:
    module, _, attribute = name.partition(".")
    if not attribute:
        sys.modules[name] = None
    elif hasattr(importlib.import_module(module), attribute):
        delattr(sys.modules[module], attribute)
import symnet as sn
import symnet.cli.main
x = sn.Input((3,), name="x")
net = sn.compile(sn.Model(x, sn.Dense(2)(x), loss=sn.CrossEntropy()))
params, history = net.fit(np.eye(3), np.arange(3) % 2, epochs=2)
assert net.module.predict(params, np.eye(3)).shape == (3,) and len(history["loss"]) == 2
net.save("written.py")
assert net.module._cores() >= 1
import written
written.save_params("p.npz", params)
assert symnet.cli.main.main(["--help"]) == 0
"""


def test_everything_runs_without_what_only_some_systems_have(tmp_path: Path) -> None:
    # Python's own modules need these two here; Windows has neither, and they do not.
    absent = sorted(ONE_SYSTEM - {"posix", "select", "os.sep"})
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *absent],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(tmp_path)))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
