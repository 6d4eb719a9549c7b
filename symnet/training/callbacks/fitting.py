"""A training with all that hangs on its hooks: what is shown, what is measured, checkpoints, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from symnet.training.callbacks.watching import Watch, watching
from symnet.training.checkpoints.saving import saving
from symnet.training.checkpoints.start import Plan
from symnet.training.plots import write_pictures
from symnet.training.plots.kernels import Network as Pictured
from symnet.verify.nonfinite import explained

Params = dict[str, np.ndarray]


class Network(Pictured, Protocol):
    """What is needed of a compiled network."""

    @property
    def program(self) -> Any:
        """Its rewritten equations."""

    @property
    def dtype(self) -> str:
        """Of its arrays."""


def fit(
    net: Network, plan: Plan, watch: Watch, params: Params, x: Any, y: Any, options: Mapping[str, Any]
) -> tuple[Params, dict[str, list[float]]]:
    """The parameters and the history after training with the loop's `options`; see `Network.fit`."""
    module = net.module
    with (
        watching(watch, module, x, options) as watched,
        # An event is measured first, then kept, then shown, and then the caller's.
        saving(plan, net.model, net.dtype, watched.displayed(options)) as settings,
        explained(module, net.model, net.program),
    ):
        trained, history = module.train(params, x, y, **watched.measuring(settings))
    history = watched.history(history)
    watched.end(history, options)
    if watch.plot is not None:
        write_pictures(watch.plot, net, trained, history, options.get("validation"), watch.class_names)
    return trained, history
