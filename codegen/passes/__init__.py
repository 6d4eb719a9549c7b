"""The table of passes: what is done to a program on its way from the declaration to the finished plan, row by row."""
