"""Networks and weights in the formats of other systems."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from symnet.model.graph import Model, model_of
from symnet.support.errors import DefinitionError, border
from symnet.support.extras import extra
from symnet.support.options import strict, table_of


@strict
@border
def onnx_bytes(model: Model, params: Mapping[str, np.ndarray]) -> bytes:
    """The network with these parameters as an ONNX file; see `symnet.export.onnx.model.onnx_model`.

    Raises DefinitionError without the package onnx.
    """
    model_of("onnx_bytes", model)
    table_of("onnx_bytes(params=)", params)
    extra("onnx", "exporting to ONNX", "onnx", DefinitionError)
    writer = extra("symnet.export.onnx.model", "exporting to ONNX", "onnx", DefinitionError)
    data: bytes = writer.onnx_model(model, params).SerializeToString()
    return data
