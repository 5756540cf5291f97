"""Which parameters are decayed and at which rate they learn: by kind, or by name."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from topfive.problems import Problem

KINDS = ("weights", "biases", "normalization")


def kind(module: nn.Module, parameter: str) -> str:
    """Of KINDS: a layer's weights or biases, or the scale and shift of a normalization."""
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return "normalization"
    return "biases" if parameter == "bias" else "weights"


def parameter_groups(
    net: nn.Module,
    weight_decay: float,
    decayed: Sequence[str],
    rates: Mapping[str, Any] | None = None,
    decays: Mapping[str, float | None] | None = None,
) -> list[dict[str, Any]]:
    """Groups for a torch optimizer, one for each rate and decay that differ.

    The kinds in `decayed` have `weight_decay`, the others none; `decays` overrules both by a multiple
    of it, `rates` the main rate by a multiple or a law. The keys of either are kinds, or patterns of
    parameters' names ("cccp6.*"); a later entry overrules an earlier one, and null is as good as
    absent. A group's "rate" is its multiple, or the key of its law; the groups of the main rate come
    first. Raises Problem where a key fits no parameter or `decayed` names no kind.
    """
    unknown = set(decayed) - set(KINDS)
    if unknown:
        raise Problem(
            f"recipe.decayed names {', '.join(sorted(unknown))}; it may name {', '.join(KINDS)}."
        )
    rates = {key: rate for key, rate in (rates or {}).items() if rate is not None}
    multiples = {key: decay for key, decay in (decays or {}).items() if decay is not None}
    for key, decay in multiples.items():
        if not isinstance(decay, int | float) or not decay >= 0:
            raise Problem(
                f"recipe.decays has {key}: {decay}; expected a number of times recipe.weight_decay, 0 or above."
            )
    names = [name for name, _, _ in _parameters(net)]
    _check_known(names, rates, "rates")
    _check_known(names, multiples, "decays")

    groups: dict[tuple[float | str, float], list[nn.Parameter]] = {}
    for name, its_kind, parameter in _parameters(net):
        law = _last(rates, name, its_kind)
        rate = 1.0 if law is None else law if isinstance(rates[law], Mapping) else float(rates[law])
        own = _last(multiples, name, its_kind)
        decay = float(its_kind in decayed if own is None else multiples[own])
        groups.setdefault((rate, decay), []).append(parameter)
    in_order = sorted(groups, key=lambda group: (group[0] != 1, str(group[0]), -group[1]))
    return [
        {"params": groups[rate, decay], "weight_decay": decay * weight_decay, "rate": rate}
        for rate, decay in in_order
    ]


def _parameters(net: nn.Module) -> Iterator[tuple[str, str, nn.Parameter]]:
    """Name as in net.named_parameters(), kind, and the parameter."""
    for layer, module in net.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            yield f"{layer}.{name}".lstrip("."), kind(module, name), parameter


def _fits(key: str, name: str, its_kind: str) -> bool:
    return key == its_kind if key in KINDS else fnmatchcase(name, key)


def _last(entries: Mapping[str, Any], name: str, its_kind: str) -> str | None:
    """The key that decides about a parameter."""
    return next((key for key in reversed(list(entries)) if _fits(key, name, its_kind)), None)


def _check_known(names: Sequence[str], entries: Mapping[str, Any], where: str) -> None:
    unknown = [
        key for key in entries if key not in KINDS and not any(fnmatchcase(n, key) for n in names)
    ]
    if unknown:
        shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        raise Problem(
            f"recipe.{where} names {', '.join(unknown)}, which fits no parameter of this network. It may name a kind "
            f"({', '.join(KINDS)}) or a pattern of names such as {shown}. To leave all of it out: '~recipe.{where}'."
        )
