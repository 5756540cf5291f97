import copy

import pytest
import torch
from torch import nn

from topfive.optimizers import CaffeSGD

MOMENTUM, DECAY = 0.9, 0.0005  # Krizhevsky et al. 2012, section 5
RATES = [0.01] * 5 + [0.001] * 5 + [0.1] * 4 + [0.0] * 2 + [0.02, 0.03, 0.04, 0.05]


def start():
    torch.manual_seed(0)
    return [torch.randn(4, 3, dtype=torch.float64), torch.randn(5, dtype=torch.float64)]


def gradient(w, step):
    """Of a bumpy function, so that it depends on where the weights are."""
    return torch.sin(3 * w + step) + 0.1 * w


def by_hand(rates, decays=(DECAY, DECAY)):
    """Caffe: V <- m V + lr (dL/dW + decay W); W <- W - V."""
    weights = start()
    velocities = [torch.zeros_like(w) for w in weights]
    trace = []
    for step, lr in enumerate(rates):
        for k, decay in enumerate(decays):
            g = gradient(weights[k], step)
            velocities[k] = MOMENTUM * velocities[k] + lr * (g + decay * weights[k])
            weights[k] = weights[k] - velocities[k]
        trace.append([w.clone() for w in weights])
    return trace


def advance(parameters, optimizer, rates, first=0):
    trace = []
    for step, lr in enumerate(rates, first):
        for group in optimizer.param_groups:
            group["lr"] = lr
        for p in parameters:
            p.grad = gradient(p.detach(), step)
        optimizer.step()
        trace.append([p.detach().clone() for p in parameters])
    return trace


def ours(parameters):
    return CaffeSGD(parameters, lr=RATES[0], momentum=MOMENTUM, weight_decay=DECAY)


def assert_same(trace, expected):
    torch.testing.assert_close(trace, expected, rtol=1e-12, atol=1e-12)


def test_twenty_steps_under_changing_rates_are_those_of_the_written_rule():
    parameters = [nn.Parameter(w) for w in start()]
    assert len(RATES) == 20
    assert_same(advance(parameters, ours(parameters), RATES), by_hand(RATES))


def test_each_group_has_its_own_decay():
    parameters = [nn.Parameter(w) for w in start()]
    groups = [
        {"params": parameters[:1], "weight_decay": 0.1},
        {"params": parameters[1:], "weight_decay": 0.0},
    ]
    optimizer = CaffeSGD(groups, lr=0.01, momentum=MOMENTUM)
    assert_same(advance(parameters, optimizer, RATES), by_hand(RATES, (0.1, 0.0)))


def torchs(parameters):
    return torch.optim.SGD(parameters, lr=RATES[0], momentum=MOMENTUM, weight_decay=DECAY)


def both(rates):
    nets = [[nn.Parameter(w) for w in start()] for _ in range(2)]
    return [advance(net, make(net), rates) for net, make in zip(nets, (ours, torchs), strict=True)]


def test_a_constant_rate_gives_the_steps_of_torchs_sgd():
    assert_same(*both([0.05] * 20))


def test_a_lower_rate_leaves_the_velocity_at_its_old_scale_where_torch_rescales_it():
    caffe, torchs_trace = both([0.1] * 5 + [0.001])
    assert_same(caffe[:5], torchs_trace[:5])
    moved = [(trace[5][0] - trace[4][0]).abs().mean() for trace in (caffe, torchs_trace)]
    assert moved[0] > 20 * moved[1]


def test_at_rate_0_the_weights_coast_nine_times_their_last_step_and_torchs_stand():
    caffe, torchs_trace = both([0.1] * 3 + [0.0] * 400)
    last = [(trace[2][0] - trace[1][0]) for trace in (caffe, torchs_trace)]
    # 0.9 + 0.9^2 + ... = 9
    torch.testing.assert_close(caffe[-1][0], caffe[2][0] + 9 * last[0], rtol=1e-9, atol=1e-9)
    assert torch.equal(torchs_trace[-1][0], torchs_trace[2][0])


@pytest.mark.parametrize("cut", [4, 5, 6, 14, 16])
def test_a_checkpoint_at_a_change_of_the_rate_changes_nothing(cut):
    parameters = [nn.Parameter(w) for w in start()]
    optimizer = ours(parameters)
    first = advance(parameters, optimizer, RATES[:cut])
    state = copy.deepcopy(optimizer.state_dict())

    again = [nn.Parameter(p.detach().clone()) for p in parameters]
    resumed = CaffeSGD(again, lr=123.0, momentum=0.0)
    resumed.load_state_dict(state)
    second = advance(again, resumed, RATES[cut:], cut)
    torch.testing.assert_close(first + second, by_hand(RATES), rtol=1e-12, atol=1e-12)


def test_a_parameter_without_a_gradient_stays_where_it_is():
    moving, still = (nn.Parameter(w) for w in start())
    optimizer = ours([moving, still])
    moving.grad = torch.ones_like(moving)
    optimizer.step()
    assert torch.equal(still, start()[1])
    assert not torch.equal(moving, start()[0])


def test_a_closure_is_called_once_before_the_update_and_its_loss_returned():
    parameter = nn.Parameter(torch.tensor([2.0]))
    optimizer = CaffeSGD([parameter], lr=0.25, momentum=0.9)
    calls = []

    def closure():
        optimizer.zero_grad()
        loss = parameter.square().sum()
        loss.backward()
        calls.append(parameter.item())
        return loss

    assert optimizer.step(closure).item() == 4
    assert calls == [2.0]
    assert parameter.item() == 2 - 0.25 * 4
