"""The static computation graph, forward and backward, as SVG, DOT and Mermaid."""

from symnet.explain.graph.folded import folded
from symnet.explain.graph.parts import Edge, Graph, Node
from symnet.explain.graph.svg import svg
from symnet.explain.graph.text import dot, mermaid
from symnet.explain.graph.unfolded import unfolded

__all__ = ["Edge", "Graph", "Node", "dot", "folded", "mermaid", "svg", "unfolded"]
