"""Tensors that are stored in a halo of zeros, so that windows that reach beyond them read them where they are.

    d_z[h,p,w,n] is stored as d_z.padded[1:33, :, 1:33]: what computes d_z writes there at once

A tensor gets a halo where the best recipe of some window product reads it so; it has one width.  Every other step then
sees the tensor through a view with gaps.  Some reshapes of such a view would be copies, which `not_viewable` finds in
the finished plan; such a tensor gets no halo.

    d_z.padded[1:33, :, 1:33].reshape(32, -1)           takes a copy
    d_z.padded[1:33, :, 1:33].transpose(1, 0, 2)        does not
"""

from __future__ import annotations

import numpy as np

from codegen.ir.affine import Affine
from codegen.ir.plan import Alias, Gather, Plan, ScatterAdd, leaves, views_of
from codegen.ir.view import Reshape, Slice, Take, Transpose, View
from codegen.lower.storage import Storage

SAMPLES = 2
"""A size to try reshapes with."""


def not_viewable(plan: Plan, padded: dict[str, str], storage: Storage) -> set[str]:
    """The tensors in a halo that some step sees in a shape which takes a copy.

    padded: by tensor, the name of it and its halo.
    """
    aliases = [item.view for item in plan.setup if isinstance(item, Alias) and item.view.base in padded]
    found = {view.base for view in aliases if view.ops}  # what is made of these is not looked at
    views: list[View] = []
    for step in leaves(s for block in plan.blocks for s in block.steps):
        if isinstance(step, Gather | ScatterAdd):
            found |= {v.base for v in views_of(step) if v.base in padded}
        views += [v for v in views_of(step) if v.base in padded]
    for view in set(views):
        if any(isinstance(op, Reshape) for op in view.ops) and not _is_view(view, padded[view.base], storage):
            found.add(view.base)
    return found


def _is_view(view: View, padded: str, storage: Storage) -> bool:
    """Whether NumPy can do the reshapes of a view without a copy."""
    whole = np.empty([_size(e) for e in storage.shapes[padded]], np.int8)
    inner = next(i.view for i in storage.setup if isinstance(i, Alias) and i.name == view.base)
    array = whole
    for op in (*inner.ops, *view.ops):
        if isinstance(op, Take):
            array = array[tuple(_item(i) for i in op.items)]
        elif isinstance(op, Transpose):
            array = array.transpose(op.order)
        elif isinstance(op, Reshape):
            array = array.reshape([int(np.prod([_size(e) for e in dim])) for dim in op.shape])
            if not np.shares_memory(array, whole):
                return False
        else:  # windows step over what they find
            break
    return True


def _size(extent: Affine) -> int:
    return extent.evaluate(dict.fromkeys(extent.names, SAMPLES))


def _item(item: Affine | Slice | None) -> int | slice | None:
    if item is None:
        return None
    if isinstance(item, Affine):
        return 0
    if item.full:
        return slice(None, None, item.step)
    start = _size(item.start)
    return slice(start, start + _size(item.length) * item.step, item.step)
