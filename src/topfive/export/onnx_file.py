"""An ONNX model."""

import logging
from collections.abc import Callable, Mapping
from importlib.util import find_spec

import torch
from torch import Tensor

from topfive.problems import Problem


def refuse_without_libraries() -> None:
    """Raises Problem where the extra is not installed."""
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise Problem(
            f"an .onnx file takes {' and '.join(missing)}, which the extra onnx installs: uv sync --extra onnx."
        )


def content(program: torch.export.ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """The file, with `metadata` as the model's metadata_props."""
    # What cannot be computed ahead, such as padding by less than nothing, is warned of and left as it is.
    logging.getLogger("onnxscript.optimizer._constant_folding").setLevel(logging.ERROR)
    exported = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=["images"],
        output_names=["scores"],
        dynamic_shapes={"images": {0: "batch"}} if program.range_constraints else None,  # a name
    )
    assert exported is not None
    exported.model.metadata_props.update(metadata)
    serialized: bytes = exported.model_proto.SerializeToString()
    return serialized


def reader(content: bytes) -> Callable[[Tensor], Tensor] | None:
    """What the file computes, as onnxruntime reads it; None where that is not installed."""
    if find_spec("onnxruntime") is None:
        return None
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(["scores"], {"images": images.numpy()})[0])
