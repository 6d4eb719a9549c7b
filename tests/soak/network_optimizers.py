"""The optimizers' rules in NumPy, as PyTorch documents them (torch.optim of 2.x, default options), and Lion."""

from __future__ import annotations

import numpy as np

RATES = {"sgd": 0.125, "momentum": 0.0625, "nesterov": 0.0625, "rmsprop": 0.01, "adam": 0.01, "adamw": 0.01}
"""By the name of a rule, the rate at which it is judged."""

PROPORTIONAL = ("sgd", "momentum", "nesterov")
"""Those whose step is small where the gradient is."""


def stepped(
    rule: str, w: np.ndarray, g: np.ndarray, state: dict[str, np.ndarray], number: int, rate: float
) -> np.ndarray:
    """The parameter after step `number`, from 1; `state` is changed."""
    zero = np.zeros_like(g)
    match rule:
        case "sgd":
            return w - rate * g
        case "momentum" | "nesterov":
            state["v"] = v = 0.9 * state.get("v", zero) + g
            return w - rate * (v if rule == "momentum" else g + 0.9 * v)
        case "rmsprop":
            state["v"] = v = 0.99 * state.get("v", zero) + 0.01 * g * g
            return w - rate * g / (np.sqrt(v) + 1e-8)
        case "adam" | "adamw":
            state["m"] = m = 0.9 * state.get("m", zero) + 0.1 * g
            state["v"] = v = 0.999 * state.get("v", zero) + 0.001 * g * g
            w = w * (1 - rate * 0.01) if rule == "adamw" else w
            return w - rate * (m / (1 - 0.9**number)) / (np.sqrt(v / (1 - 0.999**number)) + 1e-8)
        case "lion":
            m = state.get("m", zero)
            state["m"] = 0.99 * m + (1 - 0.99) * g
            return w - rate * np.sign(0.9 * m + (1 - 0.9) * g)
    raise ValueError(rule)
