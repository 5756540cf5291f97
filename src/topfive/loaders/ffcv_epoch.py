"""FFCV's loader without the faults that would reach a training: what is replaced, and why.

Of FFCV 1.0.2 are used the file format, its reader and memory manager, the loader's class and the thread
that works ahead, with its CUDA streams. Its numba compiler and its random numbers are not: a batch is
made by one call of native code (topfive.loaders.native_views), with crops that are addressed.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread, current_thread
from typing import Any

import numba
import numpy as np
import torch

from topfive.loaders.batch import Batch

# Importing FFCV starts numba's threads; TBB's, taken where a machine has it, would never end in a process that forks.
vars(numba.config)["THREADING_LAYER"] = "workqueue"
_threads = torch.get_num_threads()
from ffcv.loader import Loader as FFCVLoader  # noqa: E402
from ffcv.loader.epoch_iterator import IS_CUDA, EpochIterator  # noqa: E402
from ffcv.memory_managers.os_cache import OSCacheContext, OSCacheManager  # noqa: E402
from ffcv.reader import Reader  # noqa: E402

torch.set_num_threads(_threads)  # importing FFCV sets it to 1 for the whole process

AHEAD = 3  # batches that wait, FFCV's own number
POLL = 0.1  # seconds between looks at whether the consumer has gone

Make = Callable[[Any, np.ndarray], Batch]  # from what a round is, and the file's bytes


class PagelessManager(OSCacheManager):  # type: ignore[misc]  # FFCV has no types
    """Without FFCV's maps between samples and pages, which a memory map never asks: 704 MB for ImageNet."""

    def __init__(self, reader: Reader):
        self.reader = reader
        order = np.argsort(reader.alloc_table["ptr"])
        self.ptrs, self.sizes = reader.alloc_table["ptr"][order], reader.alloc_table["size"][order]
        self.context = OSCacheContext(self)


def _stream() -> torch.cuda.Stream | None:
    return torch.cuda.Stream() if IS_CUDA else None  # type: ignore[no-untyped-call]


class Loader(FFCVLoader):  # type: ignore[misc]
    """Batches of a .beton, one for every item of `rounds`, made ahead by a thread.

    Every batch has memory of its own (FFCV's are views into a ring that is written again), an exception
    on the way is raised where the batch is asked for (FFCV's thread dies and the loop waits for ever),
    and leaving early ends the thread (FFCV's waits on with its buffers). torch's threads stay as they are.
    """

    def __init__(self, path: Path, rounds: Iterable[Any], make: Make):
        self.reader = Reader(str(path))
        self.memory_manager = PagelessManager(self.reader)
        self.rounds, self.batches_ahead = rounds, AHEAD

        def stage(batch_indices: Any, storage_state: Any, **_: Any) -> tuple[Batch]:
            return (make(batch_indices, storage_state[0]),)

        # What FFCV's compiler would have written: stages, each with the numbers of its results.
        self.code = [(stage, [0])], [0]

    def __iter__(self) -> Iterator[Batch]:
        epoch = Epoch(self)
        try:
            for (batch,) in epoch:
                yield batch
        finally:
            epoch.close()


class Epoch(EpochIterator):  # type: ignore[misc]
    """FFCV's thread, which ends when it is told to and hands on what went wrong."""

    def __init__(self, loader: Loader):
        Thread.__init__(self, daemon=True, name="ffcv")
        self.loader, self.metadata = loader, loader.reader.metadata
        self.closed = False
        self.output_queue: Queue[Any] = Queue(AHEAD)
        self.terminate_event = Event()
        self.memory_context = loader.memory_manager.schedule_epoch(())
        self.memory_context.__enter__()
        self.storage_state = self.memory_context.state
        self.current_stream = torch.cuda.current_stream() if IS_CUDA else None
        self.cuda_streams = [_stream() for _ in range(AHEAD + 2)]
        self.memory_allocations: dict[str, dict[int, Any]] = {"operation": {}, "shared": {}}
        self.start()

    def run(self) -> None:
        last: Any = None
        try:
            for number, round_ in enumerate(self.loader.rounds):
                slot = number % len(self.cuda_streams)
                if not self._put((slot, self.run_pipeline(number, round_, slot, None))):
                    return
        except BaseException as error:
            last = (0, error)
        self._put(last)

    def _put(self, item: Any) -> bool:
        """Whether it is in the queue; not once the consumer has gone."""
        while not self.terminate_event.is_set():
            try:
                self.output_queue.put(item, timeout=POLL)
                return True
            except Full:
                pass
        return False

    def __next__(self) -> tuple[Batch]:
        result: Any = super().__next__()
        if isinstance(result, BaseException):
            self.close()
            raise result
        if IS_CUDA:
            # The memory was taken on the side stream: it must not be given anew before this one is done.
            for tensor in result[0]:
                tensor.record_stream(self.current_stream)
        made: tuple[Batch] = result
        return made

    def close(self) -> None:
        """Ends the thread and waits for it; what was made ahead is dropped."""
        self.terminate_event.set()
        if self.is_alive() and current_thread() is not self:
            self.join()
        while not self.closed:
            try:
                self.output_queue.get_nowait()
            except Empty:
                self.closed = True
                self.memory_context.__exit__(None, None, None)
