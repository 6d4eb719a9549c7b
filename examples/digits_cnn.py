"""A convolutional network in the manner of LeNet, for 8 x 8 pictures of handwritten digits.

Twice a convolution with a pooling, then two dense layers. In the derived gradients,
look for the convolution of the error with the rotated kernel, and for the error that
a maximum sends back to the pixel it came from.

    symnet summary examples/digits_cnn.py
    symnet latex   examples/digits_cnn.py
    python examples/train.py digits_cnn
"""

import symnet as sn

image = sn.Input((1, 8, 8), name="image")
maps = sn.Conv2D(32, 3, padding="same", activation="relu")(image)
maps = sn.MaxPool2D(2)(maps)
maps = sn.Conv2D(64, 3, padding="same", activation="relu")(maps)
maps = sn.MaxPool2D(2)(maps)
features = sn.Flatten()(maps)
hidden = sn.Dense(64, activation="relu")(features)
logits = sn.Dense(10, name="logits")(hidden)

model = sn.Model(image, logits, loss=sn.CrossEntropy(), name="digits_cnn")
