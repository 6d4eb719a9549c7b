"""The computation graph: what is in it, that its layout is clean, and that no text breaks out of a file."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pictured import NETWORKS, cnn, deep, mixed, plain
from symnet.cli.main import main
from symnet.differentiate.programs import derived, network
from symnet.explain.graph import Edge, Graph, Node, dot, folded, mermaid, svg, unfolded
from symnet.explain.graph.layered import arrange
from symnet.explain.graph.rows import crossings, spread
from symnet.explain.graph.svg import size

EXAMPLES = Path(__file__).parent.parent / "examples"


def graphs(name: str) -> list[Graph]:
    model = NETWORKS[name]()
    return [folded(model, derived(model)), unfolded(network(model), model.name), unfolded(derived(model), model.name)]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_edge_joins_nodes_and_nothing_overlaps(name: str) -> None:
    for graph in graphs(name):
        keys = {node.key for node in graph.nodes}
        assert len(keys) == len(graph.nodes)
        assert {key for edge in graph.edges for key in (edge.source, edge.target)} <= keys
        layout = arrange(graph, {node.key: size(node, graph) for node in graph.nodes})
        for a, b in combinations(layout.boxes.values(), 2):
            apart_x = abs(a.x - b.x) >= (a.width + b.width) / 2 - 0.01
            apart_y = abs(a.y - b.y) >= (a.height + b.height) / 2 - 0.01
            assert apart_x or apart_y
        for box in layout.boxes.values():
            assert box.width / 2 < box.x < layout.size[0] - box.width / 2
            assert box.height / 2 < box.y < layout.size[1] - box.height / 2


@pytest.mark.parametrize("name", NETWORKS)
def test_values_run_down_and_errors_run_up(name: str) -> None:
    model = NETWORKS[name]()
    graph = folded(model, derived(model))
    rank = {node.key: node.rank for node in graph.nodes}
    for edge in graph.edges:
        step = rank[edge.target] - rank[edge.source]
        assert step > 0 if edge.flow == "value" else step < 0 if edge.flow == "error" else step == 0, edge


def test_folded_graph_of_the_cnn() -> None:
    model = cnn()
    graph = folded(model, derived(model))
    nodes = {node.key: node for node in graph.nodes}
    assert nodes["conv2d_1"].lines == ("Conv2D  3×3 / 1", "40 parameters")
    assert nodes["backward conv2d_1"].lines == ("∂L/∂weight, ∂L/∂bias",)
    assert nodes["backward maxpool2d_1"].lines == ("passes the error on",)
    assert nodes["loss"].lines == ("CrossEntropy", "+ 0.001/2 ‖W‖²")
    assert Edge("conv2d_1", "maxpool2d_1", "N×4×8×8") in graph.edges
    assert Edge("backward maxpool2d_1", "backward conv2d_1", "N×4×8×8", "error") in graph.edges
    assert Edge("conv2d_1", "backward conv2d_1", flow="kept") in graph.edges
    assert not [e for e in graph.edges if e.target == "backward image"], "nobody asked for the gradient of the input"


def test_a_plain_chain_is_a_straight_line() -> None:
    model = cnn()
    graph = folded(model, derived(model))
    layout = arrange(graph, {node.key: size(node, graph) for node in graph.nodes})
    for lane in (0, 1):
        across = {layout.boxes[n.key].x for n in graph.nodes if n.lane == lane and n.key != "target"}
        assert max(across) - min(across) < 1


def test_a_network_of_twenty_layers_stays_narrow() -> None:
    model = deep()
    graph = folded(model, derived(model))
    width, height = arrange(graph, {node.key: size(node, graph) for node in graph.nodes}).size
    assert width < 1200
    assert height < 110 * (1 + max(node.rank for node in graph.nodes))


def test_two_uses_of_a_layer_are_two_nodes_and_share_one_gradient() -> None:
    model = mixed()
    graph = folded(model, derived(model))
    backward = [node for node in graph.nodes if node.lane == 1 and "∂L/∂weight, ∂L/∂bias" in node.lines]
    assert len(backward) == 3


def test_without_a_loss_there_is_one_lane() -> None:
    model = plain()
    graph = folded(model, derived(model))
    assert {node.lane for node in graph.nodes} == {0}
    assert "backward" not in svg(graph) + dot(graph) + mermaid(graph)


def test_unfolded_graph_holds_every_equation_and_mirrors_the_forward_part() -> None:
    model = cnn()
    program = network(model)
    graph = unfolded(program, model.name)
    assert sum(node.form == "equation" for node in graph.nodes) == len(program.equations)
    rank = {node.key: node.rank for node in graph.nodes}
    for name in rank:
        if f"d_{name}" in rank:
            assert rank[f"d_{name}"] == rank[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_files_are_well_formed_and_the_same_each_time(name: str) -> None:
    for first, again in zip(graphs(name), graphs(name), strict=True):
        for write in (svg, dot, mermaid):
            assert write(first) == write(again)
        root = ElementTree.fromstring(svg(first))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert all(node.title in texts for node in first.nodes)
        assert "http" not in svg(first).replace("http://www.w3.org/2000/svg", "")
        assert dot(first).count("{") == dot(first).count("}")
        assert len(re.findall(r"^    n\d+ (?:-->|==>|-\.->)", mermaid(first), re.M)) == len(first.edges)


def test_text_cannot_break_out() -> None:
    bad = '</text><script>alert("1")</script>]|#&`\\'
    graph = Graph(bad, (Node("a", bad, (bad,), bad), Node("b", "b", rank=1)), (Edge("a", "b", bad),))
    picture = svg(graph, links={"a": bad})
    assert "<script" not in picture
    assert ElementTree.fromstring(picture) is not None
    assert '\\"1\\"' in dot(graph)
    inner = mermaid(graph).replace('("', "").replace('")', "").replace('|"', "").replace('"|', "")
    assert '"' not in inner
    assert "<script" not in inner


def test_spread_keeps_apart_and_moves_as_little_as_possible() -> None:
    assert spread([0, 10, 20], [1, 1, 1], [5, 5]) == [0, 10, 20]
    assert spread([0, 0], [1, 1], [10]) == [-5, 5]
    assert spread([0, 0], [1, 3], [10]) == pytest.approx([-7.5, 2.5])
    assert spread([], [], []) == []


def test_crossings_are_counted() -> None:
    assert crossings("ab", "xy", {"a": "x", "b": "y"}) == 0
    assert crossings("ab", "xy", {"a": "y", "b": "x"}) == 1
    assert crossings("abc", "xyz", {"a": "z", "b": "y", "c": "x"}) == 3


@pytest.mark.parametrize("ending", ["svg", "dot", "mmd"])
def test_command_writes_a_file(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / f"g.{ending}"
    assert main(["graph", str(EXAMPLES / "digits_mlp.toml"), "-o", str(out)]) == 0
    assert out.read_text().startswith({"svg": "<svg", "dot": "digraph", "mmd": "flowchart"}[ending])
    assert "digits_mlp" in capsys.readouterr().out
    assert main(["graph", str(EXAMPLES / "digits_mlp.toml"), "--unfold", "--derived", "-o", str(out)]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "g.png"], "expected a file name that ends with .svg, .dot or .mmd, got '.png'"),
        (["-o", "g"], "got none"),
        (["-o", "g.svg", "--derived"], "--unfold"),
        (["-o", "nowhere/g.svg"], "does not exist"),
        ([], "-o"),
    ],
)
def test_command_refuses(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["graph", str(EXAMPLES / "digits_mlp.toml"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
