import os
import random
import resource
import signal

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from topfive.checkpoint_files import newest_first, newest_whole
from topfive.checkpoints import Checkpoint, DurableCheckpointIO, content, read
from topfive.problems import Problem
from topfive.session import Interrupted


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "last.ckpt"
    DurableCheckpointIO().save_checkpoint({"step": 1, "weights": torch.ones(10)}, path)
    return path


@pytest.fixture
def full_disk():
    """No file grows beyond 100 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_checkpoint_replaces_the_one_before(checkpoint):
    DurableCheckpointIO().save_checkpoint({"step": 2}, checkpoint)
    assert torch.load(checkpoint, weights_only=True) == {"step": 2}
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_a_full_disk_leaves_the_old_checkpoint_byte_for_byte(checkpoint, full_disk):
    before = checkpoint.read_bytes()
    with pytest.raises(Problem, match=r"could not be written .*File too large.* resume=auto"):
        DurableCheckpointIO().save_checkpoint({"weights": torch.randn(200_000)}, checkpoint)
    assert checkpoint.read_bytes() == before
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_a_place_that_cannot_be_written_is_a_problem(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match=r"Not a directory|File exists"):
        DurableCheckpointIO().save_checkpoint({"step": 2}, tmp_path / "file" / "last.ckpt")


def test_a_save_that_is_broken_off_leaves_the_old_checkpoint(checkpoint, monkeypatch):
    def break_off(content, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", break_off)
    with pytest.raises(KeyboardInterrupt):
        DurableCheckpointIO().save_checkpoint({"step": 2}, checkpoint)
    monkeypatch.undo()
    assert torch.load(checkpoint, weights_only=True)["step"] == 1
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_what_a_kill_left_behind_is_written_over(checkpoint):
    names = []

    class Killed(BaseException):
        pass

    def die(source, target):
        names.append(source)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(Killed):
            DurableCheckpointIO().save_checkpoint({"step": 2}, checkpoint)
    names[0].write_bytes(b"half")  # as a kill leaves it, which runs no finally
    DurableCheckpointIO().save_checkpoint({"step": 3}, checkpoint)
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


@pytest.fixture
def three(tmp_path):
    """The newest of three checkpoints, of steps 5, 4 and 3; those of 1 and 2 made room."""
    path = tmp_path / "last.ckpt"
    for step in range(1, 6):
        weights = torch.full((1000,), float(step))
        DurableCheckpointIO(3).save_checkpoint({"step": step, "weights": weights}, path)
    return path


def test_the_last_three_are_kept_newest_first(three):
    names = ["last.ckpt", "last-1.ckpt", "last-2.ckpt"]
    assert [file.name for file in newest_first(three)] == names
    steps = [torch.load(three.with_name(name), weights_only=True)["step"] for name in names]
    assert steps == [5, 4, 3]
    assert sorted(file.name for file in three.parent.iterdir()) == sorted(names)


def test_fewer_are_kept_when_fewer_are_asked_for(three):
    DurableCheckpointIO(2).save_checkpoint({"step": 6}, three)
    steps = [torch.load(file, weights_only=True)["step"] for file in newest_first(three)]
    assert steps == [6, 5]


def test_after_ten_saves_the_tenth_before_is_no_rank_one(tmp_path):
    path = tmp_path / "last.ckpt"
    for step in range(12):
        DurableCheckpointIO(12).save_checkpoint({"step": step}, path)
    found = [torch.load(file, weights_only=True)["step"] for file in newest_first(path)]
    assert found == list(range(11, -1, -1))


def flip(file, position):
    content = bytearray(file.read_bytes())
    content[position] ^= 4
    file.write_bytes(bytes(content))


def test_a_flipped_bit_in_a_weight_is_seen_where_torch_loads_a_wrong_number(three):
    # 5.0 as little-endian float32, well within the thousand of them
    flip(three, three.read_bytes().index(torch.full((9,), 5.0).numpy().tobytes()) + 16)
    assert torch.load(three, weights_only=True)["weights"].unique().numel() == 2
    with pytest.raises(
        Problem, match=r"last.ckpt is damaged .*checksum of .*/data/0 differs.*: mend"
    ):
        read(three, "weights", "mend")
    with pytest.raises(Problem, match=r"checksum .* resume=FILE"):
        DurableCheckpointIO().load_checkpoint(three)


def test_no_flipped_bit_anywhere_changes_what_is_read(checkpoint):
    whole = checkpoint.read_bytes()
    generator = random.Random(0)
    refused = 0
    for position in generator.sample(range(len(whole)), 300):
        flip(checkpoint, position)
        os.utime(checkpoint, ns=(position, position))  # several writes within one tick of the clock
        try:
            found = content(checkpoint, "", wanted="step")
        except Problem:
            refused += 1
        else:
            assert found["step"] == 1
            assert torch.equal(found["weights"], torch.ones(10))
        checkpoint.write_bytes(whole)
    assert refused > 30  # the rest is padding and what nobody reads


@pytest.mark.parametrize("length", [0, 1, 100, 0.5, 0.99])
def test_a_damaged_newest_one_falls_back_to_the_one_before_and_says_so(three, length):
    whole = three.read_bytes()
    three.write_bytes(whole[: length if isinstance(length, int) else int(length * len(whole))])
    said = []
    found = newest_whole(three, said.append)
    assert read(found, "step", "") == 4
    assert len(said) == 1
    assert "last.ckpt is damaged" in said[0]


def test_one_that_a_kill_took_between_two_renames_is_not_missed(three):
    three.unlink()
    said = []
    assert read(newest_whole(three, said.append), "step", "") == 4
    assert said == []


def test_where_none_is_whole_there_is_none(three):
    for file in newest_first(three):
        file.write_bytes(b"PK")
    said = []
    assert newest_whole(three, said.append) is None
    assert len(said) == 3


class Batches:
    """Eight batches of four; a run that resumes starts at batch `first`."""

    def __init__(self, first):
        self.first = first

    def __len__(self):
        return 8

    def __iter__(self):
        generator = torch.Generator().manual_seed(0)
        batches = torch.randn(8, 4, 3, dtype=torch.float64, generator=generator)
        yield from batches[self.first :]

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Net(pl.LightningModule):
    """Halves its rate after every third step, as a schedule that has listened does."""

    def __init__(self, during=lambda step: None):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)).double()
        self.rate, self.during = 0.5, during
        self.trained, self.validated = [], []

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5, momentum=0.9)

    def on_train_batch_start(self, batch, batch_idx):
        self.trainer.optimizers[0].param_groups[0]["lr"] = self.rate

    def training_step(self, batch, batch_idx):
        self.trained.append(self.global_step)
        self.during(self.global_step)
        return self.net(batch).square().mean()

    def validation_step(self, batch, batch_idx):
        self.validated.append(self.global_step)

    def on_train_batch_end(self, *_):
        if self.global_step % 3 == 0:
            self.rate /= 2

    def on_save_checkpoint(self, checkpoint):
        checkpoint["rate"] = self.rate

    def on_load_checkpoint(self, checkpoint):
        self.rate = checkpoint["rate"]


def fit(path, net, every=None, accumulate=1, resume=False):
    first = torch.load(path, weights_only=True)["global_step"] if resume else 0
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        max_steps=8 // accumulate,
        accumulate_grad_batches=accumulate,
        val_check_interval=2 * accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Checkpoint(path, 10, every)],
        plugins=[DurableCheckpointIO()],
    )
    batches, validation = Batches(first * accumulate), [torch.zeros(1)]
    checkpoint = path if resume else None
    trainer.fit(net, batches, validation, ckpt_path=checkpoint, weights_only=True)
    return net


def stop_at(step, number):
    waiting = [step]

    def during(now):
        if now in waiting:
            waiting.remove(now)
            os.kill(os.getpid(), number)

    return during


def saved_step(path):
    return torch.load(path, weights_only=True)["global_step"]


@pytest.mark.parametrize(
    ("step", "accumulate"), [(0, 1), (1, 1), (2, 1), (3, 1), (6, 1), (0, 2), (1, 2), (2, 2)]
)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, step, accumulate):
    whole = fit(tmp_path / "whole.ckpt", Net(), accumulate=accumulate)
    path = tmp_path / "last.ckpt"
    stopped = Net(stop_at(step, signal.SIGTERM))
    with pytest.raises(Interrupted):
        fit(path, stopped, accumulate=accumulate)
    assert saved_step(path) == step + 1  # the step that was being computed is finished
    resumed = fit(path, Net(), accumulate=accumulate, resume=True)
    assert stopped.trained + resumed.trained == whole.trained
    assert (
        stopped.validated + resumed.validated
        == whole.validated
        == [2, 4, 6, 8][: 8 // accumulate // 2]
    )
    assert resumed.rate == whole.rate
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_once_its_step_is_saved_and_the_old_handlers_are_back(tmp_path, number):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=number.name):
        fit(tmp_path / "last.ckpt", Net(stop_at(4, number)))
    assert saved_step(tmp_path / "last.ckpt") == 5
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_stops_at_once_without_a_checkpoint(tmp_path):
    def twice(step):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="SIGINT"):
        fit(tmp_path / "last.ckpt", Net(twice))
    assert not (tmp_path / "last.ckpt").exists()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_sigterm_does_not_cost_the_checkpoint(tmp_path):
    def twice(step):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted, match="SIGTERM"):
        fit(tmp_path / "last.ckpt", Net(twice))
    assert saved_step(tmp_path / "last.ckpt") == 1


def saves(monkeypatch):
    steps = []
    save = DurableCheckpointIO.save_checkpoint

    def note(self, checkpoint, path, storage_options=None):
        steps.append(checkpoint["global_step"])
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(DurableCheckpointIO, "save_checkpoint", note)
    return steps


def test_a_checkpoint_is_saved_every_so_many_steps_and_at_the_end(tmp_path, monkeypatch):
    steps = saves(monkeypatch)
    before = signal.getsignal(signal.SIGINT)
    fit(tmp_path / "last.ckpt", Net(), every=3)
    assert steps == [3, 6, 8]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_checkpoint_is_saved_between_steps_where_gradients_accumulate(tmp_path, monkeypatch):
    steps = saves(monkeypatch)
    fit(tmp_path / "last.ckpt", Net(), every=1, accumulate=2)
    assert steps == [1, 2, 3, 4]


def test_a_checkpoint_is_saved_when_its_minutes_are_over(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("topfive.checkpoints.time.monotonic", lambda: now[0])
    steps = saves(monkeypatch)

    def four_minutes(step):
        now[0] += 4 * 60

    fit(tmp_path / "last.ckpt", Net(four_minutes))
    assert steps == [3, 6, 8]  # after 12 and 24 of every 10 minutes, and at the end


def test_a_run_that_ended_resumes_with_nothing_left_to_do(tmp_path):
    path = tmp_path / "last.ckpt"
    whole = fit(path, Net())
    again = fit(path, Net(), resume=True)
    assert again.trained == []
    for ours, theirs in zip(again.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)
