"""One mutation in a copy of the tree, tried in a process of its own, which has imported all but the code itself."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mutants.names import group
from mutants.sites import Mutation

IMPORTED = ("numpy", "sympy", "numexpr", "hypothesis", "hypothesis.strategies", "pytest", "numba", "llvmlite.binding")
"""What takes long to import and is not mutated."""
MEMORY = 6 << 30
"""Bytes of address space that a mutated process may take."""
PATIENCE = 4
"""A check that takes so many times as long as it did, and ten seconds, hangs."""


@dataclass(frozen=True)
class Outcome:
    """Whether a mutation was noticed, by what and how; seconds of processor time until then."""

    killed: bool
    by: str = ""
    how: str = ""
    seconds: float = 0.0
    passed: int = 0


class Scratch:
    """A copy of the tree at a commit, in which one file at a time is changed."""

    def __init__(self, root: Path, commit: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mutants-"))
        self.tree, noted = self.folder / "tree", self.folder / "sources"
        for path in (self.tree, noted):
            path.mkdir()
        os.environ["MUTANTS_SOURCES"] = str(noted)
        archive = subprocess.Popen(["git", "archive", commit], cwd=root, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", str(self.tree)], stdin=archive.stdout, check=True)
        for name in IMPORTED:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)

    def close(self) -> None:
        shutil.rmtree(self.folder)

    @contextlib.contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        """Within it, the mutation stands in the copy."""
        path = self.tree / mutation.file
        source, times = path.read_bytes(), path.stat()
        path.write_bytes(mutation.applied(source))
        try:
            yield
        finally:
            path.write_bytes(source)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def run(self, names: Sequence[str], seconds: float) -> Outcome:
        """The checks in order, in a process of its own, up to the first that does not pass.

        seconds: of processor time that they take without a mutation.
        """
        limit = int(seconds * PATIENCE) + 10
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            self._child(names, limit, write)
        os.close(write)
        with os.fdopen(read) as pipe:
            said = [json.loads(line) for line in pipe]
        _, status, used = os.wait4(child, 0)
        spent = used.ru_utime + used.ru_stime
        last = said[-1] if said else {"check": "import"}
        if last.get("done"):
            return Outcome(False, seconds=spent, passed=len(names))
        if "how" in last:
            return Outcome(True, last["check"], last["how"], spent, len(said))
        ended = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL, signal.SIGALRM)
        return Outcome(True, last["check"], "time" if ended else f"the process ended, {status}", spent, len(said))

    def _child(self, names: Sequence[str], limit: int, write: int) -> None:
        """Never returns."""
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        signal.alarm(30 * limit)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.chdir(self.tree)
        sys.path[:] = [str(self.tree), str(self.tree / "tests"), *(p for p in sys.path if "site-packages" in p or
                       "lib/python" in p or p.endswith(".zip"))]  # fmt: skip
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2])
        for name in [n for n in sys.modules if n.split(".")[0] == "mutants"]:
            del sys.modules[name]
        status = 1
        with os.fdopen(write, "w", buffering=1) as pipe:
            try:
                _try(names, pipe)
                status = 0
            except BaseException as error:  # noqa: BLE001 - whatever a mutation leads to
                pipe.write(json.dumps({"check": _running[-1], "how": f"{type(error).__name__}: {str(error)[:200]}"}))
        os._exit(status)


_running = ["import"]


def _try(names: Sequence[str], pipe: object) -> None:
    checks = importlib.import_module("mutants.checks")  # which imports what is mutated

    def say(name: str) -> None:
        _running.append(name)
        pipe.write(json.dumps({"check": name}) + "\n")  # type: ignore[attr-defined]

    for are_tests, some in groupby(names, key=lambda name: group(name) == "test"):
        if are_tests:
            _tests(list(some), say)
        else:
            for name in some:
                say(name)
                checks.run(name)
    pipe.write(json.dumps({"done": True}) + "\n")  # type: ignore[attr-defined]


def _tests(names: Sequence[str], say: Callable[[str], None]) -> None:
    order = {name: k for k, name in enumerate(names)}

    class Ordered:
        failure = ""

        def pytest_collection_modifyitems(self, items: list) -> None:
            items.sort(key=lambda item: order.get(item.nodeid.removeprefix("tests/"), 0))

        def pytest_runtest_logreport(self, report: object) -> None:
            if report.failed:  # type: ignore[attr-defined]
                self.failure = str(report.longrepr).strip().splitlines()[-1]  # type: ignore[attr-defined]

        def pytest_runtest_setup(self, item: object) -> None:
            say(item.nodeid.removeprefix("tests/"))

    plugin = Ordered()
    ids = [f"tests/{name}" for name in names]
    pytest = importlib.import_module("pytest")
    status = pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-c", "pyproject.toml", *ids], plugins=[plugin])
    if status not in (0, 5):
        raise AssertionError(plugin.failure or f"pytest ended with {status}")
