"""Legal files of every kind that is read, and what reads them."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

import symnet as sn
from codegen.machine.model import MACHINE
from mistakes.damage import DAMAGE, binary
from mistakes.judging import Mistake
from symnet.cli.network import read_params, signature
from symnet.data.samples import load_data
from symnet.export.weights import load_weights, save_weights
from symnet.machine.file import read_machine, text_of
from symnet.readers.idx import read_idx
from symnet.stream import Arrow, Memmap, Shards
from symnet.support.extras import installed
from symnet.support.files import write_arrays

X = np.linspace(-1, 1, 48).reshape(8, 6).round(3)
Y = np.arange(8) % 3
NAMES = "a,b,c,d,e,f,y"

TOML = """name = "net"
input = { name = "x", shape = [6] }
loss = "cross_entropy"
l2 = 1e-4
[[layers]]
kind = "Dense"
name = "a"
units = 4
activation = "tanh"
[[layers]]
kind = "Formula"
formula = "y[n,k] = exp(-g[k]*sum[i]((x[n,i]-c[k,i])**2))"
params = { c = "k,i", g = "k" }
sizes = { k = 5 }
[[layers]]
kind = "Dense"
name = "b"
units = 3
"""
SCRIPT = """import symnet as sn
x = sn.Input((6,), name="x")
model = sn.Model(x, sn.Dense(3, name="b")(x), loss=sn.CrossEntropy(), name="net")
"""
ROW = "\n".join(",".join(map(str, [*x, y])) for x, y in zip(X.tolist(), Y.tolist(), strict=True))


@cache
def network() -> sn.Network:
    """The network that the files are of."""
    path = Path("m.toml")
    return sn.compile(sn.definition.load(path), target="numpy")


def legal(folder: Path) -> None:
    """Write a file of each kind into the working folder, which is `folder`."""
    (folder / "m.toml").write_text(TOML)
    (folder / "m.py").write_text(SCRIPT)
    (folder / "machine.toml").write_text(text_of(MACHINE, {}))
    (folder / "d.csv").write_text(f"{NAMES}\n{ROW}\n")
    (folder / "plain.csv").write_text(f"{ROW}\n")
    (folder / "notes.txt").write_text("kept\n")
    write_arrays(folder / "d.npz", {"x": X, "y": Y})
    np.savez_compressed(folder / "packed.npz", x=X, y=Y)
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", Y)
    (folder / "shards").mkdir()
    for k in range(2):
        write_arrays(folder / "shards" / f"part-{k}.npz", {"x": X, "y": Y})
    pictures = np.arange(8 * 6, dtype=np.uint8).reshape(8, 2, 3)
    (folder / "mnist").mkdir()
    for suffix, pack in (("", bytes), (".gz", partial(gzip.compress, mtime=0))):
        images = b"\0\0\x08\x03" + struct.pack(">3I", *pictures.shape) + pictures.tobytes()
        labels = b"\0\0\x08\x01" + struct.pack(">I", 8) + Y.astype(np.uint8).tobytes()
        (folder / "mnist" / f"train-images-idx3-ubyte{suffix}").write_bytes(pack(images))
        (folder / "mnist" / f"train-labels-idx1-ubyte{suffix}").write_bytes(pack(labels))
    net = network()
    params = net.module.init_params(1)
    write_arrays(folder / "p.npz", params)
    if installed("safetensors"):
        save_weights(folder / "s.safetensors", params)
        with contextlib.redirect_stderr(io.StringIO()):
            net.fit(X, Y, epochs=2, batch_size=4, checkpoint="run", checkpoint_every=1, keep=2, progress=False)
        (folder / "c.safetensors").write_bytes(sorted((folder / "run").iterdir())[0].read_bytes())
    if installed("pyarrow"):
        _tables(folder)


def _tables(folder: Path) -> None:
    arrow, parquet, feather = (sn.stream.tables.pyarrow(name) for name in ("", "parquet", "feather"))
    columns = dict(zip(NAMES.split(","), [*X.T, Y], strict=True))
    table = arrow.table({name: arrow.array(column) for name, column in columns.items()})
    parquet.write_table(table, folder / "t.parquet", row_group_size=3)
    feather.write_feather(table, str(folder / "t.arrow"), compression="uncompressed", chunksize=3)


def _all(source: Any) -> None:
    for _ in source.batches(3, np.random.default_rng(0)):
        pass


def _resume(path: Path) -> None:
    with contextlib.redirect_stderr(io.StringIO()):
        network().fit(X, Y, epochs=3, batch_size=4, resume=path, progress=False)


def _from_arrays(path: Path) -> None:
    _all(Shards(path))
    load_data(path, signature(network().module))


def _arrow(path: Path) -> None:
    _all(Arrow(path, features=list("abcdef"), target="y"))


def _module_params(path: Path) -> None:
    network().module.load_params(path)


Read = Callable[[Path], object]
READERS: Mapping[str, tuple[str, Sequence[Read]]] = {
    "m.toml": ("text", (sn.definition.load,)),
    "machine.toml": ("text", (read_machine,)),
    "d.csv": ("text", (lambda path: load_data(path, signature(network().module)), load_data)),
    "plain.csv": ("text", (lambda path: load_data(path, signature(network().module)),)),
    "d.npz": ("npz", (_from_arrays, load_data, lambda path: _all(Shards(path)))),
    "packed.npz": ("npz", (_from_arrays,)),
    "p.npz": ("npz", (_module_params, lambda path: read_params(path, network()))),
    "x.npy": ("npy", (lambda path: _all(Memmap(path, "y.npy")),)),
    "mnist/train-images-idx3-ubyte": ("binary", (read_idx, lambda path: load_data(path, target=False))),
    "mnist/train-images-idx3-ubyte.gz": ("gz", (read_idx,)),
    "s.safetensors": ("safetensors", (lambda path: load_weights(path, network().model),)),
    "c.safetensors": (
        "checkpoint",
        (sn.load_checkpoint, lambda path: network().load(path), _resume, _resume),
    ),
    "t.arrow": ("binary", (_arrow,)),
    "t.parquet": ("binary", (_arrow,)),
}
"""By file: the kind of damage, and what reads it."""


class Files:
    """Damaged files.  The working folder has those of `legal`."""

    def __init__(self) -> None:
        self.names = [name for name in READERS if Path(name).exists()]
        self.bytes = {name: Path(name).read_bytes() for name in self.names}
        Path("bad").mkdir(exist_ok=True)
        self.words = ("bad", "layer", "Model", "input", "state", "params", "resume")

    def draw(self, rng: random.Random) -> Mistake:
        """One of them, read by one of its readers."""
        name = rng.choice(self.names)
        kind, readers = READERS[name]
        damage = DAMAGE[kind] if rng.random() < 0.7 else binary
        text, data = damage(rng, self.bytes[name])
        if rng.random() < 0.03:
            text, data = "another file", self.bytes[rng.choice(self.names)]
        reader = rng.choice(readers)
        path = Path("bad") / Path(name).name
        number = rng.randrange(10**9)

        def run() -> None:
            path.write_bytes(data)
            reader(path)

        about = f"{name} by {getattr(reader, '__name__', 'a reader').strip('_')}"
        return Mistake(about, f"{name}: {text} [{number}]", run, self.words, (network().module,))
