"""What to override so that a paper's network trains on photographs, or on its own small set, in seconds."""


def photographs(size: int, *sides: str) -> list[str]:
    """The paper's crop of a photograph, made small in about its proportions; `sides`: keys of it."""
    shorter = size * 8 // 7
    return [
        "protocol=one_crop",
        *(f"recipe.crop.{side}={shorter}" for side in sides),
        f"recipe.crop.size={size}",
        f"protocol.size={size}",
        f"protocol.shorter={shorter}",
    ]


def warped(size: int) -> list[str]:
    """Caffe's crop and test of the image squeezed to a square, made small."""
    side = size * 8 // 7
    crop = [f"recipe.crop.side={side}", f"recipe.crop.size={size}", f"recipe.mean.shorter={side}"]
    return [*crop, f"protocol.side={side}", f"protocol.size={size}"]


def pixels(*unused: str) -> list[str]:
    """Photographs, which must be resized, where the recipe crops CIFAR's pixels as they are."""
    resized = [
        "protocol=one_crop",
        "recipe.crop._target_=topfive.crops.ShorterSide",
        "recipe.mean=null",
        "recipe.whitening=null",
    ]
    sizes = ["+recipe.crop.smallest=40", "+recipe.crop.largest=40", "protocol.shorter=40"]
    return [*resized, *sizes, "protocol.size=${recipe.crop.size}", *unused]


RANGE = ("smallest", "largest")
NETWORKS = {
    "alexnet": [*photographs(67, *RANGE), "recipe.mean.shorter=76", "data.minival=2"],
    "caffenet": warped(67),
    "zfnet": [*photographs(64, "shorter"), "recipe.mean.shorter=73", "data.minival=2"],
    "cuda_convnet": pixels("~recipe.crop.by"),
    "nin_cifar": pixels(),
    "nin_imagenet": warped(67),
    "allcnn_c": pixels(),
    "allcnn_imagenet": [*photographs(99, *RANGE), "recipe.mean.shorter=113"],
    "vgg11": [*photographs(32, *RANGE), "data.minival=2"],
    "googlenet": photographs(96),
    "bn_inception": [*photographs(64), "recipe.bn_batch=4"],
    "preact_resnet164": [*pixels("~recipe.crop.by"), "recipe.bn_batch=4", "model.depth=20"],
    "efficientnet_b0": photographs(64),
}
