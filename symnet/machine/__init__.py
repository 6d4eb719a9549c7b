"""Models of a machine that are measured: from a machine to a file, and from a file to the compiler."""
