"""A handwritten digit read row by row from above, and not always to the end: sequences of different lengths.

The mask is true at the rows that have been read. Elsewhere the state stays as it is, so what the layer returns is
the state after the last row that was read, whatever the other rows hold. The number of rows is symbolic.

    symnet summary examples/digits_rows.py
    python examples/rows.py
"""

import symnet as sn

rows = sn.Input(("T", 8), name="rows")
read = sn.Input(("T",), dtype="bool", name="read")

state = sn.GRU(64, return_sequences=False)(rows, mask=read)
logits = sn.Dense(10, name="logits")(state)

model = sn.Model([rows, read], logits, loss=sn.CrossEntropy(), name="digits_rows")
