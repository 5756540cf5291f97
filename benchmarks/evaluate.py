"""A test of many views against the plain way: one view at a time, the file read and decoded for each.

    OMP_NUM_THREADS=1 python benchmarks/evaluate.py --images FOLDER --models alexnet,resnet50
    python benchmarks/evaluate.py --images FOLDER --memory

FOLDER holds JPEGs. Both ways alternate on the same images, round by round, and each ratio is taken within its round;
medians are reported, and the range of the ratios. The engine's setting up is not counted, its decoding is. --memory
measures the most memory that the whole image at shorter side 640 takes, in a process of its own for each network.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from PIL import Image

from topfive import initializers
from topfive.architecture import architecture
from topfive.batch_transforms import Pipeline, Standardize
from topfive.config import compose
from topfive.datasets import Photographs
from topfive.evaluation import counting
from topfive.evaluation.averages import Averages, class_maps, headed, over_space
from topfive.evaluation.counting import Split
from topfive.loaders.datamodule import LoaderSettings
from topfive.loaders.views import resized
from topfive.protocols import Dense, Protocol
from topfive.quiet import quiet_lightning
from topfive.trained import Trained

CLASSES = 1000
PROTOCOLS = "one_crop,ten_crop,crops144,crops150,dense_256,dense_256_384_512,dense_multiscale"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, help="a folder of JPEGs")
    parser.add_argument("--models", default="alexnet,vgg16,resnet50")
    parser.add_argument("--protocols", default=PROTOCOLS)
    parser.add_argument("--count", type=int, default=8, help="images (default 8)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--batch", type=int, default=16, help="views of 224 pixels at once (16)")
    parser.add_argument("--workers", type=int, default=0, help="processes that decode (0)")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of time")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def network(model: str) -> Trained:
    config = compose([f"model={model}"])
    torch.manual_seed(0)
    net = architecture(config, CLASSES)
    initializers.he_normal(net)
    pipeline = Pipeline([Standardize([123.7, 116.8, 103.9], [58.0, 57.0, 57.0])])
    return Trained(name=model, net=net.eval(), pipeline=pipeline, config=config)


class Watch(pl.Callback):
    """Seconds from the first image to the last answer."""

    def on_predict_epoch_start(self, *_: Any) -> None:
        self.began = time.perf_counter()

    def on_predict_epoch_end(self, *_: Any) -> None:
        self.spent = time.perf_counter() - self.began


def engine(trained: Trained, images: Photographs, protocol: Protocol, asked: Any) -> float:
    watch = Watch()
    trainer = pl.Trainer(
        logger=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[watch]
    )
    names = [str(k) for k in range(CLASSES)]
    split = Split(images, images.labels, names, "folder", "val")
    settings = LoaderSettings("torch", asked.workers, asked.batch)
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        where = (trainer, settings, Path(folder))
        counting.counts(trained, split, [protocol], Averages(), *where, {})
    return watch.spent


@torch.inference_mode()
def plainly(trained: Trained, images: Photographs, protocol: Protocol) -> float:
    device = next(trained.net.parameters()).device
    began = time.perf_counter()
    for file in images.files:
        with Image.open(images.root / file) as opened:
            height, width = opened.height, opened.width
        total = torch.zeros(CLASSES, device=device)
        for view, weight in protocol.weighted(height, width):
            with Image.open(images.root / file) as opened:
                image = opened.convert("RGB")
            # The view alone is resized, not the whole image.
            part = resized(image, view.box(height, width), view.size, "triangle")
            batch = torch.from_numpy(np.asarray(part).transpose(2, 0, 1).copy())[None].to(device)
            batch = batch.flip(3) if view.flip else batch
            with headed(trained.net, protocol.head):
                maps = class_maps(trained.net, trained.pipeline(batch, None, torch.float32))
            total += weight * over_space(maps, "logits")[1][0]
        total.topk(5).indices.tolist()
    return time.perf_counter() - began


def compared(asked: Any, images: Photographs) -> list[dict[str, Any]]:
    rows = []
    for model in asked.models.split(","):
        trained = network(model)
        for name in asked.protocols.split(","):
            config = compose([f"model={model}", f"protocol={name}"])
            protocol = instantiate(config["protocol"], _convert_="all")
            few = images.take(np.arange(max(1, asked.count // (1 + protocol.views // 20))))
            ours, plain = [], []
            for _ in range(asked.rounds):
                ours.append(engine(trained, few, protocol, asked))
                plain.append(plainly(trained, few, protocol))
            ratios = [p / o for p, o in zip(plain, ours, strict=True)]
            rows.append(
                {
                    "model": model,
                    "protocol": name,
                    "images": len(few),
                    "ours": len(few) / statistics.median(ours),
                    "plain": len(few) / statistics.median(plain),
                    "ratio": statistics.median(ratios),
                    "from": min(ratios),
                    "to": max(ratios),
                }
            )
            if not asked.json:
                print(told(rows[-1]), flush=True)
    return rows


def told(row: dict[str, Any]) -> str:
    return (
        f"{row['model']:9} {row['protocol']:18} {row['images']:3} images  {row['ours']:8.3g} against "
        f"{row['plain']:8.3g} images/s: {row['ratio']:.2f} ({row['from']:.2f} to {row['to']:.2f})"
    )


def memory(asked: Any, images: Photographs) -> None:
    """In this process: the most memory of two photographs at 640, above that of the network alone."""
    (model,) = asked.models.split(",")
    trained = network(model)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    engine(trained, images.take(np.arange(2)), Dense((640,)), asked)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"model": model, "network_mb": before / 1024, "most_mb": most / 1024}))


def main() -> None:
    asked = arguments()
    quiet_lightning()
    files = sorted(str(p.relative_to(asked.images)) for p in asked.images.rglob("*.JPEG"))
    images = Photographs(asked.images, files, np.zeros(len(files), np.int64))
    if not asked.memory:
        rows = compared(asked, images)
        if asked.json:
            print(json.dumps(rows))
    elif "," not in asked.models:
        memory(asked, images)
    else:
        for model in asked.models.split(","):
            command = [sys.executable, __file__, "--images", str(asked.images), "--memory"]
            more = ["--models", model, "--batch", str(asked.batch)]
            subprocess.run([*command, *more], check=True)


if __name__ == "__main__":
    main()
