"""Networks in the ONNX format, for inference: one operator or a few for each equation."""
