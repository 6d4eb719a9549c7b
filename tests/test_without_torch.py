"""The tests need no PyTorch: without it they are all found, and only those against it are skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import pytest

sys.exit(pytest.main(sys.argv[1:]))
"""


def pytest_without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_file_is_collected() -> None:
    done = pytest_without_torch("--collect-only", "tests")
    assert done.returncode == 0, done.stdout[-2000:]
    assert " error" not in done.stdout.splitlines()[-1]


def test_what_needs_it_is_skipped_and_the_rest_runs() -> None:
    done = pytest_without_torch("tests/test_layers_sequence.py", "-k", "mistakes or agrees_with_pytorch")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "PyTorch is not installed" in done.stdout
    assert " passed" in done.stdout.splitlines()[-1]
