"""What an equation is: read once, asked by whoever lowers, lays out, compares costs, exports or explains it.

`structure` reads an equation, `facts` keeps what was found out about a program.  Nothing here changes a program, and
nothing knows a target; what acts on it: `codegen/passes` for equations, `codegen/lower` for steps.
"""
