"""What happens to a uint8 batch on the device, for every loader: mean, scale and color noise.

Each is a module that maps float images (batch, channels, height, width) on the scale 0..255 to the
same shape; statistics are buffers, so that they travel with the checkpoint. `Pipeline` runs a recipe's
list. Where no batch is given the images are evaluation views.
"""

import torch
from torch import Tensor, nn

from topfive import streams
from topfive.loaders.batch import Batch


class PixelMap(nn.Module):
    """Linear: 0 becomes `background`, 255 `foreground` (LeCun et al. 1998, section II-B)."""

    def __init__(self, background: float, foreground: float):
        super().__init__()
        self.background, self.foreground = background, foreground

    def forward(self, x: Tensor, batch: Batch | None) -> Tensor:
        return x * ((self.foreground - self.background) / 255.0) + self.background


class MeanImage(nn.Module):
    """Subtracts the training set's mean image, (channels, height, width).

    follows_crop=True subtracts it before cropping, as He et al. 2015 do on CIFAR-10 (section 4.2) and
    Caffe on photographs: the mean, of the whole source or of the crop's whole frame, moves with the crop
    and its mirror, and padding is zero, which is the mean. False subtracts the
    central window whatever the crop, as AlexNet's code does. Evaluation views carry no offset and take
    the central window. stretch=True, for photographs: a view larger than the mean image, as in a test at
    320 pixels or of the whole image, has it stretched to its size, where False leaves zeros around it (no
    paper says).
    """

    mean: Tensor

    def __init__(self, mean: Tensor, follows_crop: bool = False, stretch: bool = False):
        super().__init__()
        self.follows_crop, self.stretch = follows_crop, stretch
        self.register_buffer("mean", mean)

    def forward(self, x: Tensor, batch: Batch | None) -> Tensor:
        height, width = x.shape[2:]
        if self.stretch and (height > self.mean.shape[1] or width > self.mean.shape[2]):
            return x - nn.functional.interpolate(self.mean[None], (height, width), mode="bilinear")
        if batch is None or not self.follows_crop:
            return x - self._center(height, width)
        moved = self._windows(batch.top, batch.left, width)
        return x - torch.where(batch.flip[:, None, None, None], moved.flip(3), moved)

    def _center(self, height: int, width: int) -> Tensor:
        """The central window, zero beyond the mean's edge: (channels, height, width)."""
        high, wide = self.mean.shape[1:]
        left, top = (wide - width) // 2, (high - height) // 2
        margins = (-left, left + width - wide, -top, top + height - high)
        return nn.functional.pad(self.mean, margins)

    def _windows(self, top: Tensor, left: Tensor, size: int) -> Tensor:
        """The windows at offsets (n,), zero beyond the mean's edge: (n, channels, size, size)."""
        height, width = self.mean.shape[1:]
        reach = size + max(height, width)
        padded = nn.functional.pad(self.mean, (reach, reach, reach, reach))
        windows = padded.unfold(1, size, 1).unfold(2, size, 1)
        return windows[:, top + reach, left + reach].transpose(0, 1)


