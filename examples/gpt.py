"""A small GPT: a transformer that reads a window of English and foretells the next character at every place.

Three blocks, each an attention that looks back only and two dense layers at every place, both added to what
they read and with a normalization in front of them; as in GPT-2, gelu is the approximation with tanh.

    symnet summary examples/gpt.py
    python examples/write.py gpt
"""

import symnet as sn
from symnet.model.layers import Node

WINDOW, WIDTH, HEADS, BLOCKS = 64, 96, 4, 3


def block(h: Node) -> Node:
    """One block: (N, T, WIDTH) -> (N, T, WIDTH)."""
    h = sn.residual(h, sn.LayerNorm(), sn.MultiHeadAttention(HEADS, causal=True))
    return sn.residual(h, sn.LayerNorm(), sn.Dense(4 * WIDTH, activation="gelu_tanh"), sn.Dense(WIDTH))


text = sn.Input(("T",), dtype="int", name="text")
h = sn.PositionalEmbedding(WINDOW)(sn.Embedding(96, WIDTH)(text))
for _ in range(BLOCKS):
    h = block(h)
logits = sn.Dense(96, name="logits")(sn.LayerNorm()(h))

model = sn.Model(text, logits, loss=sn.CrossEntropy(), name="gpt")
