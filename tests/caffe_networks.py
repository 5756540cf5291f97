"""BVLC's AlexNet, CaffeNet and GoogLeNet and the authors' ResNet-50, with weights drawn at random.

As models/*/deploy.prototxt in BVLC/caffe (9b89154) and prototxt/ResNet-50-deploy.prototxt in
KaimingHe/deep-residual-networks (a7026cb) have them.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from caffe_files import Layer


@dataclass
class Net:
    """Grows layer by layer, each method the name of its output.

    Weights keep the signal's size. Those of later layers sum to zero for each output: else the mean that
    ReLU adds would make all images alike after a few layers, and nothing could be seen in the scores.
    """

    name: str
    rng: np.random.Generator
    layers: list = field(default_factory=list)

    def add(self, name, kind, bottoms, *blobs, top=None, **options):
        bottoms = (bottoms,) if isinstance(bottoms, str) else tuple(bottoms)
        self.layers.append(Layer(name, kind, bottoms, top or name, options, blobs))
        return top or name

    def relu(self, name):
        return self.add(f"{name}_relu", "ReLU", name, top=name)

    def normal(self, *shape, std=1.0):
        return np.float32(std) * self.rng.standard_normal(shape, dtype=np.float32)

    def uniform(self, low, high, count):
        return self.rng.uniform(low, high, count).astype(np.float32)

    def weights(self, outputs, fan):
        drawn = self.normal(outputs, fan, std=(2.9 / fan) ** 0.5)
        return drawn - drawn.mean(1, keepdims=True)

    def linear_conv(self, name, bottom, inputs, outputs, kernel, bias=True, **options):
        fan = inputs // options.get("group", 1) * kernel * kernel
        weight = (
            self.weights(outputs, fan) if inputs > 3 else self.normal(outputs, fan, std=fan**-0.5)
        )
        blobs = [weight.reshape(outputs, -1, kernel, kernel)]
        if bias:
            blobs.append(self.normal(outputs, std=10))
        else:
            options["bias_term"] = False
        sizes = {"num_output": outputs, "kernel_size": kernel}
        return self.add(name, "Convolution", bottom, *blobs, **sizes, **options)

    def conv(self, name, bottom, inputs, outputs, kernel, **options):
        return self.relu(self.linear_conv(name, bottom, inputs, outputs, kernel, **options))

    def full(self, name, bottom, inputs, outputs):
        blobs = (self.weights(outputs, inputs), self.normal(outputs, std=10))
        return self.add(name, "InnerProduct", bottom, *blobs, num_output=outputs)

    def lrn(self, name, bottom):
        return self.add(name, "LRN", bottom, local_size=5, alpha=1e-4, beta=0.75)

    def pool(self, name, bottom, kernel, stride, pad=0, pool=0):
        sizes = {"kernel_size": kernel, "stride": stride, "pad": pad}
        return self.add(name, "Pooling", bottom, pool=pool, **sizes)

    def normalized(self, conv, tail, gain=1.0):
        """BN in Caffe's two layers; the file has sums, whose factor is not 1."""
        maps, factor = len(self.layers[-1].blobs[0]), np.float32(2.5)
        mean, variance = self.normal(maps, std=10), self.uniform(1250, 3750, maps)
        sums = (factor * mean, factor * variance, factor.reshape(1))
        self.add(f"bn{tail}", "BatchNorm", conv, *sums, top=conv, use_global_stats=True)
        gamma, beta = self.uniform(35 * gain, 65 * gain, maps), self.normal(maps, std=10)
        return self.add(f"scale{tail}", "Scale", conv, gamma, beta, top=conv, bias_term=True)


def alexnet(classes=10, seed=0):
    """61 million weights."""
    net = Net("AlexNet", np.random.default_rng(seed))
    x = net.conv("conv1", "data", 3, 96, 11, stride=4)
    x = net.pool("pool1", net.lrn("norm1", x), 3, 2)
    x = net.conv("conv2", x, 96, 256, 5, pad=2, group=2)
    x = net.pool("pool2", net.lrn("norm2", x), 3, 2)
    x = net.conv("conv3", x, 256, 384, 3, pad=1)
    x = net.conv("conv4", x, 384, 384, 3, pad=1, group=2)
    x = net.pool("pool5", net.conv("conv5", x, 384, 256, 3, pad=1, group=2), 3, 2)
    x = net.relu(net.full("fc6", x, 9216, 4096))
    x = net.relu(net.full("fc7", x, 4096, 4096))
    net.full("fc8", x, 4096, classes)
    return net


