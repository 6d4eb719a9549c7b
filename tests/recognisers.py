"""Who recognised the form of an equation by itself, file by file, before there was one reading of it.

Only codegen/analysis recognises; everybody else asks `structure`.
"""

from __future__ import annotations

GONE = {
    "codegen/lower/bands.py": "_pattern",
    "codegen/lower/contraction.py": "writes_whole two_factors is_product _roles",
    "codegen/lower/direct.py": "_roles",
    "codegen/lower/factors.py": "_factors",
    "codegen/lower/pointwise.py": "_agree",
    "codegen/lower/pooling.py": "indices _is_window _overlaps _is_route",
    "codegen/lower/reduction.py": "tap_indices",
    "codegen/lower/sums.py": "sum_of_runs",
    "codegen/lower/weighted.py": "_parts",
    "codegen/lower/window.py": "_pattern",
    "codegen/passes/rewritings.py": "_gathered",
    "codegen/rewrite/batch_last.py": "_convolves _is_window _unsplit _moving _spatial",
    "codegen/rewrite/gates.py": "_parts",
    "codegen/rewrite/gather.py": "_forward_windows",
    "codegen/rewrite/inline.py": "_worthwhile",
    "codegen/rewrite/merge.py": "_is_bracket",
    "codegen/rewrite/one_hot.py": "_token_axis",
    "codegen/rewrite/parts.py": "part_of part_axis _cover",
    "codegen/rewrite/pool_first.py": "_is_window_maximum _places _shrinks",
    "codegen/rewrite/reduced_first.py": "_is_product",
    "codegen/rewrite/shape.py": "covers is_elementwise stays_inside plain_indices",
    "codegen/rewrite/softmax.py": "_is_total _places",
    "codegen/rewrite/table_first.py": "_is_lookup _lookup",
    "codegen/rewrite/time_major.py": "_tables",
    "codegen/rewrite/turned.py": "_is_product",
    "codegen/schedule.py": "_plain _distance _shift",
    "symnet/derive/adjoint.py": "_logsumexp",
    "symnet/explain/flops.py": "_is_copy",
    "symnet/explain/local.py": "_small",
    "symnet/explain/matrix/operands.py": "_without_lookups roles is_window",
    "symnet/explain/matrix/product.py": "_plain",
    "symnet/explain/matrix/recognise.py": "_softmax _plainness",
    "symnet/explain/matrix/window.py": "_only _reshape _record _is_choice",
    "symnet/explain/receptive.py": "_shifted _is_layout",
    "symnet/explain/report/costs.py": "is_relabelling",
    "symnet/explain/solve.py": "_is_grouped",
    "symnet/explain/statements.py": "plain_at",
    "symnet/explain/summary.py": "_window",
    "symnet/export/onnx/equations.py": "_mixed_radix _product",
    "symnet/export/onnx/loops.py": "_at_one_step",
    "symnet/export/onnx/reads.py": "_axis",
    "symnet/export/onnx/windows.py": "_plain _only _names _pads _along _groups _convolution _transposed _pool",
}
"""Replaced, and not to come back."""

TO_GO = {
    "codegen/lower/elementwise.py": "_is_outside alias_of",
    "codegen/lower/lookup.py": "_row_of fetched _bracket",
    "codegen/lower/recipes.py": "_within",
    "codegen/lower/recurrence.py": "_Slices",
    "codegen/lower/scatter.py": "tiles _loop_indices _overlapped _tap_first",
    "codegen/lower/storage.py": "overhang is_regular _shifted",
}
"""Still there; a name leaves this list for the other one with the function."""
