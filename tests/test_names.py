"""The arrays of a module have names that say something, and the module explains them."""

from __future__ import annotations

import re

import pytest

import symnet as sn
from codegen.emit.legend import WORDS, explained
from corpus import NETWORKS, compiled


def _arrays(net: sn.Network) -> list[str]:
    """What the workspace holds beside sizes, inputs and targets, and numbers that NumPy has as arrays."""
    body = re.search(r"^class Workspace:\n(.*?)(?=^\S)", net.source, re.MULTILINE | re.DOTALL)
    assert body
    made = re.findall(r"^        self\.(\w+) = (.*)", body[1], re.MULTILINE)
    outside = {*net.model.program.sizes, "output", "target", "scalar"}
    arrays = [name for name, how in made if name not in outside and not how.startswith("np.array(")]
    return [name for name in arrays if not re.match("(output|target)_", name)]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_array_is_a_tensor_or_its_name_is_explained(name: str) -> None:
    net = compiled(name, "numpy")
    formulas = re.findall(r"^ +# ([\w.]+)\[", net.source, re.MULTILINE)
    tensors = {*formulas, *(p.name for p in net.model.parameters), *(t.name for t in net.model.inputs)}
    for array, found in explained(_arrays(net), tensors).items():
        assert found, array
        for word in found:
            assert re.search(rf"^        {word} +{re.escape(WORDS[word])}$", net.source, re.MULTILINE)


def test_names_of_views_say_where_and_in_what_shape() -> None:
    image = sn.Input((4, 9, 9), name="image")
    h = sn.Flatten()(sn.Conv2D(6, 3, name="conv")(image))
    net = sn.compile(sn.Model(image, sn.Dense(2, name="fc")(h), loss=sn.CrossEntropy()), recipes=("shifts",))
    arrays = _arrays(net)
    assert not [a for a in arrays if re.search(r"_windows(_\d+)?$", a)]
    assert any(re.search(r"^image_rows_from_1_windows_7_\w+$", a) for a in arrays)
    assert {"ones_2", "ones_N"} <= set(arrays)
