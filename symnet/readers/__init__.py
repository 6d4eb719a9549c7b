"""One reader for each kind of data file; each gives plain arrays and knows nothing of networks."""
