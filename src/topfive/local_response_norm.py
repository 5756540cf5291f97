"""Local response normalization (Krizhevsky et al. 2012, section 3.3)."""

from torch import Tensor, nn
from torch.nn import functional as F


class LocalResponseNorm(nn.Module):
    """b = a / (k + alpha / size * sum of a^2 over `size` adjacent maps) ^ beta.

    The printed formula has no division by `size`; the original code (and Caffe's, and torch's)
    divides, and it is the code that scored. `groups`: neighborhoods end at the borders of that many
    equal runs of maps, as they did at each GPU's half. Input and output: (batch, channels, height,
    width).
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        groups: int = 1,
    ):
        super().__init__()
        self.size, self.alpha, self.beta, self.k, self.groups = size, alpha, beta, k, groups

    def forward(self, x: Tensor) -> Tensor:
        runs = x.reshape(len(x) * self.groups, -1, *x.shape[2:])
        y = F.local_response_norm(runs, self.size, self.alpha, self.beta, self.k)
        return y.reshape(x.shape)

    def extra_repr(self) -> str:
        values = f"alpha={self.alpha}, beta={self.beta}, k={self.k}"
        return f"{self.size}, {values}, groups={self.groups}"
