"""`sn.compile` and what it gives: a network with its methods; the model of users; the search for fast code.

All rooms below meet here.  The command line (`cli`) and the estimators (`sklearn`) are above.
"""