def caffenet(of):
    """The weights of the AlexNet `of`, but pooling before normalization."""
    layers = {layer.name: layer for layer in of.layers}
    sees = {"pool1": "conv1", "norm1": "pool1", "conv2": "norm1"}
    sees |= {"pool2": "conv2", "norm2": "pool2", "conv3": "norm2"}
    for name, bottom in sees.items():
        layers[name] = replace(layers[name], bottoms=(bottom,))
    places = {"norm1": "pool1", "pool1": "norm1", "norm2": "pool2", "pool2": "norm2"}
    return Net("CaffeNet", of.rng, [layers[places.get(name, name)] for name in layers])


WIDTHS = {  # Szegedy et al. 2014, Table 1: inputs, #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


def googlenet(classes=1000, seed=1):
    """With the auxiliary heads of the training: 13 million weights."""
    net = Net("GoogleNet", np.random.default_rng(seed))
    x = net.conv("conv1/7x7_s2", "data", 3, 64, 7, stride=2, pad=3)
    x = net.lrn("pool1/norm1", net.pool("pool1/3x3_s2", x, 3, 2))
    x = net.conv("conv2/3x3", net.conv("conv2/3x3_reduce", x, 64, 64, 1), 64, 192, 3, pad=1)
    x = net.pool("pool2/3x3_s2", net.lrn("conv2/norm2", x), 3, 2)
    for module, widths in WIDTHS.items():
        if module in ("4a", "5a"):
            x = net.pool("pool3/3x3_s2" if module == "4a" else "pool4/3x3_s2", x, 3, 2)
        x = _inception(net, f"inception_{module}", x, *widths)
        if module in ("4a", "4d"):
            _auxiliary(
                net,
                "loss1" if module == "4a" else "loss2",
                x,
                512 if module == "4a" else 528,
                classes,
            )
    net.full("loss3/classifier", net.pool("pool5/7x7_s1", x, 7, 1, pool=1), 1024, classes)
    return net


def _inception(net, name, x, inputs, one, reduce3, three, reduce5, five, proj):
    branches = [net.conv(f"{name}/1x1", x, inputs, one, 1)]
    y = net.conv(f"{name}/3x3_reduce", x, inputs, reduce3, 1)
    branches.append(net.conv(f"{name}/3x3", y, reduce3, three, 3, pad=1))
    y = net.conv(f"{name}/5x5_reduce", x, inputs, reduce5, 1)
    branches.append(net.conv(f"{name}/5x5", y, reduce5, five, 5, pad=2))
    y = net.pool(f"{name}/pool", x, 3, 1, pad=1)
    branches.append(net.conv(f"{name}/pool_proj", y, inputs, proj, 1))
    return net.add(f"{name}/output", "Concat", branches)


def _auxiliary(net, name, x, inputs, classes):
    y = net.conv(f"{name}/conv", net.pool(f"{name}/ave_pool", x, 5, 3, pool=1), inputs, 128, 1)
    net.full(f"{name}/classifier", net.relu(net.full(f"{name}/fc", y, 2048, 1024)), 1024, classes)


def resnet50(classes=10, seed=2):
    """The bias of conv1 included, which the released ResNet-50 has and the deeper ones have not."""
    net = Net("ResNet-50", np.random.default_rng(seed))
    x = net.linear_conv("conv1", "data", 3, 64, 7, stride=2, pad=3)
    x, inputs = net.pool("pool1", net.relu(net.normalized(x, "_conv1")), 3, 2), 64
    for stage, letters in enumerate(("abc", "abcd", "abcdef", "abc"), 2):
        for letter in letters:
            stride = 2 if letter == "a" and stage > 2 else 1
            x = _bottleneck(net, f"{stage}{letter}", x, inputs, 16 * 2**stage, stride)
            inputs = 64 * 2**stage
    net.full("fc1000", net.pool("pool5", x, 7, 1, pool=1), 2048, classes)
    return net


def _bottleneck(net, block, x, inputs, width, stride):
    def step(branch, bottom, maps, outputs, kernel, gain=1.0, **options):
        conv = net.linear_conv(
            f"res{block}_{branch}", bottom, maps, outputs, kernel, bias=False, **options
        )
        return net.normalized(conv, f"{block}_{branch}", gain)

    shortcut = step("branch1", x, inputs, 4 * width, 1, stride=stride) if block.endswith("a") else x
    y = net.relu(step("branch2a", x, inputs, width, 1, stride=stride))
    y = net.relu(step("branch2b", y, width, width, 3, pad=1))
    y = step("branch2c", y, width, 4 * width, 1, gain=0.5)
    return net.relu(net.add(f"res{block}", "Eltwise", (shortcut, y)))
