"""Matrix notation: products, transposes, correlations and their like, recognised in the index structure of equations."""
