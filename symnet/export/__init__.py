"""Networks and weights in the formats of other systems."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from symnet.errors import DefinitionError, border
from symnet.extras import extra
from symnet.graph import Model


@border
def onnx_bytes(model: Model, params: Mapping[str, np.ndarray]) -> bytes:
    """The network with these parameters as an ONNX file; see `symnet.export.onnx.model.onnx_model`.

    Raises DefinitionError without the package onnx.
    """
    extra("onnx", "exporting to ONNX", "onnx", DefinitionError)
    writer = extra("symnet.export.onnx.model", "exporting to ONNX", "onnx", DefinitionError)
    data: bytes = writer.onnx_model(model, params).SerializeToString()
    return data
