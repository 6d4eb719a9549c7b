"""What every other room builds on: the names in a program, and edits of its equations."""
