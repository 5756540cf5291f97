"""weights=timm:NAME or NAME.TAG: resnet50.a1_in1k, vgg16.tv_in1k.

Image and crop are those that timm gives for the size of training; where it lists a larger one for
testing beside (test_input_size), protocol=one_crop protocol.size=288 protocol.shorter=288 has it.
"""

import math

import timm
from timm.data.config import resolve_data_config

from topfive.foreign.library import Entry
from topfive.foreign.preprocessing import Preprocessing, filter_of, in_255ths
from topfive.problems import Problem


def entry(name: str) -> Entry:
    """timm's record of the weights; without a tag, of those that it takes for the name."""
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = timm.list_models(f"*{architecture}*")[:10]
        raise Problem(
            f"weights=timm:{name}: timm has no network {architecture}."
            + (f" It has {', '.join(near)}." if near else " Its names: timm.list_models().")
        )
    known = [
        one.partition(".")[2] for one in timm.list_models(f"{architecture}.*", pretrained=True)
    ]
    if not known or (tag and tag not in known):
        raise Problem(
            f"weights=timm:{name}: timm has no such weights of {architecture}. "
            + (f"It has {', '.join(known)}." if known else "It has none of it.")
        )
    found = timm.get_pretrained_cfg(name)
    assert found is not None  # it is among those known
    record = found.to_dict()  # type: ignore[no-untyped-call]
    full = f"{architecture}.{record['tag']}"
    return Entry(
        library="timm",
        name=full,
        url=record.get("url") or f"model.safetensors of {record.get('hf_hub_id')}",
        network=lambda: timm.create_model(architecture),
        download=lambda: timm.create_model(full, pretrained=True).state_dict(),
        preprocessing=_preprocessing(record, f"timm:{full}"),
    )


def _preprocessing(record: dict[str, object], origin: str) -> Preprocessing:
    said = resolve_data_config({}, pretrained_cfg=record)  # type: ignore[no-untyped-call]
    if said["crop_mode"] != "center":
        raise Problem(
            f"weights={origin} expects images in crop_mode={said['crop_mode']}, and protocols crop the center "
            f"of the shorter side. Name other weights."
        )
    size = said["input_size"][1]
    return Preprocessing(
        mean=in_255ths(said["mean"]),
        deviation=in_255ths(said["std"]),
        filter=filter_of(said["interpolation"], origin),
        size=size,
        shorter=math.floor(size / said["crop_pct"]),
    )