class Standardize(nn.Module):
    """Subtracts a value per channel and divides by another: (channels,) each, on the scale 0..255.

    With deviations of 1 it is VGG's and Caffe's subtraction of the training set's mean RGB.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: list[float], deviation: list[float]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None])

    def forward(self, x: Tensor, batch: Batch | None) -> Tensor:
        return (x - self.mean) / self.deviation


class GlobalContrastNormalization(nn.Module):
    """Subtracts each image's own mean and brings it to the Euclidean norm `scale`.

    As pylearn2's script for maxout networks does on CIFAR, which Lin et al. 2013 and Springenberg et al.
    2014 follow: 55, so that a 3 x 32 x 32 image has a root mean square of 0.99. A constant image, whose
    norm is 0, stays 0.
    """

    def __init__(self, scale: float = 55.0):
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor, batch: Batch | None) -> Tensor:
        x = x - x.mean((1, 2, 3), keepdim=True)
        norm = x.square().sum((1, 2, 3), keepdim=True).sqrt()
        return x * (self.scale / torch.where(norm < 1e-8, 1.0, norm))


class PCAColor(nn.Module):
    """Adds to every pixel of an image a random multiple of each principal component of RGB values.

    Krizhevsky et al. 2012, section 4.1, with each multiple N(0, 0.1) times the component's standard
    deviation: the paper prints the eigenvalue, its code takes the root, and with pixels in 0..255 only
    the root makes sense. deviations: (3,), on the scale 0..255; components: (3, 3), one a row. divisor:
    the code divides the sum by 1.1, one more than the strength, lest training images outgrow test images.
    """

    deviations: Tensor
    components: Tensor

    def __init__(
        self,
        deviations: list[float],
        components: list[list[float]],
        seed: int,
        strength: float = 0.1,
        divisor: float = 1.0,
    ):
        super().__init__()
        self.seed, self.strength, self.divisor = seed, strength, divisor
        self.register_buffer("deviations", torch.tensor(deviations))
        self.register_buffer("components", torch.tensor(components))

    def forward(self, x: Tensor, batch: Batch | None) -> Tensor:
        if batch is None or not self.training:
            return x
        alpha = streams.normal(self.seed, "color", batch.epoch, batch.index, 3).to(x)
        multiples = alpha * self.strength * self.deviations
        # A sum of products, because mixed precision would round a matrix product.
        shift = (multiples[:, :, None] * self.components).sum(1)
        x = x + shift[:, :, None, None]
        return x if self.divisor == 1.0 else x / self.divisor


class PlanarDistortion(nn.Module):
    """A random planar affine map of every image that is a distorted copy; originals stay as they are.

    LeCun et al. 1998, section III-B: combinations of translation (horizontal and vertical), scaling,
    squeezing (compression along one axis and elongation along the other) and horizontal shearing. Each
    is uniform within +- its range: pixels for the translation, a logarithm for scaling and squeezing, the
    tangent of the angle for shearing. A copy is distorted alike in every epoch: the paper's set is fixed.
    """

    ranges: Tensor

    def __init__(
        self, seed: int, translation: float, scaling: float, squeezing: float, shearing: float
    ):
        super().__init__()
        self.seed = seed
        ranges = torch.tensor([translation, translation, scaling, squeezing, shearing])
        self.register_buffer("ranges", ranges, persistent=False)

    def forward(self, x: Tensor, batch: Batch | None) -> Tensor:
        if batch is None or not self.training:
            return x
        u = streams.uniform(self.seed, "distortion", batch.copy, batch.index, 5).to(x)
        right, down, scale, squeeze, shear = ((2 * u - 1) * self.ranges).unbind(1)
        # Output to input coordinates, which grid_sample counts from -1 to 1 over the image.
        wide, high = torch.exp(-scale - squeeze), torch.exp(-scale + squeeze)
        size = x.shape[-1]
        maps = torch.stack(
            [
                torch.stack([wide, -shear * wide, -2 * right / size], 1),
                torch.stack([torch.zeros_like(high), high, -2 * down / size], 1),
            ],
            1,
        )
        grid = nn.functional.affine_grid(maps, list(x.shape), align_corners=False)
        distorted = nn.functional.grid_sample(x, grid, align_corners=False)
        return torch.where(batch.copy[:, None, None, None] > 0, distorted, x)


class Until(nn.Module):
    """`transform` in the steps before `end`; training images of later ones pass as they are.

    For what happens in training alone, as color noise: evaluation views always pass through it.
    """

    def __init__(self, transform: nn.Module, end: int):
        super().__init__()
        self.transform, self.end, self.step = transform, end, 0

    def forward(self, x: Tensor, batch: Batch | None) -> Tensor:
        over = batch is not None and self.step >= self.end
        return x if over else self.transform(x, batch)


class Pipeline(nn.Module):
    """uint8 to the network's input, through each transform in turn, in the layout of memory it wants."""

    def __init__(
        self,
        transforms: list[nn.Module],
        memory_format: torch.memory_format = torch.contiguous_format,
    ):
        super().__init__()
        self.transforms, self.memory_format = nn.ModuleList(transforms), memory_format

    def set_step(self, step: int) -> None:
        """Tells the step of training to the transforms that end at one."""
        for transform in self.transforms:
            if isinstance(transform, Until):
                transform.step = step

    def forward(self, images: Tensor, batch: Batch | None, dtype: torch.dtype) -> Tensor:
        x = images.to(dtype, memory_format=self.memory_format)
        for transform in self.transforms:
            x = transform(x, batch)
        return x
