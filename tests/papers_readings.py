"""What single numbers of ../shared/papers mean, by the words around them: the second reading of the tables.

A reading gives facts of `Published`; None where a table is not read so far, or prints something else.
"""

import re
from collections.abc import Callable
from typing import Any

from papers_tables import Number

Facts = dict[str, Any]
PLACES = {"10 crops": "ten_crop", "1 crop": "one_crop", "144 crops": "crops144"}


def quantity(text: str) -> str:
    """top1_error of "val top-1" and "top-1 err"."""
    return f"top{text[text.index('top-') + 4]}_error"


def pair(one: Number) -> str:
    """Of "27.0 / 8.8", by place."""
    return ("top1_error", "top5_error")[int(one.place[0]) - 1]


def alexnet(one: Number) -> Facts | None:
    networks = {"1 CNN": 1, "5 CNNs": 5, "7 CNNs* (5 + 2 pre-trained)": 7}
    count = networks.get(one.row)
    if count is None or not one.column.startswith("top"):
        return None
    split = "test" if one.place == "2 of 2" else "val"
    return {"networks": count, "split": split, "quantity": quantity(one.column)} | {
        "data": "imagenet",
        "protocol": "ten_crop_square",
        "where": "Table 2",
    }


ZFNET = {
    "remove layers 3,4": {"without": ["conv3", "conv4"]},
    "remove layer 7": {"without": ["fc7"]},
    "remove layers 6,7": {"without": ["fc6", "fc7"]},
    "remove 3,4,6,7": {"without": ["conv3", "conv4", "fc6", "fc7"]},
    "layers 6,7 = 2048": {"fc": 2048},
    "layers 6,7 = 8192": {"fc": 8192},
    "both of the last two | –": {"fc": 8192},
}


def zfnet(one: Number) -> Facts | None:
    if "top" in one.column:
        counts = {"1": 1, "5": 5, "6": 6, "t": 1}
        return {"networks": counts[one.row[0]], "split": one.column.split()[0]} | {
            "quantity": quantity(one.column)
        }
    if one.line == 65 or not one.row:  # the first version of the paper
        return None
    wide = "512,1024,512" in one.row or one.row.startswith("both")
    network = "alexnet" if "Krizhevsky" in one.column else "zfnet_big" if wide else "zfnet"
    split, error = [("train", "top1_error"), ("val", "top1_error"), ("val", "top5_error")][
        int(one.place[0]) - 1
    ]
    facts = {"network": network, "split": split, "quantity": error, "recipes": ("zfnet",)}
    return facts | {"options": ZFNET.get(one.row, {})}


NIN = {  # data, recipe, place
    "CIFAR-10 | NIN + dropout": ("cifar10", "nin_cifar", "Table 1"),
    "CIFAR-10 | NIN + dropout + augmentation": ("cifar10", "nin_cifar_augmented", "Table 1"),
    "CIFAR-100 | NIN + dropout": ("cifar100", "nin_cifar", "Table 2"),
    "SVHN | NIN + dropout": ("svhn", "nin_svhn", "Table 3"),
    "MNIST | NIN + dropout, no augmentation": ("mnist", "nin_mnist", "Table 4"),
}


def nin(one: Number) -> Facts | None:
    if one.row not in NIN or one.column != "error":
        return None
    data, recipe, where = NIN[one.row]
    return {"network": "nin_cifar", "data": data, "recipes": (recipe,), "where": where}


def allcnn(one: Number) -> Facts | None:
    if one.column not in ("A", "B", "C"):
        return None
    stem = {
        "base": "cnn",
        "Strided": "strided_cnn",
        "ConvPool": "convpool_cnn",
        "All-CNN": "allcnn",
    }
    name = f"{stem[one.row.split(' |')[0]]}_{one.column.lower()}"
    return {"network": name, "statistic": "best of 4", "data": "cifar10", "protocol": "one_view"}


def googlenet(one: Number) -> Facts | None:
    found = re.match(r"Table 3 \| (\d) nets? \| (\d+ crops?)", one.row)
    if not found or int(one.place[0]) > 1:
        return None
    protocol, count = PLACES[found[2]], int(found[1])
    return {"protocol": protocol, "networks": count, "split": "val", "quantity": "top5_error"} | {
        "statistic": "best of 7" if count == 1 else "single"
    }


def bn_inception(one: Number) -> Facts | None:
    found = re.search(r"(\d+ crops?), (\d) nets? \| (val|test)", one.row)
    if not found or not one.place.startswith("1"):
        return None
    return {"protocol": PLACES[found[1]], "networks": int(found[2]), "split": found[3]} | {
        "quantity": quantity(one.column),
        "network": "bn_inception",
    }


