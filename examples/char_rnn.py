"""A recurrent network that reads English character by character and foretells the next one.

Elman's network: the state h of each step is a tanh of the character and of the state before. The state before
the first step is an input and the one after the last step an output, so that a text of any length can be read,
and written, piece by piece.

    symnet latex examples/char_rnn.py
    python examples/write.py char_rnn
"""

import symnet as sn

text = sn.Input(("T",), dtype="int", name="text")
before = sn.Input((192,), name="h_0")

letters = sn.Embedding(96, 48)(text)
states, after = sn.SimpleRNN(192, return_state=True, name="memory")(letters, h_0=before)
logits = sn.Dense(96, name="logits")(states)

model = sn.Model([text, before], [logits, after], loss=[sn.CrossEntropy(), None], name="char_rnn")
