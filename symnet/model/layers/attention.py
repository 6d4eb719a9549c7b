"""Dot-product attention, with one head or several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Tensor
from symnet.model.layers.base import Node
from symnet.model.layers.checks import checked_flags, checked_init
from symnet.model.layers.slots import Slotted
from symnet.model.layers.spelling import Site, Spelling, described
from symnet.support.errors import DefinitionError, ShapeError
from symnet.support.options import integer


@dataclass(frozen=True, eq=False)
class Attending(Slotted, abstract=True):
    """The layers Attention and MultiHeadAttention.

    query: (N, T, K); key: (N, S, K), the query by default; value: (N, S, V), the key by default.
    causal: step t sees the steps s <= t only.
    mask: a boolean input (N, S), true at the keys that belong to a sequence, or (N, T, S), true
        where step t may see key s.  A step that sees nothing gets 0.
    """

    causal: bool = field(default=False, kw_only=True)

    dtypes: ClassVar[Mapping[str, Dtype]] = {"mask": "bool"}

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_flags(self.where, causal=self.causal)

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return ("query", "key", "value", "mask")

    def given(self, inputs: tuple[Tensor, ...], site: Site) -> dict[str, Tensor]:
        """The inputs by name; ShapeError when their shapes do not fit each other."""
        where = f"{self.kind} '{site.name}'"
        given = dict(zip(site.roles, inputs, strict=True))
        query, key = given["query"], given.get("key", given["query"])
        value = given.get("value", key)
        for name in ("query", "key", "value"):
            if name in given and (len(given[name].shape) != 3 or not given[name].shape[2].is_constant):
                raise ShapeError(
                    f"{where}: expected {name} of 3 axes (N, time, features), got {described(given[name])}"
                )
        if value.shape[1] != key.shape[1]:
            raise ShapeError(
                f"{where}: the key {described(key)} and the value {described(value)} differ in length; "
                "expected one value for each key"
            )
        if "mask" in given:
            steps, keys = query.shape[1], key.shape[1]
            possible = [(Affine.of("N"), keys), (Affine.of("N"), steps, keys)]
            if given["mask"].shape not in possible:
                shapes = " or ".join(f"({', '.join(map(str, shape))})" for shape in possible)
                raise ShapeError(f"{where}: expected mask of the shape {shapes}, got {described(given['mask'])}")
        return given

    def weights(self, given: Mapping[str, Tensor], head: str) -> str:
        """The equations from `score` to `weight`, the softmax over the keys s that step t sees."""
        seen = ["s <= t"] if self.causal else []
        if "mask" in given:
            seen.append("mask[n,s]" if len(given["mask"].shape) == 2 else "mask[n,t,s]")
        at = f"n,{head}t,s"
        total = f"lse[n,{head}t]"
        value = f"exp(score[{at}] - {total})"
        if seen:
            value = f"where({' and '.join(seen)}, {value}, 0)"
        guards = f" | {', '.join(seen)}" if seen else ""
        return f"{total} = logsumexp[s{guards}](score[{at}])\nattention[{at}] = {value}"


@dataclass(frozen=True, eq=False)
class Attention(Attending):
    """y[n,t,v] = sum[s](softmax over s of score[n,t,s] * value[n,s,v]), score = query . key / sqrt(K).

    See `Attending` for the inputs and the options; there are no parameters.  y: (N, T, V).
    """

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when the inputs do not fit."""
        given = self.given(inputs, site)
        key = "key" if "key" in given else "query"
        value = "value" if "value" in given else key
        width = given["query"].shape[2]
        if given[key].shape[2] != width:
            raise ShapeError(
                f"{self.kind} '{site.name}': the query {described(given['query'])} and the key "
                f"{described(given[key])} differ in their last axis; their dot products need the same one"
            )
        return Spelling(
            text=f"score[n,t,s] = sum[k](query[n,t,k]*{key}[n,s,k])/sqrt({width})\n"
            f"{self.weights(given, '')}\n"
            f"y[n,t,v] = sum[s](attention[n,t,s]*{value}[n,s,v])",
            inputs=site.roles,
        )


