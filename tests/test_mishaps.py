"""What befalls a run from outside is told in a line, and nothing else is taken for it."""

import errno
import os

import pytest
from torch.utils.data import DataLoader, Dataset

from topfive.mishaps import mishaps
from topfive.problems import Problem


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_with_the_file_and_the_remedy(number):
    with (
        pytest.raises(Problem, match=r"takes no more at a/b \(.+\): free some space.*resume=auto"),
        mishaps(),
    ):
        raise OSError(number, os.strerror(number), "a/b")


def fail_for_a_full_disk():
    try:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise RuntimeError("the file could not be closed") from error


def test_a_full_disk_is_found_behind_what_was_raised_for_it():
    with pytest.raises(Problem, match="No space left on device"), mishaps():
        fail_for_a_full_disk()


class Fatal(Dataset):
    """Its worker is gone, or stumbles, when image 0 is asked for."""

    def __init__(self, killed):
        self.killed = killed

    def __len__(self):
        return 1

    def __getitem__(self, index):
        if self.killed:
            os._exit(9)
        raise RuntimeError("a mistake in the code")


def read(killed):
    return list(DataLoader(Fatal(killed), num_workers=1))


def test_a_worker_that_is_gone_is_told_with_the_remedy():
    with pytest.raises(Problem, match=r"DataLoader worker \(pid.* fewer loader.workers"), mishaps():
        read(killed=True)


def test_a_mistake_in_a_worker_is_not_hidden():
    with pytest.raises(RuntimeError, match="a mistake in the code"), mishaps():
        read(killed=False)


@pytest.mark.parametrize(
    "said",
    [
        "[gloo/transport/tcp/pair.cc:545] Read error [127.0.0.1]:39651: Connection reset by peer.",
        "[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:3956",
        "[gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 1800000ms for recv operation",
        "NCCL communicator was aborted on rank 1.",
    ],
)
def test_a_lost_rank_is_told(said):
    with pytest.raises(Problem, match=r"a process that trains with this one was lost"), mishaps():
        raise RuntimeError(said)


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(errno.ENOENT, "no such file"), RuntimeError("shapes differ"), KeyError(1)],
)
def test_what_is_no_mishap_stays_what_it_is(error):
    with pytest.raises(type(error)), mishaps():
        raise error
