"""Matrix notation: products, transposes, correlations and more, recognised in the index structure of equations."""