@dataclass(frozen=True, eq=False)
class MultiHeadAttention(Attending):
    """Several attentions side by side on projections of the inputs, and a projection of their values.

    The last extent E of the query is that of the output; `num_heads` must divide it.  See
    `Attending` for the inputs and the options.  Parameters, as in PyTorch: in_proj_weight (3*E, E) and
    in_proj_bias (3*E), the rows for query, key and value one after another; out_proj.weight (E, E), out_proj.bias (E).
    The mask is given by name alone: by position PyTorch has one there that is true at the keys to leave out.
    """

    num_heads: int = 1
    _: KW_ONLY
    use_bias: bool = True
    init: str | Mapping[str, str] | None = None
    trainable: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        integer(f"{self.where}(num_heads=)", self.num_heads)
        checked_flags(self.where, use_bias=self.use_bias, trainable=self.trainable)
        checked_init(self.where, self.init, tuple(self._parameters()), "in_proj_weight")

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when the inputs do not fit, or the heads do not divide E."""
        given = self.given(inputs, site)
        width = given["query"].shape[2].const
        self._check(f"{self.kind} '{site.name}'", given, width)
        depth = width // self.num_heads
        projections, reads = self._projections(given)
        names = self._parameters()
        shift = "out_proj.bias[e] + " if self.use_bias else ""
        return Spelling(
            text=f"{projections}\n"
            f"score[n,h,t,s] = sum[d]({reads[0]}*{reads[1]})/sqrt({depth})\n"
            f"{self.weights(given, 'h,')}\n"
            f"context[n,t,h,d] = sum[s](attention[n,h,t,s]*{reads[2]})\n"
            f"y[n,t,e] = {shift}sum[h,d](out_proj.weight[e,(h,d)]*context[n,t,h,d])",
            inputs=site.roles,
            params=names,
            sizes={"c": 3, "h": int(self.num_heads), "d": depth, "e": width},
            init=checked_init(self.where, self.init, tuple(names), "in_proj_weight"),
            regularized=("in_proj_weight", "out_proj.weight"),
        )

    def arguments(self, nodes: tuple[Node, ...], named: Mapping[str, Node]) -> tuple[Node, ...]:
        """The inputs in the order of `roles`; DefinitionError for a mask by position."""
        if len(nodes) > 3:
            raise DefinitionError(
                f"{self.where}: expected at most query, key and value by position, got {len(nodes)} inputs; give the "
                "mask by name, mask=, true at the keys that belong to a sequence"
            )
        return super().arguments(nodes, named)

    def _projections(self, given: Mapping[str, Tensor]) -> tuple[str, tuple[str, str, str]]:
        """The equations of the projections, and the texts that read them: query at t, key and value at s."""
        if "key" not in given and "value" not in given:
            bias = "in_proj_bias[(c,h,d)] + " if self.use_bias else ""
            text = f"qkv[n,t,c,h,d] = {bias}sum[i](in_proj_weight[(c,h,d),i]*query[n,t,i])"
            return text, ("qkv[n,t,0,h,d]", "qkv[n,s,1,h,d]", "qkv[n,s,2,h,d]")
        key = "key" if "key" in given else "query"
        sources = {"q": "query", "k": key, "v": "value" if "value" in given else key}
        lines = []
        for number, (name, source) in enumerate(sources.items()):
            bias = f"project_bias[{number},h,d] + " if self.use_bias else ""
            lines.append(f"{name}[n,t,h,d] = {bias}sum[i](project[{number},h,d,i]*{source}[n,t,i])")
        views = ["project[c,h,d,i] = in_proj_weight[(c,h,d),i]"]
        views += ["project_bias[c,h,d] = in_proj_bias[(c,h,d)]"] if self.use_bias else []
        return "\n".join([*views, *lines]), ("q[n,t,h,d]", "k[n,s,h,d]", "v[n,s,h,d]")

    def _parameters(self) -> dict[str, str]:
        weights = {"in_proj_weight": "(c,h,d),i", "out_proj.weight": "e,(h,d)"}
        return weights | ({"in_proj_bias": "(c,h,d)", "out_proj.bias": "e"} if self.use_bias else {})

    def _check(self, where: str, given: Mapping[str, Tensor], width: int) -> None:
        if width % self.num_heads:
            raise ShapeError(
                f"{where}: {self.num_heads} heads do not divide the query's {width} features; "
                "expected a number of heads that divides them"
            )
        for name in ("key", "value"):
            if name in given and given[name].shape[2] != given["query"].shape[2]:
                raise ShapeError(f"{where}: expected {name} with {width} features, got {described(given[name])}")
