"""Checkpoints: the whole state of a training run in one safetensors file, and a folder of the last few of them."""

from symnet.training.checkpoints.checkpoint import Checkpoint, load_checkpoint

__all__ = ["Checkpoint", "load_checkpoint"]
