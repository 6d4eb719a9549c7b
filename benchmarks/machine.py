"""On what, and with what, the figures were measured."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import cores, environment

ROOT = Path(__file__).resolve().parent.parent

PACKAGES = ("numpy", "numexpr", "numba", "torch", "jax", "pytensor", "autograd")


def machine() -> dict[str, Any]:
    """Processor, caches, versions, the BLAS and its kernels, and how busy the machine was at the start.

    Seen from a process with the environment that the contenders have: settings in ours may choose other kernels.
    """
    command = [sys.executable, "-m", "benchmarks.machine"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def seen() -> dict[str, Any]:
    """The same, from this process."""
    return {
        "processor": processor(),
        "cores": cores(),
        "caches": caches(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := installed(name))},
        "blas": blas(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def described(found: dict[str, Any]) -> str:
    """The machine in a sentence or two."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    caches_ = f" ({found['caches']})" if found["caches"] else ""
    return (
        f"{found['processor']}, {found['cores']} cores{caches_}, {found['system']}; Python {found['python']}, "
        f"{versions}; {found['blas']}."
    )


def installed(name: str) -> str | None:
    """The version of a package, None where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The processor's name, with its family and model where the name is a general one."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    fields = dict(
        re.findall(r"^([\w ]+?)\s*:\s*(.*)$", path.read_text(encoding="utf-8").split("\n\n")[0], re.MULTILINE)
    )
    name = fields.get("model name", platform.machine())
    place = f"family {fields['cpu family']}, model {fields['model']}" if "cpu family" in fields else ""
    return f"{name} ({place})" if place and not re.search(r"\d", name) else name


def caches() -> str:
    """`L1d 48K, L2 1024K, L3 32768K`: of the first core; empty where the system does not say."""
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text(encoding="ascii").strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level}{'d' if kind == 'Data' else ''} {size}")
    return ", ".join(found)


def blas() -> str:
    """NumPy's BLAS and, where threadpoolctl is installed, the kernels that it chose."""
    with contextlib.redirect_stdout(io.StringIO()):
        built = np.show_config(mode="dicts")
    entry = built["Build Dependencies"]["blas"] if built else {}
    name = f"NumPy with {entry.get('name', 'an unknown BLAS')} {entry.get('version', '')}".strip()
    if importlib.util.find_spec("threadpoolctl") is None:
        return name
    libraries = importlib.import_module("threadpoolctl").threadpool_info()
    kernels = {lib["architecture"] for lib in libraries if "numpy" in lib["filepath"] and "architecture" in lib}
    return f"{name}, {'/'.join(sorted(kernels))} kernels" if kernels else name


if __name__ == "__main__":
    print(json.dumps(seen()))
