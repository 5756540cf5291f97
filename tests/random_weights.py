"""Networks to be compared with another implementation, to ten digits."""

import torch
from measure import on_meta
from torch import nn


def drawn(kind, *arguments, **options):
    """In float64, with weights and statistics under which neither the signal nor a bias gets lost."""
    torch.manual_seed(0)
    net = on_meta(kind, *arguments, **options).to_empty(device="cpu").double()
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = (6 / module.weight[0].numel()) ** 0.5
            nn.init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.zeros_(module.num_batches_tracked)
    return net


def close(ours, expected):
    assert expected.std() > 1e-3
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-10)
