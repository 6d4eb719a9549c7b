"""Mistakes that are drawn: wrong names, types, shapes, sizes, orders and bytes of files, by the thousand.

    python -m mistakes --seed 1 --count 1000 [--kind python|files|commands|processes] [--log F]

What is held (`judging.py`): an error is symnet's own, its message is not empty, not endless, and names what was given;
a command ends with status 2 and one message, or 0 where what was drawn was legal after all; no file is lost or left
behind; no text is ever executed (`executed.py`).

`values.py`: what is given in place of what is wanted.  `calls.py`: legal calls, and how one goes wrong; `public.py`,
`building.py`, `networks.py`: the tables of legal calls.  `files.py`, `damage.py`: legal files, and how bytes go wrong.
`commands.py`: legal command lines, and how one goes wrong.  `driver.py` counts; `kills.py` is a program of its own.
"""
