"""The contenders: one small file for each framework, and the table of how each of them runs."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.layers import Conv, Elman, Linear
from benchmarks.workloads import Arrays, Workload


class Training(Protocol):
    """What a contender's factory makes of a workload.  It may also have `figures() -> dict[str, float]`."""

    def step(self) -> Any:
        """One step; returns the loss, which has been computed when this returns."""

    def params(self) -> Arrays:
        """The parameters now, by the workload's names and in PyTorch's shapes."""


@dataclass(frozen=True)
class Contender:
    """One way to run a step of training.

    factory: "module:function" or "module:Class", called with the workload and `options`.
    environment: what its process has besides what all have.
    package: what must be installed; None: nothing.  only: it runs nothing but these layers.  needs: only where there
    is a layer of this type.  ours: it is symnet.
    """

    factory: str
    environment: Mapping[str, str] = field(default_factory=dict)
    package: str | None = None
    only: frozenset[type] | None = None
    needs: type | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    ours: bool = False

    def runs(self, workload: Workload) -> bool:
        """Whether it can run this workload."""
        if self.only is not None and not workload.kinds <= self.only:
            return False
        return self.needs is None or self.needs in workload.kinds

    @property
    def installed(self) -> bool:
        """Whether its package can be imported."""
        return self.package is None or importlib.util.find_spec(self.package) is not None

    def train(self, workload: Workload) -> Training:
        """The workload, ready to run."""
        module, _, name = self.factory.partition(":")
        factory: Callable[..., Training] = getattr(importlib.import_module(module), name)
        return factory(workload, **self.options)


# glibc gives large blocks back to the kernel at every free; a framework that allocates in each step pays for that.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_TOP_PAD_": "67108864",
}
ONE = {"OPENBLAS_NUM_THREADS": "1"}

TORCH, OURS = "benchmarks.peers.pytorch", "benchmarks.peers.generated:Training"
DENSE = frozenset({Linear})


CONTENDERS: dict[str, Contender] = {
    "symnet": Contender(OURS, ours=True),
    "symnet-1": Contender(OURS, ONE, ours=True),
    "symnet-w2": Contender(OURS, ONE, options={"workers": 2}, ours=True),
    "symnet-auto": Contender(OURS, options={"workers": "auto"}, ours=True),
    "symnet-numba": Contender(OURS, package="numba", options={"target": "numba"}, ours=True),
    "symnet-numba-w2": Contender(OURS, ONE, "numba", options={"target": "numba", "workers": 2}, ours=True),
    "torch": Contender(f"{TORCH}:eager", package="torch"),
    "torch-malloc": Contender(f"{TORCH}:eager", MALLOC, "torch"),
    "torch-last": Contender(f"{TORCH}:channels_last", MALLOC, "torch", needs=Conv),
    "torch-loss": Contender(f"{TORCH}:compiled_loss", MALLOC, "torch"),
    "torch-step": Contender(f"{TORCH}:compiled_step", MALLOC, "torch"),
    "jax": Contender("benchmarks.peers.jax_jit:Training", MALLOC, "jax"),
    "pytensor": Contender("benchmarks.peers.pytensor_numba:Training", package="pytensor", only=DENSE),
    "autograd": Contender("benchmarks.peers.hips_autograd:Training", package="autograd", only=DENSE | {Elman}),
}
DESCRIBED = {
    "symnet": "generated NumPy, one process, as many BLAS threads as cores",
    "symnet-1": "generated NumPy, one process, one BLAS thread",
    "symnet-w2": "two processes (`workers=2`) with one BLAS thread each",
    "symnet-auto": 'one process or more (`workers="auto"`), as symnet chooses by the shapes',
    "symnet-numba": "generated NumPy and Numba, one process",
    "symnet-numba-w2": "generated NumPy and Numba, two processes",
    "torch": "PyTorch, eager",
    "torch-malloc": "PyTorch, eager, with glibc's malloc tuned to keep its memory, like all below but the last two",
    "torch-last": "PyTorch, eager, pictures channels-last",
    "torch-loss": "torch.compile of the loss",
    "torch-step": "torch.compile of the whole step",
    "jax": "JAX, the whole step under jit",
    "pytensor": "PyTensor, Numba mode (dense layers only)",
    "autograd": "HIPS autograd (dense layers and the RNN only)",
}
REFERENCE = Contender(f"{TORCH}:exact", package="torch")
"""What all are compared with before they are timed: PyTorch in float64."""


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment() -> dict[str, str]:
    """The environment that all contenders share: no settings of OpenBLAS but the number of threads, one a core."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
    threads = dict.fromkeys(
        (f"{who}_NUM_THREADS" for who in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "NUMBA")), str(cores())
    )
    return {**kept, **threads, "JAX_PLATFORMS": "cpu"}
