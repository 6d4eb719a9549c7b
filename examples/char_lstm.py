"""A long short-term memory that reads English character by character and foretells the next one.

As char_rnn.py, with gates: what the cell c holds is kept, not computed anew at each step, so that its gradient
reaches further back. Two states go in and out, h and c.

    symnet latex examples/char_lstm.py
    python examples/write.py char_lstm
"""

import symnet as sn

text = sn.Input(("T",), dtype="int", name="text")
before = {"h_0": sn.Input((192,), name="h_0"), "c_0": sn.Input((192,), name="c_0")}

letters = sn.Embedding(96, 48)(text)
states, *after = sn.LSTM(192, return_state=True, name="memory")(letters, **before)
logits = sn.Dense(96, name="logits")(states)

losses = [sn.CrossEntropy(), None, None]
model = sn.Model([text, *before.values()], [logits, *after], loss=losses, name="char_lstm")
