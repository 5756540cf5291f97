"""Exact sizes of the networks that the cost charts show, as topfive.inspect counts them.

Written down, as counting takes half a minute and torch; a test counts again."""

from typing import NamedTuple


class Cost(NamedTuple):
    """Of a network as its paper has it: weights and biases, and multiply-adds of one image in evaluation."""

    parameters: int
    multiply_adds: int


COSTS = {
    # ImageNet
    "alexnet": Cost(60_965_224, 724_406_816),
    "zfnet": Cost(62_357_608, 1_168_032_896),
    "zfnet_big": Cost(107_627_624, 2_476_704_896),
    "caffenet": Cost(60_965_224, 724_406_816),
    "googlenet": Cost(6_998_552, 1_582_671_872),
    "vgg11": Cost(132_863_336, 7_609_090_048),
    "vgg11_lrn": Cost(132_863_336, 7_609_090_048),
    "vgg13": Cost(133_047_848, 11_308_466_176),
    "vgg16_1x1": Cost(133_638_952, 11_770_888_192),
    "vgg16": Cost(138_357_544, 15_470_264_320),
    "vgg19": Cost(143_667_240, 19_632_062_464),
    "bn_inception": Cost(11_188_288, 1_934_857_216),
    "plain34": Cost(21_623_848, 3_644_493_824),
    "resnet34": Cost(21_797_672, 3_663_761_408),
    "resnet50": Cost(25_557_032, 3_857_973_248),
    "resnet101": Cost(44_549_160, 7_570_194_432),
    "resnet152": Cost(60_192_808, 11_282_415_616),
    "preact_resnet200": Cost(64_666_152, 14_776_270_848),
    "efficientnet_b0": Cost(5_288_548, 385_814_752),
    # CIFAR-10
    "cuda_convnet": Cost(2_112_970, 19_512_576),
    "nin_cifar": Cost(966_986, 222_486_528),
    "cnn_a": Cost(839_242, 138_677_760),
    "strided_cnn_a": Cost(839_242, 44_674_560),
    "convpool_cnn_a": Cost(1_254_250, 308_547_072),
    "allcnn_a": Cost(1_254_250, 181_145_088),
    "cnn_b": Cost(885_610, 157_552_128),
    "strided_cnn_b": Cost(885_610, 143_396_352),
    "convpool_cnn_b": Cost(1_300_618, 327_421_440),
    "allcnn_b": Cost(1_300_618, 200_019_456),
    "cnn_c": Cost(954_730, 228_331_008),
    "strided_cnn_c": Cost(954_730, 100_929_024),
    "convpool_cnn_c": Cost(1_369_738, 398_200_320),
    "allcnn_c": Cost(1_369_738, 270_798_336),
    "resnet20": Cost(269_722, 40_551_040),
    "resnet32": Cost(464_154, 68_862_592),
    "resnet44": Cost(658_586, 97_174_144),
    "resnet56": Cost(853_018, 125_485_696),
    "resnet110": Cost(1_727_962, 252_887_680),
    "resnet1202": Cost(19_421_274, 2_829_238_912),
    "preact_resnet110": Cost(1_727_962, 252_887_680),
    "preact_resnet164": Cost(1_703_258, 244_500_992),
    "preact_resnet1001": Cost(10_327_706, 1_487_849_984),
}
