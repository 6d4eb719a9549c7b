"""What a training shows of itself: metrics, a live table, TensorBoard's event files, pictures, warnings."""
