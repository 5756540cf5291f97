"""Builds the extension: a C compiler, pkg-config and libturbojpeg's headers are all it asks for."""

import shlex
import subprocess
from glob import glob

from setuptools import Extension, setup

REMEDY = (
    "libturbojpeg's headers are missing: apt-get install libturbojpeg0-dev pkg-config, or "
    "conda install -c conda-forge libjpeg-turbo pkg-config, or brew install jpeg-turbo pkg-config."
)


def flags(what: str) -> list[str]:
    try:
        found = subprocess.run(
            ["pkg-config", what, "libturbojpeg"], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(REMEDY) from error
    return shlex.split(found.stdout)


setup(
    ext_modules=[
        Extension(
            "jpeg_tiles._native",
            sorted(glob("native/*.c")),
            depends=glob("native/*.h"),
            # No contraction to fused multiply-add: the same pixels on every machine. Hidden, or a function of
            # ours could be taken for one of the C library (splice was).
            extra_compile_args=[
                "-std=gnu11",
                "-O3",
                "-ffp-contract=off",
                "-fvisibility=hidden",
                *flags("--cflags"),
            ],
            extra_link_args=[*flags("--libs"), "-lpthread", "-lm"],
        )
    ]
)
