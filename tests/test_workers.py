"""Several processes, or several parts, learn what one does."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.network.compiler import Network

ROOT = Path(__file__).parent.parent
SHARED = Path("/dev/shm")
X = sn.Input((6,), name="x")


def mlp() -> sn.Model:
    hidden = sn.Dense(5, activation="tanh", name="hidden")(X)
    return sn.Model(X, sn.Dense(3, name="out")(hidden), loss=sn.CrossEntropy(), name="mlp", l2=0.1)


def convolutions() -> sn.Model:
    x = sn.Input((1, 8, 8), name="x")
    h = sn.MaxPool2D(2)(sn.Conv2D(2, 3, activation="relu")(x))
    return sn.Model(x, sn.Dense(3)(sn.Flatten()(h)), loss=sn.CrossEntropy(), name="cnn")


def sequences() -> sn.Model:
    tokens = sn.Input(("T",), dtype="int", name="tokens")
    seen = sn.Input(("T",), dtype="bool", name="seen")
    h = sn.GRU(4)(sn.Embedding(7, 3)(tokens), mask=seen)
    return sn.Model([tokens, seen], sn.Dense(3)(h), loss=sn.CrossEntropy(), name="reader")


def branches() -> sn.Model:
    other = sn.Input((2,), name="other")
    h = sn.Dense(4, activation="relu", trainable=False)(sn.concat([X, other]))
    outputs = [sn.Dense(3, name="a")(h), sn.Dense(1, name="b")(h)]
    return sn.Model([X, other], outputs, loss=[sn.CrossEntropy(), sn.Huber()], loss_weights=[1, 0.5], name="branches")


def noisy() -> sn.Model:
    h = sn.Dropout(0.5)(sn.Dense(16, activation="relu")(X))
    return sn.Model(X, sn.Dense(3)(h), loss=sn.CrossEntropy(), name="noisy")


def compiled(model: sn.Model, **options: Any) -> ModuleType:
    return sn.compile(model, dtype="float64", **options).module


def drawn(name: str, samples: int, steps: int = 4) -> tuple[Any, Any]:
    """Samples for one of the networks above."""
    rng = np.random.default_rng(samples + steps)
    x: Any = rng.normal(size=(samples, 6))
    y: Any = rng.integers(0, 3, samples)
    match name:
        case "cnn":
            x = rng.normal(size=(samples, 1, 8, 8))
        case "reader":
            x = {"tokens": rng.integers(0, 7, (samples, steps)), "seen": rng.random((samples, steps)) < 0.8}
            y = rng.integers(0, 3, (samples, steps))
        case "branches":
            x = {"x": x, "other": rng.normal(size=(samples, 2))}
            y = {"a": y, "b": rng.normal(size=(samples, 1))}
    return x, y


def assert_same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_allclose(second[name], array, rtol=1e-9, atol=1e-11, err_msg=name)


def until(done: Callable[[], bool], seconds: float = 10) -> bool:
    """Wait for what happens soon; False where it does not."""
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.02)
    return done()


@pytest.fixture(autouse=True)
def _no_memory_is_left() -> Any:
    """Other programs make shared memory too, but a training keeps its names for a moment only."""
    before = set(SHARED.glob("psm_*"))
    yield
    assert until(lambda: set(SHARED.glob("psm_*")) <= before)


# --- the same as one


@pytest.mark.parametrize(("declare", "workers"), [(mlp, 3), (convolutions, 2), (sequences, 2), (branches, 2)])
def test_workers_learn_what_one_does(declare: Callable[[], sn.Model], workers: int) -> None:
    """Batches of any size, also of fewer samples than workers, that grow beyond the first."""
    model = declare()
    module = compiled(model)
    one = module.make_step(module.init_params(0), batch_size=4)
    with module.make_step(module.init_params(0), batch_size=4, workers=workers, clip=0.5) as many:
        one.clip = 0.5
        for samples, steps in ((4, 4), (7, 6), (1, 2), (2, 6), (64, 9), (5, 4)):
            batch = drawn(model.name, samples, steps)
            assert many(*batch) == pytest.approx(one(*batch), rel=1e-10)
        assert_same(one.params(), many.params())
    assert_same(one.params(), many.params())


@pytest.mark.parametrize("declare", [mlp, convolutions, sequences, branches])
def test_parts_learn_what_a_whole_batch_does(declare: Callable[[], sn.Model]) -> None:
    model = declare()
    whole, parts = compiled(model), compiled(model)
    parts._CACHE, parts._FEW = 0, 3
    one = whole.make_step(whole.init_params(0), batch_size=4)
    several = parts.make_step(parts.init_params(0), batch_size=4)
    several._learner.rows = lambda sizes: min(3, sizes["N"])
    for samples in (3, 4, 7, 1, 9, 4):
        batch = drawn(model.name, samples)
        assert several(*batch) == pytest.approx(one(*batch), rel=1e-10)
    assert_same(one.params(), several.params())


def test_parts_are_as_large_as_the_cache_allows() -> None:
    module = compiled(mlp())
    learner = module.make_step(module.init_params(0), batch_size=4)._learner
    each = module._bytes(2) - module._bytes(1)
    most = module._CACHE // each
    assert learner.rows({"N": most}) == most
    assert learner.rows({"N": most + 1}) == -(-(most + 1) // 2)
    module._CACHE = 0
    assert learner.rows({"N": 4096}) == module._FEW
    module.ROWS = "normalised"
    assert learner.rows({"N": 4096}) == 4096


def test_training_with_weights_and_a_last_batch_of_its_own_size() -> None:
    module = compiled(mlp(), weighted=True)
    x, y = drawn("mlp", 37)
    options = {"epochs": 2, "batch_size": 10, "validation": (x, y), "class_weight": "balanced"}
    one, first = module.train(module.init_params(0), x, y, **options)
    two, second = module.train(module.init_params(0), x, y, workers=2, **options)
    assert_same(one, two)
    assert second["loss"] == pytest.approx(first["loss"], rel=1e-10)
    assert second["val_loss"] == pytest.approx(first["val_loss"], rel=1e-10)


def test_noise_is_the_same_for_the_same_number_and_goes_on_after_a_resume() -> None:
    module = compiled(noisy())
    x, y = drawn("noisy", 40)
    states: list[Any] = []

    def keep(event: dict[str, Any]) -> None:
        if (event["epoch"], event["step"]) == (1, 3):
            states.append(event["state"]())

    options: dict[str, Any] = {"epochs": 2, "batch_size": 8, "seed": 3, "workers": 2}
    whole, _ = module.train(module.init_params(0), x, y, on_step=keep, **options)
    again, _ = module.train(module.init_params(0), x, y, resume=states[0], **options)
    assert all(np.array_equal(whole[name], again[name]) for name in whole)
    other, _ = module.train(module.init_params(0), x, y, **options | {"workers": 1})
    assert not np.allclose(whole["dense_1.weight"], other["dense_1.weight"], atol=1e-12)
    with pytest.raises(module.DataError, match="workers"):
        module.train(module.init_params(0), x, y, resume=states[0], **options | {"workers": 1})


def test_each_worker_normalises_its_own_samples() -> None:
    """The gradient is the mean of those of the parts, and so are the running statistics."""
    h = sn.Dense(3, name="out")(sn.BatchNorm1D(name="norm")(X))
    module = compiled(sn.Model(X, h, loss=sn.CrossEntropy(), name="normal"))
    x, y = drawn("normal", 6)
    params = module.init_params(0)
    with module.make_step(params, batch_size=6, workers=2, optimizer="sgd", learning_rate=1.0) as step:
        step(x, y)
        found = step.params()
    halves = [module.loss_and_grads(params, x[rows], y[rows])[1] for rows in (slice(3), slice(3, 6))]
    for name in halves[0]:
        np.testing.assert_allclose(params[name] - found[name], (halves[0][name] + halves[1][name]) / 2, atol=1e-12)
    singles = []
    for rows in (slice(3), slice(3, 6)):
        one = module.make_step(params, batch_size=3)
        one(x[rows], y[rows])
        singles.append(one.params())
    for name in module.BUFFERS:
        np.testing.assert_allclose(found[name], (singles[0][name] + singles[1][name]) / 2, rtol=1e-12)


# --- how many


def test_automatic_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    small, wide = compiled(mlp()), sn.Input((784,), name="x")
    h = sn.Dense(128, activation="relu")(sn.Dense(256, activation="relu")(wide))
    large = sn.compile(sn.Model(wide, sn.Dense(10)(h), loss=sn.CrossEntropy())).module
    for module in (small, large):
        monkeypatch.setattr(module, "_cores", lambda: 2)
        monkeypatch.setattr(module, "_threads", lambda: 2)
    assert small._worker_count("auto", 32) == 1
    assert large._worker_count("auto", 64) == 1
    assert large._worker_count("auto", 1024) == 2
    assert large._worker_count("auto", 1) == 1
    monkeypatch.setattr(large, "_threads", lambda: 1)
    assert large._worker_count("auto", 64) == 2  # one process has nothing in two threads now
    monkeypatch.setattr(large, "_cores", lambda: 1)
    assert large._worker_count("auto", 1024) == 1


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "two", None])
def test_a_wrong_number_of_workers_is_refused(workers: Any) -> None:
    module = compiled(mlp())
    with pytest.raises(module.DataError, match='workers: expected a number of processes from 1, or "auto"'):
        module.make_step(module.init_params(0), batch_size=4, workers=workers)


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    h = sn.Formula("y[n,i] = x[n,i] - x[n-1,i]")(X)
    module = compiled(sn.Model(X, sn.Dense(3)(h), loss=sn.CrossEntropy(), name="rows"))
    with pytest.raises(module.DataError, match="the loss of rows is no mean over samples"):
        module.make_step(module.init_params(0), batch_size=4, workers=2)
    assert module.make_step(module.init_params(0), batch_size=4, workers="auto").workers == 1


def test_products_of_a_step_run_in_one_thread() -> None:
    module = compiled(mlp())
    if module._blas() is None:
        pytest.skip("the library of NumPy's products does not tell its number of threads")
    put, get = module._blas()
    before = get()
    put(2)
    try:
        with module._one_thread():
            assert get() == 1
        assert get() == 2
    finally:
        put(before)


# --- whatever way the module is loaded

SCRIPT = """
import multiprocessing, sys
print("script")
multiprocessing.set_start_method({method!r})
import numpy as np
{load}
x, y = np.arange(60.0).reshape(10, 6) / 60, np.arange(10) % 3
params, history = module.train(module.init_params(0), x, y, epochs=2, batch_size=4, workers=2)
print(history["loss"][-1], module.train(module.init_params(0), x, y, epochs=2, batch_size=4)[1]["loss"][-1])
"""
LOADED = f"""
import symnet as sn
sys.path.append({str(ROOT / "tests")!r})
from test_workers import mlp
module = sn.compile(mlp(), dtype="float64").module
"""


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def network() -> Network:
    return sn.compile(mlp(), dtype="float64")


def starts_by(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} on this system")


@pytest.mark.parametrize(
    ("method", "load"),
    [("fork", "import saved as module"), ("spawn", LOADED), ("forkserver", "import saved as module")],
)
def test_scripts_need_no_main_guard(method: str, load: str, network: Network, tmp_path: Path) -> None:
    """Workers are fresh interpreters: `multiprocessing`'s way to start processes and the script do not matter."""
    starts_by(method)
    network.save(tmp_path / "saved.py")
    (tmp_path / "script.py").write_text(SCRIPT.format(method=method, load=load))
    result = run("script.py", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    first, losses = result.stdout.splitlines()
    assert first == "script" and np.ptp([float(text) for text in losses.split()]) < 1e-12


CHILD = """
import multiprocessing
import numpy as np, saved

def learn(queue):
    x, y = np.arange(60.0).reshape(10, 6) / 60, np.arange(10) % 3
    params, _ = saved.train(saved.init_params(0), x, y, epochs=2, batch_size=4, workers=2, clip=0.1)
    queue.put(b"".join(array.tobytes() for array in params.values()).hex())

if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    queue = context.Queue()
    process = context.Process(target=learn, args=(queue,))
    process.start()
    print(queue.get(timeout=30))
    process.join()
"""


def test_processes_of_any_kind_train_with_workers_and_reach_the_same_numbers(network: Network, tmp_path: Path) -> None:
    """A child that `multiprocessing` started may have workers itself, and all of them find the same bits."""
    x, y = np.arange(60.0).reshape(10, 6) / 60, np.arange(10) % 3
    module = network.module
    params, _ = module.train(module.init_params(0), x, y, epochs=2, batch_size=4, workers=2, clip=0.1)
    network.save(tmp_path / "saved.py")
    for method in multiprocessing.get_all_start_methods():
        (tmp_path / f"{method}_child.py").write_text(CHILD.format(method=method))
        result = run(f"{method}_child.py", cwd=tmp_path)
        assert (result.returncode, result.stderr) == (0, ""), method
        assert result.stdout.strip() == b"".join(array.tobytes() for array in params.values()).hex(), method


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_shared_memory_that_is_too_small(network: Network, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = network.module
    monkeypatch.setattr(module, "_DEVICE", str(tmp_path))
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=9))
    with pytest.raises(module.DataError, match=r"bytes of shared memory are needed, .* has 9; make it larger"):
        module.make_step(module.init_params(0), batch_size=4, workers=2)


