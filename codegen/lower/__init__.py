"""Lowering: each equation becomes a few array steps, by the recipe that is chosen for it.

Here: legal equations (`legalize`), the table of recipes and the choice among them, what recipes share, `lowering`.
`products/` and `windows/` have the recipes for products; nothing here knows a target's text, nor a plan's memory.
Where the steps go from here: `codegen/plan`; how they are printed: `codegen/emit`.
"""
