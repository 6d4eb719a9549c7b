"""The generated sources are those that are recorded, whatever the seed of Python's hashes.

A change that is meant: `python tests/manifest.py --write`, and a line in its commit for each kind of difference.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import manifest

SHARE = 9
"""In another process, one network in so many is compiled again."""


@pytest.mark.parametrize("dtype", manifest.DTYPES)
@pytest.mark.parametrize("target", manifest.TARGETS)
def test_sources_are_as_recorded(target: str, dtype: str) -> None:
    known = manifest.recorded()
    names = manifest.names()
    assert {f"{name} | {target} {dtype}" for name in names} == {k for k in known if k.endswith(f"| {target} {dtype}")}
    # float64 differs in few places, which a share of the networks reaches.
    some = names if dtype == "float32" else names[::SHARE]
    differ = [n for n in some if known[f"{n} | {target} {dtype}"] != manifest.hashed(n, target, dtype)]
    assert differ == [], "if the change is meant: python tests/manifest.py --write"


@pytest.mark.parametrize("seed", ["1", "2"])
def test_sources_do_not_depend_on_the_hash_seed(seed: str) -> None:
    code = (
        "import manifest\nknown = manifest.recorded()\n"
        f"for name in manifest.names()[::{2 * SHARE}]:\n"
        "    for target in manifest.TARGETS:\n"
        "        assert known[f'{name} | {target} float32'] == manifest.hashed(name, target, 'float32'), name\n"
    )
    here = Path(__file__).parent
    path = os.pathsep.join((str(here), str(here.parent)))
    env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": path}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