def test_models_of_one_name_keep_their_texts() -> None:
    """Workers run the text of the module that starts them, not that of the last one with its name."""
    modules = [compiled(sn.Model(X, sn.Dense(n)(X), loss=sn.CrossEntropy(), name="twin")) for n in (2, 3)]
    for module in modules:
        with module.make_step(module.init_params(0), batch_size=4, workers=2) as step:
            assert np.isfinite(step(np.ones((4, 6)), np.array([0, 1, 1, 0])))


def test_text_that_is_gone(network: Network, tmp_path: Path) -> None:
    network.save(tmp_path / "gone.py")
    module = imported(tmp_path / "gone.py")
    (tmp_path / "gone.py").unlink()
    with pytest.raises(module.DataError, match="the text of mlp is not known"):
        module.make_step(module.init_params(0), batch_size=4, workers=2)


def test_a_file_that_has_changed_since_its_import(network: Network, tmp_path: Path) -> None:
    network.save(tmp_path / "changed.py")
    module = imported(tmp_path / "changed.py")
    (tmp_path / "changed.py").write_text(network.source.replace("np.tanh", "np.sin"))
    with pytest.raises(module.DataError, match="the file of this module has changed since its import"):
        module.make_step(module.init_params(0), batch_size=4, workers=2)


# --- ends


