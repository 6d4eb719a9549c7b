"""Every example is listed, loads, compiles and does what it says, on its real data."""

import sys
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from symnet.definition import load

pytest.importorskip("sklearn")
pytest.importorskip("PIL")

FOLDER = Path(__file__).resolve().parent.parent / "examples"
sys.path.insert(0, str(FOLDER))

import filters  # noqa: E402
import train  # noqa: E402

SCRIPTS = {
    "train.py",
    "filters.py",
    "three_ways.py",
    "english.py",
    "write.py",
    "rows.py",
    "patches.py",
    "second_order.py",
    "perceptron.py",
}
MODELS = sorted(path.name for path in FOLDER.iterdir() if path.suffix in {".py", ".toml"} and path.name not in SCRIPTS)

LEAST_ACCURACY = {
    "softmax_regression": 0.95,
    "mlp": 0.96,
    "digits_mlp": 0.96,
    "digits_cnn": 0.98,
    "inception_digits": 0.96,
    "logistic_breast_cancer": 0.93,
    "rbf_formula": 0.95,
}


def test_every_example_is_listed() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in [*MODELS, *SCRIPTS]:
        assert f"[{name}]({name})" in text
    assert {recipe.model for recipe in train.RECIPES.values()} <= set(MODELS)
    assert set(train.RECIPES) == set(LEAST_ACCURACY)


@pytest.mark.parametrize("name", MODELS)
def test_example_loads_and_is_named_after_its_file(name: str) -> None:
    model = load(FOLDER / name)
    assert isinstance(model, sn.Model)
    assert model.name == Path(name).stem


@pytest.mark.parametrize("name", train.RECIPES)
def test_held_out_quarter_is_fixed_and_stratified(name: str) -> None:
    first, second = (train.split(train.RECIPES[name], (-1,)) for _ in range(2))
    assert np.array_equal(first.x_test, second.x_test)
    assert len(first.y_test) == pytest.approx((len(first.y_test) + len(first.y_train)) / 4, abs=1)
    shares = [np.bincount(part) / len(part) for part in (first.y_train, first.y_test)]
    assert np.abs(shares[0] - shares[1]).max() < 0.02


@pytest.mark.parametrize("name", train.RECIPES)
def test_example_reaches_its_accuracy(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.train(name) >= LEAST_ACCURACY[name]
    assert "test accuracy" in capsys.readouterr().out


def test_runner_keeps_module_and_parameters(tmp_path: Path) -> None:
    target = tmp_path / "new" / "net.py"
    train.train("softmax_regression", epochs=1, save=target)
    assert "def forward(" in target.read_text(encoding="utf-8")
    with np.load(target.with_suffix(".npz"), allow_pickle=False) as saved:
        assert saved["logits.weight"].shape == (10, 64)


def correlate(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Cross-correlation of (H, W) with a kernel (U, V), no padding, by its definition."""
    rows, columns = (n - k + 1 for n, k in zip(picture.shape, kernel.shape, strict=True))
    taps = np.ndindex(kernel.shape)
    return sum(kernel[u, v] * picture[u : u + rows, v : v + columns] for u, v in taps)  # type: ignore[return-value]


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).random((3, 17, 13))


@pytest.mark.parametrize("name", ["mean", "gaussian"])
def test_smoothing_is_a_correlation_of_each_colour(name: str, picture: np.ndarray) -> None:
    kernel = filters.FILTERS[name].kernel[0, 0]
    assert kernel.sum() == pytest.approx(1)
    got = filters.apply(name, picture)
    assert got.shape == picture.shape
    for colour in range(3):
        assert np.allclose(got[colour, 4:-4, 4:-4], correlate(picture[colour], kernel), atol=1e-5)


def test_edges_are_the_length_of_the_gradient(picture: np.ndarray) -> None:
    grey = picture.mean(0)
    across, down = correlate(grey, filters.SOBEL), correlate(grey, filters.SOBEL.T)
    assert np.allclose(filters.apply("edges", picture), np.hypot(across, down), atol=1e-5)


def test_differences_of_a_parabola(picture: np.ndarray) -> None:
    t = np.arange(13.0)
    parabola = np.broadcast_to(t**2 / 100, picture.shape)
    assert np.allclose(filters.apply("first_difference", parabola), t[1:-1] / 50, atol=1e-5)
    assert np.allclose(filters.apply("second_difference", parabola), 1 / 50, atol=1e-5)


def test_filters_write_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["filters.py", "--to", str(tmp_path)])
    filters.main()
    assert {path.stem for path in tmp_path.glob("*.png")} == {"original", *filters.FILTERS}
