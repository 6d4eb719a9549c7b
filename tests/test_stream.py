"""Data larger than memory: memory maps, shards, iterables; read in pieces, shuffled, resumed, refused."""

from __future__ import annotations

import io
import itertools
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symnet as sn
from runtime_module import module
from symnet.stream import Batches, Memmap, Shards
from symnet.stream.block import Block, batched, gathered, joined
from symnet.support.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(42, 64)).astype(np.float32)
Y = RNG.integers(0, 10, 42)
CUTS = (0, 10, 23, 25, 42)


@pytest.fixture(scope="module")
def net() -> ModuleType:
    return module()


def write(folder: Path, x: Any = X, y: Any = Y, cuts: tuple[int, ...] = CUTS, save: Any = np.savez) -> str:
    """Shards of the data; returns their pattern."""
    for k, (start, stop) in enumerate(itertools.pairwise(cuts)):
        save(folder / f"part-{k}.npz", x=x[start:stop], y=y[start:stop])
    return str(folder / "part-*.npz")


def train(net: ModuleType, x: Any, y: Any = None, **options: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    return net.train(net.init_params(), x, y, **{"epochs": 2, "batch_size": 9, **options})


def same(first: tuple[Any, Any], second: tuple[Any, Any]) -> bool:
    return first[1] == second[1] and all(array.tobytes() == second[0][n].tobytes() for n, array in first[0].items())


def epoch(source: Any, size: int = 9, seed: int = 0) -> list[tuple[Any, ...]]:
    return list(source.batches(size, np.random.default_rng(seed)))


def rows(x: np.ndarray) -> list[int]:
    """Which samples of X these are."""
    return [int(np.flatnonzero((row == X).all(axis=1))[0]) for row in x]


# --- blocks


@pytest.mark.parametrize("size", [1, 4, 9, 10, 13, 50])
def test_blocks_become_batches_of_one_size(size: int) -> None:
    blocks = [Block(X[a:b], {"label": Y[a:b]}, X[a:b, 0]) for a, b in itertools.pairwise(CUTS)]
    batches = list(batched(blocks, size))
    assert [batch.count for batch in batches] == [size] * (42 // size) + [42 % size] * (42 % size > 0)
    whole = joined(batches)
    assert isinstance(whole.y, dict) and whole.weight is not None
    assert (whole.x == X).all() and (whole.y["label"] == Y).all() and (whole.weight == X[:, 0]).all()


def test_samples_of_several_blocks_come_in_the_order_asked_for() -> None:
    blocks = [Block({"a": X[a:b], "b": Y[a:b]}) for a, b in itertools.pairwise(CUTS)]
    order = RNG.permutation(42)[:30]
    found = gathered(blocks, order).x
    assert isinstance(found, dict) and (found["a"] == X[order]).all() and (found["b"] == Y[order]).all()


# --- shards


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("mix", [1, 2, 3, 9])
def test_an_epoch_of_shards_has_every_sample_once(tmp_path: Path, save: Any, mix: int) -> None:
    source = Shards(write(tmp_path, save=save), mix=mix)
    assert source.samples == 42
    first, second = epoch(source), epoch(source, seed=1)
    assert [len(x) for x, _ in first] == [9, 9, 9, 9, 6]
    order = rows(np.concatenate([x for x, _ in first]))
    assert sorted(order) == list(range(42)) and order != sorted(order)
    assert (np.concatenate([y for _, y in first]) == Y[order]).all()
    assert order == rows(np.concatenate([x for x, _ in epoch(source)]))
    assert order != rows(np.concatenate([x for x, _ in second]))


def test_a_shard_without_samples_is_passed_over(tmp_path: Path) -> None:
    source = Shards(write(tmp_path, cuts=(0, 10, 10, 42)))
    assert [len(x) for x, _ in epoch(source)] == [9, 9, 9, 9, 6]
    assert sum(block.count for block in source.chunks(5)) == 42


def test_shards_are_shuffled_and_so_are_their_rows_but_not_more(tmp_path: Path) -> None:
    source = Shards(write(tmp_path))
    shard = np.digitize(np.arange(42), CUTS) - 1
    orders = set()
    for seed in range(9):
        order = rows(np.concatenate([x for x, _ in epoch(source, seed=seed)]))
        runs = [k for k, before in zip(shard[order], [-1, *shard[order]], strict=False) if k != before]
        assert sorted(runs) == [0, 1, 2, 3]
        inside = [k for k in order if shard[k] == 3]
        assert inside != sorted(inside)
        orders.add(tuple(runs))
    assert len(orders) > 3


def test_no_more_shards_are_held_than_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[Any] = []

    class Counted(Shards):
        def read(self, piece: int) -> Block:
            held.append(self.counts[piece])
            return super().read(piece)

    source = Counted(write(tmp_path), mix=2)
    batches = source.batches(3, np.random.default_rng(0))
    next(batches)
    assert len(held) == 2
    for _ in range((held[0] + held[1]) // 3 - 1):
        next(batches)
    assert len(held) == 2
    next(batches)
    assert len(held) == 4


def test_training_from_shards_learns_and_validates(net: ModuleType, tmp_path: Path) -> None:
    labels = X[:, :10].argmax(1)
    source = Shards(write(tmp_path, y=labels), mix=2)
    events: list[dict[str, Any]] = []
    _, history = train(net, source, epochs=30, validation=source, learning_rate=0.03, on_step=events.append)
    assert history["val_accuracy"][-1] > 0.95 and events[0]["steps"] == 5
    whole = train(net, X, labels, epochs=30, learning_rate=0.03)[1]
    assert history["loss"][-1] == pytest.approx(whole["loss"][-1], rel=0.5)


def test_one_shard_in_one_batch_is_an_array(net: ModuleType, tmp_path: Path) -> None:
    source = Shards(write(tmp_path, cuts=(0, 42)))
    params = train(net, source, batch_size=42)[0]
    for name, array in train(net, X, Y, batch_size=42)[0].items():
        np.testing.assert_allclose(params[name], array, rtol=1e-4, atol=1e-6)


def test_several_inputs_and_outputs_and_weights(tmp_path: Path) -> None:
    for k, rows_ in enumerate((slice(0, 20), slice(20, 42))):
        np.savez(
            tmp_path / f"{k}.npz",
            a=X[rows_, :3],
            b=X[rows_, 3:],
            y=Y[rows_],
            z=-Y[rows_],
            sample_weight=X[rows_, 0] ** 2,
        )
    x, y, weight = epoch(Shards(tmp_path, target=["y", "z"]), 42)[0]
    order = rows(np.concatenate([x["a"], x["b"]], axis=1))
    assert list(x) == ["a", "b"] and (y["y"] == Y[order]).all() and (y["z"] == -Y[order]).all()
    np.testing.assert_allclose(weight, X[order, 0] ** 2)
    assert len(epoch(Shards(tmp_path, inputs="a", weight=None))[0]) == 2
    x, _ = epoch(Shards(tmp_path, inputs=["b"], weight=None))[0]
    assert list(x) == ["b"]


def test_weights_reach_the_loss(tmp_path: Path) -> None:
    image = sn.Input((64,), name="image")
    model = sn.Model(image, sn.Dense(10)(image), loss=sn.CrossEntropy())
    weight = RNG.random(42)
    np.savez(tmp_path / "d.npz", x=X, y=Y, sample_weight=weight / weight.mean())
    options: dict[str, Any] = {"epochs": 3, "batch_size": 42}
    net = sn.compile(model, weighted=True)
    expected = net.fit(X, Y, sample_weight=weight, **options)[1]
    assert net.fit(Shards(tmp_path), None, **options)[1]["loss"] == pytest.approx(expected["loss"])
    with pytest.raises(DataError, match="weighted=True"):
        sn.compile(model).fit(Shards(tmp_path), None, **options)


def test_shards_are_split_as_a_whole(tmp_path: Path) -> None:
    source = Shards(write(tmp_path))
    rest, held = source.split(0.2, seed=3)
    assert rest.samples + held.samples == 42 and held.samples >= 9
    assert set(rest.files) | set(held.files) == set(source.files) and not set(rest.files) & set(held.files)
    again = source.split(0.2, seed=3)[1]
    assert again.files == held.files
    with pytest.raises(DataError, match=r"4 shards cannot be split.*--validation DATA"):
        source.split(0.99)


# --- resumed, bit for bit


@pytest.mark.parametrize("mix", [1, 3])
def test_shards_resume_in_the_middle_of_an_epoch(net: ModuleType, tmp_path: Path, mix: int) -> None:
    source = Shards(write(tmp_path), mix=mix)
    states: list[dict[str, Any]] = []
    straight = train(net, source, on_step=lambda event: states.append(event["state"]()))
    for state in states:
        assert same(straight, train(net, Shards(write(tmp_path), mix=mix), resume=state))


def test_shards_resume_from_a_checkpoint(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    x = sn.Input((64,), name="image")
    net = sn.compile(sn.Model(x, sn.Dense(10)(sn.Dropout(0.3)(x)), loss=sn.CrossEntropy()))
    pattern = write(tmp_path)
    options: dict[str, Any] = {"epochs": 3, "batch_size": 4, "checkpoint": tmp_path / "runs", "checkpoint_every": 1}

    def stop(event: dict[str, Any]) -> None:
        if (event["epoch"], event["step"]) == (2, 7):
            raise RuntimeError("the lights are out")

    with pytest.raises(RuntimeError, match="lights"):
        net.fit(Shards(pattern, mix=2), None, on_step=stop, **options)
    resumed = net.fit(Shards(pattern, mix=2), None, resume=True, **options)
    assert same(net.fit(Shards(pattern, mix=2), None, epochs=3, batch_size=4), resumed)


# --- memory


def test_training_never_holds_more_than_a_shard(net: ModuleType, tmp_path: Path) -> None:
    count, shards = 16_384, 10  # of 4 MB each
    x = np.ones((count, 64), np.float32)
    for k in range(shards):
        np.savez(tmp_path / f"{k}.npz", x=x, y=np.full(count, k % 10))
    shard = x.nbytes + count * 8
    del x
    source = Shards(tmp_path)
    params = net.init_params()
    net.train(params, source, None, epochs=1, batch_size=4096)
    tracemalloc.start()
    net.train(params, source, None, epochs=1, batch_size=512)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < shard + 2_000_000 < shard * shards / 5


# --- mistakes in shards


def objects(path: Path) -> None:
    np.savez(path, x=np.array([[1.0, 2.0], None], dtype=object), y=np.zeros(2, np.int64))


def cut(path: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, x=X, y=Y)
    path.write_bytes(stream.getvalue()[:5000])


def lying(path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, X[:5])
    text = stream.getvalue().replace(b"(5, 64), }", b"(9, 64), }")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", text)


BAD_SHARDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (cut, "part-9.npz': it is damaged, truncated"),
    "empty": (lambda p: p.write_bytes(b""), "part-9.npz': it is damaged, truncated"),
    "foreign": (lambda p: p.write_bytes(b"hello" * 99), "part-9.npz': it is damaged, truncated"),
    "objects": (objects, "array 'x' of .*part-9.npz' is an array of Python objects, which is never loaded"),
    "lying": (lying, "array 'x' of .*its length does not fit the shape"),
    "shape": (
        lambda p: np.savez(p, x=X[:, :60], y=Y),
        r"samples float32 of shape \(60,\); expected float32 of shape \(64,\)",
    ),
    "dtype": (lambda p: np.savez(p, x=X.astype(float), y=Y), "samples float64 of shape .*expected float32"),
    "ragged": (lambda p: np.savez(p, x=X, y=Y[:40]), "array 'y' has 40 samples where 'x' has 42"),
    "no y": (lambda p: np.savez(p, x=X, Y=Y), "no array 'y'; it has x, Y; did you mean 'Y'"),
    "scalar": (lambda p: np.savez(p, x=X, y=np.array(3)), "single number"),
}


@pytest.mark.parametrize("case", BAD_SHARDS)
def test_bad_shards_are_named_before_the_training(tmp_path: Path, case: str) -> None:
    write_bad, message = BAD_SHARDS[case]
    pattern = write(tmp_path)
    write_bad(tmp_path / "part-9.npz")
    with pytest.raises(DataError, match=message) as caught:
        Shards(pattern)
    assert "part-9.npz" in str(caught.value)


def test_numbers_that_are_not_finite_are_named(net: ModuleType, tmp_path: Path) -> None:
    x = X.copy()
    x[24, 7] = np.inf
    with pytest.raises(DataError, match=r"shard '.*part-2.npz': x holds inf at \[1, 7\]"):
        train(net, Shards(write(tmp_path, x=x)))


def test_a_shard_that_changes_meanwhile(net: ModuleType, tmp_path: Path) -> None:
    source = Shards(write(tmp_path))
    np.savez(tmp_path / "part-1.npz", x=X[:3], y=Y[:3])
    with pytest.raises(DataError, match=r"part-1.npz' changed"):
        train(net, source)
    (tmp_path / "part-1.npz").unlink()
    with pytest.raises(DataError, match=r"no such file.*part-1.npz"):
        train(net, source)


def test_nothing_to_read(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(
        DataError, match=r"no file matches '.*parts-\*.npz'; the folder '.*' holds part-0.npz, part-1.npz"
    ):
        Shards(tmp_path / "parts-*.npz")
    with pytest.raises(DataError, match=r"no file matches.*the folder '.*prts' does not exist"):
        Shards(str(tmp_path / "prts" / "*.npz"))
    with pytest.raises(DataError, match=r"no such file: .*did you mean 'part-0.npz'"):
        Shards(tmp_path / "part0.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"the folder '.*empty' holds no files for shards; expected .npz"):
        Shards(tmp_path / "empty")
    np.savez(tmp_path / "empty" / "none.npz", x=X[:0], y=Y[:0])
    with pytest.raises(DataError, match=r"empty': the shards have no samples; expected at least one"):
        Shards(tmp_path / "empty")
    with pytest.raises(DataError, match="empty list"):
        Shards([])
    with pytest.raises(DataError, match="expected a path, a pattern or a list of paths, got int"):
        Shards(3)  # type: ignore[arg-type]


def test_shards_that_do_not_fit_the_network(net: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(
        net.DataError, match=r"epoch 1, batch 1: input 'image': expected shape \(N=9, 64\), got \(9, 5\)"
    ):
        train(net, Shards(write(tmp_path, x=X[:, :5])))
    with pytest.raises(DataError, match="has no targets to train on"):
        train(net, Shards(write(tmp_path), inputs="x", target=None))


# --- memory maps


def mapped(folder: Path, **arrays: np.ndarray) -> list[Path]:
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return [folder / f"{name}.npy" for name in arrays]


def test_memory_mapped_files_are_an_array(net: ModuleType, tmp_path: Path) -> None:
    source = Memmap(*mapped(tmp_path, x=X, y=Y))
    assert source.samples == 42
    assert same(train(net, X, Y), train(net, source))
    rest, held = source.split(0.25)
    assert (rest.samples, held.samples) == (31, 11)
    both = [block.x for part in (rest, held) for block in part.chunks(7)]
    assert sorted(rows(np.concatenate(both))) == list(range(42))  # type: ignore[arg-type]


def test_memory_mapped_inputs_by_name(tmp_path: Path) -> None:
    a, b, y, w = mapped(tmp_path, a=X[:, :3], b=X[:, 3:], y=Y, w=X[:, 0] ** 2)
    x, labels, weight = epoch(Memmap({"a": a, "b": b}, y, weight=w))[0]
    order = rows(np.concatenate([x["a"], x["b"]], axis=1))
    assert (labels == Y[order]).all() and (weight == X[order, 0] ** 2).all()


def test_mistakes_in_memory_mapped_files(net: ModuleType, tmp_path: Path) -> None:
    x, y, short = mapped(tmp_path, x=X, y=Y, short=Y[:40])
    with pytest.raises(DataError, match=r"x.npy' has 42 samples, the file of y has 40; they must be as many"):
        Memmap(x, short)
    with pytest.raises(DataError, match=r"no such file: .*xx.npy'; did you mean 'x.npy'"):
        Memmap(tmp_path / "xx.npy", y)
    np.save(tmp_path / "o.npy", np.array([None, 1], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="Python objects, which are never loaded"):
        Memmap(tmp_path / "o.npy", y)
    (tmp_path / "cut.npy").write_bytes(x.read_bytes()[:900])
    with pytest.raises(DataError, match=r"cannot map '.*cut.npy': it is damaged, truncated"):
        Memmap(tmp_path / "cut.npy", y)
    np.savez(tmp_path / "z.npz", x=X)
    with pytest.raises(DataError, match="archive of several arrays"):
        Memmap(tmp_path / "z.npz", y)
    bad = X.copy()
    bad[30, 2] = np.nan
    with pytest.raises(DataError, match=r"bad.npy': x holds nan at \[30, 2\]"):
        train(net, Memmap(*mapped(tmp_path, bad=bad), y))
    with pytest.raises(DataError, match="no targets"):
        train(net, Memmap(x))


# --- iterables


def pieces() -> Iterator[tuple[Any, Any]]:
    for start, stop in itertools.pairwise(CUTS):
        yield X[start:stop], Y[start:stop]


def test_an_iterable_is_batched_anew(net: ModuleType) -> None:
    for items in (pieces, list(pieces()), lambda rng: pieces()):
        batches = epoch(Batches(items))
        assert [len(x) for x, _ in batches] == [9, 9, 9, 9, 6]
        assert (np.concatenate([x for x, _ in batches]) == X).all()
    events: list[dict[str, Any]] = []
    train(net, Batches(pieces), on_step=events.append, validation=Batches(pieces))
    assert events[0]["steps"] is None and len(events) == 10
    assert train(net, Batches(pieces, samples=42), schedule="cosine")[1]["loss"]


def test_a_function_of_the_generator_is_resumed(net: ModuleType) -> None:
    def shuffled(rng: np.random.Generator) -> Iterator[tuple[Any, Any]]:
        for row in rng.permutation(42):
            yield X[row : row + 1], Y[row : row + 1]

    states: list[dict[str, Any]] = []
    straight = train(net, Batches(shuffled), on_step=lambda event: states.append(event["state"]()))
    assert straight[1] != train(net, Batches(shuffled), seed=1)[1]
    for state in states[::3]:
        assert same(straight, train(net, Batches(shuffled), resume=state))


def test_an_iterator_serves_once(net: ModuleType) -> None:
    assert train(net, Batches(pieces()), epochs=1)[1]["loss"]
    with pytest.raises(DataError, match="used up by the epoch before; give a function"):
        train(net, Batches(pieces()))


BAD_ITEMS: dict[str, tuple[Any, str]] = {
    "nothing": ([], "gave no samples"),
    "array": ([X], r"item 1: expected \(x, y\) or \(x, y, sample_weight\), got ndarray"),
    "four": ([(X, Y), (X, Y, Y, Y)], "item 2: expected .* got 4 values"),
    "ragged rows": ([([[1, 2], [3]], Y)], "item 1: expected a rectangular array"),
    "objects": ([(X, np.array([None] * 42))], "item 1: expected numbers, got dtype object"),
    "text": ([(X, ["a"] * 42)], "item 1: expected numbers, got dtype <U1"),
    "lengths": ([(X, Y[:3])], r"item 1: y has shape \(3,\) where the input has 42 samples"),
    "one sample": ([(X[0], Y[0])], "an item is a batch"),
    "shape": ([(X, Y), (X[:, :5], Y)], r"item 2: x has samples of shape \(5,\); the first item has \(64,\)"),
    "weights": ([(X, Y), (X, Y, Y)], "item 2 has x, y, weight; the first has x, y"),
    "names": ([({"a": X}, Y), ({"b": X}, Y)], "item 2 has x of 'b', y; the first has x of 'a', y"),
}


@pytest.mark.parametrize("case", BAD_ITEMS)
def test_bad_items_are_named(case: str) -> None:
    items, message = BAD_ITEMS[case]
    with pytest.raises(DataError, match=message):
        epoch(Batches(items))


def test_what_is_no_iterable() -> None:
    with pytest.raises(DataError, match=r"expected an iterable of .* got int"):
        Batches(3)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="the function needs 2 arguments"):
        epoch(Batches(lambda rng, more: pieces()))
    with pytest.raises(DataError, match="the function returned NoneType"):
        epoch(Batches(lambda: None))  # type: ignore[arg-type, return-value]
    with pytest.raises(DataError, match=r"Batches\(samples=50\): the iterable gave 42 samples"):
        epoch(Batches(pieces, samples=50))