def resnet(one: Number) -> Facts | None:
    cells = one.row.split(" | ")
    if len(cells) > 1 and one.column in ("top-1", "top-5") and "others" not in one.row:
        protocol = {
            "10-crop": "ten_crop",
            "1-crop 224": "one_crop",
            "multi-scale dense": "dense_multiscale",
        }
        names = re.findall(r"(?:(plain|ResNet)-)?(\d+)(?: ([ABC]))?", cells[1])
        if cells[2:3] and cells[2] in protocol and cells[0][:5] in ("Table", "readm"):
            kind, depth, shortcut = names[int(one.place[0]) - 1]
            usual = "A" if depth == "18" else "B"
            options = {"shortcut": shortcut} if shortcut and shortcut != usual else {}
            return {"network": f"{(kind or 'ResNet').lower()}{depth}", "options": options} | {
                "protocol": protocol[cells[2]],
                "quantity": quantity(one.column),
                "split": "val",
            }
    if one.row.startswith("ResNet-20") and one.column == "error":
        depth = (20, 32, 44, 56)[int(one.place[0]) - 1]
        return {"network": f"resnet{depth}", "data": "cifar10", "statistic": "single"}
    if one.row.startswith("ResNet-110") and one.column == "error" and one.place[0] < "3":
        statistic = ("best of 5", "mean of 5")[int(one.place[0]) - 1]
        return {"network": "resnet110", "data": "cifar10", "statistic": statistic}
    return None


UNITS = {
    "original (a)": {"unit": "original"},
    "BN after addition (b)": {"unit": "bn_after_add"},
    "ReLU before addition (c)": {"unit": "relu_before_add"},
    "ReLU-only pre-act (d)": {"unit": "relu_only_preact"},
    "full pre-act (e)": {},
}


def preact_resnet(one: Number) -> Facts | None:
    if one.row in UNITS and one.column.startswith("ResNet-"):
        network = f"preact_resnet{one.column[7:]}"
        return {"network": network, "options": UNITS[one.row], "statistic": "median of 5"} | {
            "where": "Table 2"
        }
    if one.column in ("baseline", "pre-act"):
        data, depths = one.row.split(" | ")
        depth = re.findall(r"\d{3,}", depths)[int(one.place[0]) - 1]
        options = {"block": "1layer"} if "1layer" in depths else {}
        options |= {"unit": "original"} if one.column == "baseline" else {}
        return {"network": f"preact_resnet{depth}", "options": options, "where": "Table 3"} | {
            "data": data.replace("-", "").lower(),
            "statistic": "median of 5",
        }
    found = re.match(r"ResNet-(164|1001) pre-act", one.row)
    if found and one.column.startswith("CIFAR") and one.place[0] < "3":
        facts = {"network": f"preact_resnet{found[1]}", "data": one.column.replace("-", "").lower()}
        batch = "_64" if "batch 64" in one.row else ""
        statistic = ("median of 5", "mean of 5")[int(one.place[0]) - 1]
        return facts | {"statistic": statistic, "recipes": (f"preact_resnet_cifar{batch}",)}
    return None


SCALES = {
    "S=256,Q=256": ("dense_256", ""),
    "S=384,Q=384": ("dense_384", "vgg_384"),
    "S∈[256,512],Q=384": ("dense_384", "vgg_jitter"),
    "S=256; 224,256,288": ("dense_224_256_288", ""),
    "S=384; 352,384,416": ("dense_352_384_416", "vgg_384"),
    "[256,512]; 256,384,512": ("dense_256_384_512", "vgg_jitter"),
}
LETTERS = {
    "A": "vgg11",
    "A-LRN": "vgg11_lrn",
    "B": "vgg13",
    "C": "vgg16_1x1",
    "D": "vgg16",
    "E": "vgg19",
}


def vgg(one: Number) -> Facts | None:
    if one.row.split(" |")[0] not in LETTERS or one.place.startswith("3"):
        return None
    protocol, recipe = SCALES[one.column]
    letter = one.row.split(" |")[0]
    first = "vgg" if letter.startswith("A") else "vgg_from_a"
    return {"network": LETTERS[letter], "protocol": protocol, "recipes": (recipe or first,)} | {
        "quantity": pair(one),
        "split": "val",
    }


def side_by_side(one: Number) -> Facts | None:
    """Section 9 of the protocols."""
    name = one.row.split(" |")[0]
    crops = {"1 crop": "one_crop", "10 crops": "ten_crop"}.get(one.column)
    networks = {"GoogLeNet": "googlenet", "BN-Inception": "bn_inception"}
    network = networks.get(name) or name.lower().replace("-", "").removesuffix(" b")
    if one.line < 83 or crops is None or name.startswith(("AlexNet", "VGG")):
        return None
    return {"network": network, "protocol": crops, "quantity": "top5_error", "options": {}}


READERS: dict[str, Callable[[Number], Facts | None]] = {
    "alexnet.md": alexnet,
    "zfnet.md": zfnet,
    "nin.md": nin,
    "allcnn.md": allcnn,
    "googlenet.md": googlenet,
    "bn_inception.md": bn_inception,
    "resnet.md": resnet,
    "preact_resnet.md": preact_resnet,
    "vgg.md": vgg,
    "eval_protocols.md": side_by_side,
}
