"""Views in batches of one shape through the network, their scores added up image by image."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from topfive.evaluation.averages import Averages, class_maps, headed, over_space
from topfive.evaluation.plan import Plan
from topfive.evaluation.waiting import Kind, Queues, Waiting
from topfive.problems import Diverged
from topfive.protocols import Protocol
from topfive.trained import Trained

# Numbers of m images; what ranks their classes, and the probabilities: (m, protocols, classes) each
Answer = Callable[[list[int], Tensor, Tensor], None]


class Scoring:
    """Hands over to `answer` every image that has seen its last view.

    batch_pixels: pixels of the views that go through the network at once. Classes are ranked by logits where a
    protocol averages those or shows one view, which a softmax may round to a tie, and else by probabilities.
    Raises Diverged where a score is not finite.
    """

    def __init__(
        self,
        trained: Trained,
        protocols: Sequence[Protocol],
        averages: Averages,
        batch_pixels: int,
        answer: Answer,
    ):
        parameter = next(trained.net.parameters())
        self.trained, self.averages, self.answer = trained, averages, answer
        self.device, self.dtype = parameter.device, parameter.dtype
        of_logits = [p.views == 1 or averages.views == "logits" for p in protocols]
        self.of_logits = torch.tensor(of_logits, device=self.device)[:, None]
        self.queues = Queues(batch_pixels)
        self.open: dict[int, tuple[int, int]] = {}  # slot to (image, views still to come)
        self.free: list[int] = []
        self.sums = torch.empty(0)  # (slots, protocols, classes)

    def take(self, image: int, plan: Plan, sources: Sequence[Tensor]) -> None:
        """Queues the views of an image; `sources` are those of its plan, uint8 (channels, height, width)."""
        pixels = [source.to(self.device, non_blocking=True) for source in sources]
        slot = self.free.pop() if self.free else len(self.open)
        self.open[slot] = (image, len(plan.shown))
        for shown, weights in zip(plan.shown, plan.weights, strict=True):
            height, width = shown.size
            rows = slice(shown.top, shown.top + height)
            part = pixels[shown.source][:, rows, shown.left : shown.left + width]
            view = Waiting(part, shown.flip, slot, weights)
            self.queues.add(Kind(shown.size, shown.head), view)

    def run(self, kind: Kind) -> None:
        """One batch of what waits."""
        views = self.queues.take(kind)
        images = torch.stack([view.pixels for view in views])
        flips = torch.tensor([view.flip for view in views], device=self.device)
        images = torch.where(flips[:, None, None, None], images.flip(3), images)
        net, pipeline = self.trained.net, self.trained.pipeline
        with headed(net, kind.head):
            maps = class_maps(net, pipeline(images, None, self.dtype))
        logits, probabilities = over_space(maps, self.averages.space)
        if not probabilities.isfinite().all():
            raise Diverged(
                f"the scores of {self.trained.name} are not finite: its training diverged. Name another run or "
                f"other weights."
            )
        values = torch.where(self.of_logits, logits[:, None], probabilities[:, None])
        self._add([view.slot for view in views], torch.stack([v.weights for v in views]), values)

    def _add(self, slots: list[int], weights: Tensor, values: Tensor) -> None:
        if max(self.open) >= len(self.sums):
            more = values.new_zeros(max(self.open) + 1, *values.shape[1:])
            self.sums = torch.cat((self.sums, more)) if len(self.sums) else more
        weights = weights.to(values)[:, :, None]
        # A view that a protocol does not show has weight 0, which the logarithm of 0 would turn into no number.
        parts = torch.where(weights > 0, weights * values, 0)
        self.sums.index_add_(0, torch.tensor(slots, device=self.device), parts)
        for slot in slots:
            image, left = self.open[slot]
            self.open[slot] = (image, left - 1)
        finished = [slot for slot in dict.fromkeys(slots) if self.open[slot][1] == 0]
        if finished:
            self._close(finished)

    def _close(self, slots: list[int]) -> None:
        where = torch.tensor(slots, device=self.device)
        sums = self.sums[where]
        self.sums[where] = 0
        images = [self.open.pop(slot)[0] for slot in slots]
        self.free += slots
        self.answer(images, sums, torch.where(self.of_logits, sums.softmax(2), sums))
