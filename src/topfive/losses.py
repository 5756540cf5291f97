"""What training minimizes, from scores (N, classes), the larger the better, and targets.

Targets are classes, (N), or shares of classes, (N, classes), as mixed images have them. A class of -1
marks a sample that could not be read: it counts neither in the sum nor in the mean, and a batch of
nothing else has loss 0 and gradient 0. Of shares, a row's sum is the weight of its sample.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CrossEntropy(nn.Module):
    """Softmax cross-entropy in nats, the mean over the labelled samples.

    smoothing: the part of every target that is spread evenly over all classes, its own included
    (Szegedy et al., arXiv:1512.00567).
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        if targets.ndim == 1:
            total = F.cross_entropy(
                scores,
                targets,
                ignore_index=-1,
                reduction="sum",
                label_smoothing=self.smoothing,
            )
            return total / (targets >= 0).sum().clamp(min=1)
        weights = targets.sum(1, keepdim=True)
        shares = (1 - self.smoothing) * targets + self.smoothing / scores.shape[1] * weights
        total = -(shares * F.log_softmax(scores, 1)).sum()
        return total / at_least_one_part(weights.sum())


class Auxiliary(nn.Module):
    """The criterion `of`, cross-entropy by default, plus `weight` times that of every auxiliary head.

    Szegedy et al. 2014, section 5: 0.3. A network with such heads gives (scores, first head, ...) in
    training and the scores alone otherwise, as does every network without. Each head's loss is a mean
    over the batch, as in Caffe.
    """

    def __init__(self, weight: float = 0.3, of: nn.Module | None = None) -> None:
        super().__init__()
        self.weight = weight
        self.of = CrossEntropy() if of is None else of

    def forward(self, scores: Tensor | tuple[Tensor, ...], targets: Tensor) -> Tensor:
        if isinstance(scores, Tensor):
            alone: Tensor = self.of(scores, targets)
            return alone
        main, *heads = (self.of(one, targets) for one in scores)
        total: Tensor = main + self.weight * torch.stack(heads).sum()
        return total


def at_least_one_part(weight: Tensor) -> Tensor:
    """`weight`, which sums the shares of a batch, or 1 where all of them are 0."""
    return torch.where(weight > 0, weight, torch.ones_like(weight))


class LeNetLoss(nn.Module, ABC):
    """A criterion on LeNet-5's outputs y = -scores, the squared distances of F6 from the codes.

    Beside the mean over the labelled samples a criterion gives, for training sample by sample, its
    value, its slope and its curvature. The value and curvature of unlabelled samples (-1) are 0.
    """

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        return self.per_sample(scores, targets).sum() / (targets >= 0).sum().clamp(min=1)

    @abstractmethod
    def per_sample(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The loss of each sample, shape (N,)."""

    @abstractmethod
    def slope(self, scores: Tensor, wanted: Tensor) -> Tensor:
        """The derivative of each labelled sample's loss by its scores, shape (N, classes).

        `wanted` is `membership(scores, targets)`: training sample by sample wants it made once.
        """

    @abstractmethod
    def curvature(self, features: Tensor, codes: Tensor, targets: Tensor) -> Tensor:
        """The exact second derivative of each sample's loss by each state of F6, shape (N, 84)."""


class LeNetMSE(LeNetLoss):
    """Eq. 8 (§II-C): E = y_c, the squared distance of F6 from the code of the correct class."""

    def per_sample(self, scores: Tensor, targets: Tensor) -> Tensor:
        return -(scores * membership(scores, targets)).sum(1)

    def slope(self, scores: Tensor, wanted: Tensor) -> Tensor:
        return -wanted

    def curvature(self, features: Tensor, codes: Tensor, targets: Tensor) -> Tensor:
        """y_c = sum_k (x_k - w_ck)^2, so 2 for every state."""
        return torch.full_like(features, 2) * labelled(features, targets)


class LeNetMAP(LeNetLoss):
    """Eq. 9 (§II-C): E = y_c + log(e^-j + sum_i e^-y_i), which also pushes the other classes away.

    j > 0 bounds that push; the paper does not print its value. E is the cross-entropy of a softmax
    over the classes and a "rubbish" class at the constant distance j.
    """

    def __init__(self, j: float = 0.1) -> None:
        super().__init__()
        self.j = j

    def per_sample(self, scores: Tensor, targets: Tensor) -> Tensor:
        competition = torch.logsumexp(F.pad(scores, (0, 1), value=-self.j), 1)
        own = (scores * membership(scores, targets)).sum(1)
        return (competition - own) * labelled(scores, targets)[:, 0]

    def slope(self, scores: Tensor, wanted: Tensor) -> Tensor:
        return self.posterior(scores)[:, :-1] - wanted

    def posterior(self, scores: Tensor) -> Tensor:
        """p_i = e^-y_i / (e^-j + sum e^-y), shape (N, classes + 1), rubbish last."""
        return torch.softmax(F.pad(scores, (0, 1), value=-self.j), 1)

    def curvature(self, features: Tensor, codes: Tensor, targets: Tensor) -> Tensor:
        """2 p_0 + 4 Var(d_k), where rubbish has probability p_0, and so never negative.

        Let d_ik = x_k - w_ik be the difference of state k from code i: y_i' = 2 d_ik and y_i'' = 2.
        The logarithm of a sum of exponentials e^-y has the second derivative Var(y') - mean(y'')
        under its own softmax p, in which rubbish takes part with y' = y'' = 0. So
        E'' = y_c'' + Var(2 d_k) - 2 (1 - p_0) = 2 p_0 + 4 Var(d_k), with d_0k = 0.
        """
        differences = features[:, None] - codes  # N x classes x 84
        p = self.posterior(-differences.square().sum(2))[:, :, None]
        d = F.pad(differences, (0, 0, 0, 1))  # the row of zeros is rubbish's
        mean = (p * d).sum(1, keepdim=True)
        variance = (p * (d - mean).square()).sum(1)
        return (2 * p[:, -1] + 4 * variance) * labelled(features, targets)


def labelled(values: Tensor, targets: Tensor) -> Tensor:
    """1 for a labelled sample and 0 for an unlabelled one, shape (N, 1)."""
    return (targets >= 0).to(values.dtype)[:, None]


def membership(scores: Tensor, targets: Tensor) -> Tensor:
    """1 at each sample's target and 0 elsewhere (all 0 if unlabelled), shape (N, classes)."""
    classes = torch.arange(scores.shape[1], device=scores.device)
    return (targets[:, None] == classes).to(scores.dtype)