def test_a_killed_worker_ends_the_training(network: Network) -> None:
    module, (x, y) = network.module, drawn("mlp", 8)
    step = module.make_step(module.init_params(0), batch_size=8, workers=2)
    step(x, y)
    before = step.params()
    victim = step._team.processes[0]
    victim.kill()
    start = time.monotonic()
    message = r"worker 2 of 2 was killed by signal 9 \(.*\); the parameters are those of the last whole step"
    with pytest.raises(module.DataError, match=message if os.name == "posix" else "worker 2 of 2 ended"):
        for _ in range(3):
            step(x, y)
    assert time.monotonic() - start < 10 and victim.poll() is not None
    assert all(np.array_equal(before[name], array) for name, array in step.params().items())
    with pytest.raises(module.DataError, match="it is closed"):
        step(x, y)


def test_an_error_in_a_worker_is_told(network: Network, tmp_path: Path) -> None:
    line = 'def _forward(p, w):\n    if __name__ == "worker" and w.N == 2:\n        raise MemoryError("none left")\n'
    (tmp_path / "poor.py").write_text(network.source.replace("def _forward(p, w):\n", line))
    module = imported(tmp_path / "poor.py")
    x, y = drawn("mlp", 8)
    with pytest.raises(module.DataError, match="worker 2 of 2 ended with exit code 1: MemoryError: none left"):
        module.train(module.init_params(0), x, y, batch_size=4, workers=2)


def test_a_step_that_is_dropped_ends_its_workers(network: Network) -> None:
    module = network.module
    step = module.make_step(module.init_params(0), batch_size=8, workers=2)
    processes = step._team.processes
    kept = step.p["out.weight"]
    del step
    assert [process.poll() for process in processes] == [0]
    assert np.isfinite(kept).all()  # the memory lives as long as an array in it


ENDLESS = """
import numpy as np, saved
step = saved.make_step(saved.init_params(0), batch_size=10, workers=2)
x, y = np.ones((10, 6)), np.arange(10) % 3
step(x, y)
print(step._team.processes[0].pid, flush=True)
while True:
    step(x, y)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(by: int, network: Network, tmp_path: Path) -> None:
    network.save(tmp_path / "saved.py")
    parent = subprocess.Popen(
        [sys.executable, "-c", ENDLESS], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.send_signal(by)
    _, said = parent.communicate(timeout=30)
    assert parent.returncode == -by
    assert "resource_tracker" not in said and said.count("Traceback") == (by == signal.SIGINT)
    assert until(lambda: not _lives(worker))


def _lives(process: int) -> bool:
    """Whether a process is there and no zombie that waits for its parent."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
