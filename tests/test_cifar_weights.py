"""Option-A ResNets of other repositories: their names, their zero channels and their normalization."""

import pytest
import torch
from random_weights import drawn
from torch import nn
from torch.nn import functional as F

from topfive.foreign import load
from topfive.problems import Problem


class Elsewhere(nn.Module):
    """Section 4.2 (He et al. 2015) with n blocks a stage, under the names that most repositories give.

    Not trained, and not theirs: written for this test, with torch's functions in the order of the paper.
    """

    def __init__(self, n=3, classes=10, projections=None, last="linear"):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        width = 16
        for stage, maps in ((1, 16), (2, 32), (3, 64)):
            blocks = nn.ModuleList()
            for k in range(n):
                block = nn.Module()
                stride = 2 if stage > 1 and k == 0 else 1
                block.conv1 = nn.Conv2d(width, maps, 3, stride, 1, bias=False)
                block.conv2 = nn.Conv2d(maps, maps, 3, padding=1, bias=False)
                block.bn1, block.bn2 = nn.BatchNorm2d(maps), nn.BatchNorm2d(maps)
                if projections and stride == 2:
                    way = nn.Sequential(
                        nn.Conv2d(width, maps, 1, 2, bias=False), nn.BatchNorm2d(maps)
                    )
                    block.add_module(projections, way)
                blocks.append(block)
                width = maps
            self.add_module(f"layer{stage}", blocks)
        self.add_module(last, nn.Linear(64, classes))
        self.projections, self.last, self.ahead = projections, last, 0.5

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for block in (*self.layer1, *self.layer2, *self.layer3):
            y = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
            if y.shape != x.shape:
                x = getattr(block, self.projections)(x) if self.projections else self.added(x)
            x = F.relu(x + y)
        return getattr(self, self.last)(x.mean((2, 3)))

    def added(self, x):
        """Every second pixel, with as many zero channels as there are: a share of them ahead."""
        small = x[:, :, ::2, ::2]
        zeros = torch.zeros_like(small)
        ahead = int(self.ahead * small.shape[1])
        return torch.cat([zeros[:, :ahead], small, zeros[:, ahead:]], 1)


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


def made(**options):
    return drawn(Elsewhere, **options).float().eval()


def scores(net, images, mean, deviation):
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (mean, deviation))
    with torch.no_grad():
        return net((images / 255 - mean) / deviation)


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)


def close(trained, images, expected):
    with torch.no_grad():
        found = trained.scores(images)
    assert expected.std(0).min() > 0
    assert (found - expected).abs().max() < 1e-5 * expected.std()


def test_a_parallel_wrapped_checkpoint_scores_as_where_it_comes_from(images, tmp_path):
    net, file = made(), tmp_path / "resnet20.th"
    state = {f"module.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": state, "best_prec1": torch.tensor(91.7)}, file)
    trained = load(f"cifar:{file}", None)
    close(trained, images, scores(net, images, *IMAGENET))
    assert trained.classes[0] == "airplane"
    assert trained.classes[9] == "truck"
    chosen = [trained.config["choices"][group] for group in ("model", "data", "protocol")]
    assert chosen == ["resnet20", "cifar10", "one_view"]
    assert (trained.name, trained.origin) == ("resnet20", "cifar:resnet20.th")
    assert trained.departures == (
        "weights=cifar:resnet20.th (paper: trained as recipe=resnet_cifar says)",
        "model.added_channels=around (paper: after)",
        "mean=[123.675, 116.28, 103.53] (paper: the mean image)",
        "deviation=[58.395, 57.12, 57.375] (paper: none)",
    )


def test_appended_zeros_and_cifars_colors_are_chosen_by_name(images, tmp_path):
    net, file = made(n=1), tmp_path / "net.pth"
    torch.save(net.state_dict(), file)
    net.ahead = 0
    expected = scores(net, images, *CIFAR)
    for order in ("cifar10:after", "after:cifar10"):
        trained = load(f"cifar:{file}:{order}", "resnet20")
        close(trained, images, expected)
    assert not any("added_channels" in line for line in trained.departures)
    assert "model.depth=8 (paper: 20)" in trained.departures
    around = load(f"cifar:{file}:cifar10", None).scores(images)
    assert (around - expected).abs().max() > 0.1 * expected.std()


@pytest.mark.parametrize(("projections", "last"), [("downsample", "fc"), ("shortcut", "linear")])
def test_projections_are_option_b(projections, last, images, tmp_path):
    net, file = made(n=5, projections=projections, last=last), tmp_path / "net.pth"
    torch.save(net.state_dict(), file)
    trained = load(f"cifar:{file}", None)
    close(trained, images, scores(net, images, *IMAGENET))
    assert trained.config["choices"]["model"] == "resnet32"
    assert "model.shortcut=B (paper: A)" in trained.departures


@pytest.mark.parametrize(
    ("options", "model", "said", "message"),
    [
        ({"classes": 100}, None, "", "has 100 outputs, and CIFAR-10 has 10 classes"),
        ({}, "resnet56", "", "is model=resnet20, not model=resnet56: leave model out"),
        ({}, None, ":mnist", "at most one of imagenet, cifar10 and one of around, after"),
        ({}, None, ":after:around", "at most one of imagenet, cifar10 and one of around, after"),
    ],
)
def test_what_does_not_fit_is_refused(options, model, said, message, tmp_path):
    torch.save(made(**options).state_dict(), tmp_path / "net.pth")
    with pytest.raises(Problem, match=message):
        load(f"cifar:{tmp_path / 'net.pth'}{said}", model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("layer3.2.bn2.bias"), r"it lacks conv4_x\.2\.bn2\.bias"),
        (
            lambda s: s.update({"layer2.0.conv3.weight": torch.ones(1)}),
            r"has conv3_x\.0\.conv3\.weight",
        ),
        (
            lambda s: s.update({"conv1.weight": torch.ones(64, 3, 3, 3)}),
            r"conv1\.weight of \(64, 3, 3, 3\), expected \(16, 3, 3, 3\)",
        ),
        (lambda s: s.pop("linear.bias"), "is no CIFAR ResNet: expected names such as layer1"),
    ],
)
def test_a_state_of_another_network_is_refused_by_name(change, message, tmp_path):
    state = made().state_dict()
    change(state)
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(Problem, match=message):
        load(f"cifar:{tmp_path / 'net.pth'}", None)
