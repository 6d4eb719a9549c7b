"""The groups of checks by their names, for those who import nothing of what is mutated."""


def group(check: str) -> str:
    """ "formula", "family", "network", "source" or "test"."""
    word = check.split(" ", 1)[0]
    return word if word in ("formula", "family", "network", "source") else "test"
