"""A bounded part of tests/fuzz_tiles.py, which is run at length under the sanitizers."""

import pytest

pytest.importorskip("jpeg_tiles", reason="needs the extra ffcv")
from fuzz_tiles import fuzz


@pytest.mark.ffcv
def test_spoilt_files_end_as_errors_or_as_pillows_pixels():
    found = fuzz(3000, seed=1)
    assert found["pixels as Pillow's"] > 300
    assert sum(count for what, count in found.items() if "damaged" in what) > 300
    assert found["entry"] == 300
