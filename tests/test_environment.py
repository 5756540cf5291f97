"""The lock, pyproject.toml and environment.yml name the same versions; no address, no data."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()
# Python 3.11 on the usual Linux machine, which is what environment.yml is for
LINUX = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.9",
    "python_version": "3.11",
    "sys_platform": "linux",
}


def locked() -> list[Requirement]:
    lines = [line for line in LOCK.splitlines() if line and line[0] not in " #"]
    return [Requirement(line.removesuffix(" \\")) for line in lines]


def conda_part() -> list[str]:
    return [entry for entry in ENVIRONMENT["dependencies"] if isinstance(entry, str)]


def pip_part() -> list[str]:
    (section,) = [entry["pip"] for entry in ENVIRONMENT["dependencies"] if isinstance(entry, dict)]
    return section


def test_every_line_of_the_lock_is_an_exact_version_with_a_hash():
    blocks = re.split(r"\n(?=[^ #])", LOCK.split("\n", 2)[2])
    assert len(blocks) == len(locked()) > 100
    for block in blocks:
        assert re.match(r"[a-z0-9.-]+==[a-z0-9.]+[ \\]", block), block.splitlines()[0]
        assert "--hash=sha256:" in block, block.splitlines()[0]


def test_the_constraints_of_uv_are_the_lock():
    constraints = [Requirement(text) for text in PYPROJECT["tool"]["uv"]["constraint-dependencies"]]
    assert set(map(str, constraints)) == set(map(str, locked())), "run .ci/lock"


def test_source_packages_are_built_with_the_setuptools_of_the_lock():
    build = PYPROJECT["tool"]["uv"]["build-constraint-dependencies"]
    assert build == [str(r) for r in locked() if r.name == "setuptools"]


def test_conda_installs_the_lock_and_topfive():
    applies = [r for r in locked() if r.marker is None or r.marker.evaluate(LINUX)]
    expected = {f"{r.name}{r.specifier}" for r in applies}
    # conda's opencv provides this one too, without the RECORD that pip needs to replace it
    assert any(entry.startswith("opencv>=4.10,<5") for entry in conda_part())
    (opencv,) = [pin for pin in expected if pin.startswith("opencv-python-headless==4.")]
    assert sorted(pip_part()) == sorted({*expected, "-e .", "./src/jpeg_tiles"} - {opencv}), (
        "run .ci/lock"
    )


def test_conda_brings_what_ffcv_is_built_with():
    names = {re.split(r"[<>=]", entry)[0] for entry in conda_part()}
    assert {"python", "pip", "compilers", "opencv", "libjpeg-turbo", "pkg-config"} == names
    assert "python=3.11" in conda_part()


def test_our_own_packages_lie_in_the_checkout_and_are_pinned_like_the_rest():
    hatchling = PYPROJECT["build-system"]["requires"]
    (setuptools,) = PYPROJECT["tool"]["uv"]["build-constraint-dependencies"]
    for name, source in PYPROJECT["tool"]["uv"]["sources"].items():
        package = tomllib.loads((ROOT / source["path"] / "pyproject.toml").read_text())
        assert package["project"]["name"] == name
        assert package["build-system"]["requires"] in (hatchling, [setuptools])
        assert package["project"]["requires-python"] == ">=3.11"


def test_every_package_that_pyproject_names_is_in_the_lock():
    project = PYPROJECT["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    groups += PYPROJECT["dependency-groups"].values()
    versions: dict[str, list[Version]] = {}
    for pin in locked():
        (exact,) = pin.specifier
        versions.setdefault(pin.name, []).append(Version(exact.version))
    ours = PYPROJECT["tool"]["uv"]["sources"]
    for requirement in (Requirement(text) for group in groups for text in group):
        if requirement.name in ours:
            continue
        found = versions.get(canonicalize_name(requirement.name), [])
        assert found, f"{requirement.name} is not in the lock: run .ci/lock --keep"
        assert all(version in requirement.specifier for version in found), requirement


@pytest.mark.parametrize("malicious", ["2.6.2", "2.6.3"])
def test_the_malicious_uploads_of_pytorch_lightning_are_refused(malicious):
    asked = map(Requirement, PYPROJECT["project"]["dependencies"])
    (lightning,) = [r for r in asked if r.name == "pytorch-lightning"]
    assert malicious not in lightning.specifier  # GHSA-w37p-236h-pfx3
    assert "2.6.4" in lightning.specifier


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml", "environment.yml"])
def test_no_address_or_path_is_written_down(name):
    text = (ROOT / name).read_text()
    assert not re.findall(r"https?:|file:|(?:index-url|find-links)\b| @ |[ \"']/\w+", text)


@pytest.mark.parametrize(
    ("path", "kept_out"),
    [
        ("data/imagenet/train/n01440764/n01440764_10026.JPEG", True),
        ("data/imagenet/train.beton", True),
        ("data/imagenet/train/README.md", True),
        ("data/MNIST/raw/train-images-idx3-ubyte", True),
        ("data/cifar/batches.meta", True),
        ("data/loose.tar", True),
        ("data/README.md", False),
        ("data/imagenet/README.md", False),
        ("data/imagenet/prepare.py", False),
        ("src/topfive/datasets/imagenet.py", False),
        ("src/topfive/published/resnet.yaml", False),
        ("uv.lock", True),
        ("requirements.lock", False),
        ("outputs/resnet50/resnet/2026-01-01/metrics.csv", True),
    ],
)
def test_git_keeps_out_the_bytes_and_keeps_in_the_scripts(path, kept_out):
    # --no-index: what the rules say of a path, whether or not it is tracked already
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    asked = subprocess.run(["git", "check-ignore", "-q", "--no-index", path], cwd=ROOT, check=False)
    assert asked.returncode == (0 if kept_out else 1)
