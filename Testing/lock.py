"""Write the lists of packages with digests that ``make test`` installs: ``make lock``, after a change of pyproject.toml
or of requirements.txt.

uv resolves the extra ``test`` under the pins of requirements.txt, for all platforms and for Python 3.11 to 3.13, and
takes the digests of all files that the index offers of each package; what the readers of DICOM SEG need, in a list of
its own, for they need older packages. PyTorch stands in lists of its own: as PyPI has
it, on Linux with the CUDA libraries, which are large; and in its build for the CPU, of which PyPI knows nothing. The
wheels of that are looked for in the folders of PIP_FIND_LINKS, and digests that the old list has of the same version
are kept.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "Testing" / "requirements.lock"
READERS_LOCK = ROOT / "Testing" / "requirements-readers.lock"
TORCH_LOCK = ROOT / "Testing" / "requirements-torch.lock"
TORCH_CPU_LOCK = ROOT / "Testing" / "requirements-torch-cpu.lock"
WITH_TORCH = re.compile(r"(torch==|triton==|nvidia-|cuda-)")
HEADER = "# Written by `make lock`.\n"
DIGEST = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


def main() -> None:
    """Write the lists."""
    entries = resolved("pyproject.toml", "--extra", "test", "--constraint", "Testing/requirements.txt")
    readers = resolved("Testing/requirements-readers.txt")
    torch_and_cuda = [entry for entry in entries if WITH_TORCH.match(entry)]
    others = [entry for entry in entries if entry not in torch_and_cuda]
    version = next(entry.split()[0] for entry in entries if entry.startswith("torch==")) + "+cpu"
    cpu_build = " \\\n".join([version, *(f"    --hash={digest}" for digest in sorted(cpu_digests(version)))]) + "\n"
    for path, content in (
        (LOCK, others),
        (READERS_LOCK, readers),
        (TORCH_LOCK, torch_and_cuda),
        (TORCH_CPU_LOCK, [cpu_build]),
    ):
        path.write_text(HEADER + "".join(content), encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {len(content)} packages")


def resolved(*wanted: str) -> list[str]:
    """uv's answer: for each package its pinned version, where it is needed, and the digests of its files."""
    command = [sys.executable, "-m", "uv", "pip", "compile", *wanted, "--quiet"]
    command += ["--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-emit-package", "liverseg", "--no-header", "--no-annotate", "--upgrade"]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return re.findall(r"^\S+==.*(?:\n    --hash.*)+\n", text, flags=re.MULTILINE)


def cpu_digests(version: str) -> set[str]:
    """Digests of the wheels of a version that lie on this computer, and of those that the old list has."""
    folders = [Path(folder) for folder in os.environ.get("PIP_FIND_LINKS", "").split() if "://" not in folder]
    wheels = [wheel for folder in folders for wheel in folder.glob(f"{version.replace('==', '-')}-*.whl")]
    old = TORCH_CPU_LOCK.read_text(encoding="utf-8") if TORCH_CPU_LOCK.exists() else ""
    kept = set(DIGEST.findall(old)) if f"{version} " in old else set()
    return kept | {f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}" for wheel in wheels}


if __name__ == "__main__":
    main()
