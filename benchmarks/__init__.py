"""Races of generated training steps against other frameworks, and what compiling and memory cost."""
