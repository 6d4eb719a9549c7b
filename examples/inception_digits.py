"""An Inception block with residual connections, for 8 x 8 pictures of handwritten digits.

The block looks at the picture through kernels of several sizes at once and lays the results side by side;
here the picture that it reads is added to what it finds, twice. The gradient that arrives at the sum goes back
both ways unchanged, and at the branches it is cut into one piece for each.

    symnet summary examples/inception_digits.py
    python examples/train.py inception_digits
"""

import symnet as sn
from symnet.model.layers import Node


def wide(h: Node) -> Node:
    """Branches of 8, 12, 6 and 6 channels side by side: 32, as many as it reads."""
    return sn.inception(h, filters=(8, 8, 12, 4, 6, 6))


image = sn.Input((1, 8, 8), name="image")
maps = sn.Conv2D(32, 3, padding="same", activation="relu")(image)
maps = sn.residual(maps, wide)
maps = sn.MaxPool2D(2)(maps)
maps = sn.residual(maps, wide)
features = sn.GlobalAvgPool2D()(maps)
logits = sn.Dense(10, name="logits")(features)

model = sn.Model(image, logits, loss=sn.CrossEntropy(), name="inception_digits")
