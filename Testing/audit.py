"""Which of the packages of the tests are known to be vulnerable: ``make audit``, which asks PyPI with pip-audit.

A package with a known vulnerability fails it. So does a package that PyPI says nothing of, unless ``--where-possible``
is given: continuous integration also runs where PyPI cannot be asked, and says so there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = [ROOT / "Testing" / name for name in ("requirements.lock", "requirements-torch.lock")]


def main(argv: list[str] | None = None) -> int:
    """Exit code 0 if no package is known to be vulnerable, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--where-possible", action="store_true", help="pass over packages that PyPI says nothing of")
    options = parser.parse_args(argv)
    found, trouble = ask_pypi()
    print(verdict(found, trouble))
    unknown = trouble or any("skip_reason" in package for package in found)
    return int(bool(vulnerable(found) or (unknown and not options.where_possible)))


def ask_pypi() -> tuple[list[dict[str, Any]], str]:
    """What pip-audit found of each package, and why it found nothing of any."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--format", "json"]
    command += ["--progress-spinner", "off", *(f"--requirement={path}" for path in LOCKS)]
    answer = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    try:
        return json.loads(answer.stdout)["dependencies"], ""
    except json.JSONDecodeError:
        return [], (answer.stderr.strip() or f"pip-audit ended with {answer.returncode}").splitlines()[-1]


def vulnerable(found: list[dict[str, Any]]) -> list[str]:
    """A line for each known vulnerability."""
    return [
        f"{package['name']} {package['version']}: {flaw['id']}, mended in {' or '.join(flaw['fix_versions']) or 'none'}"
        for package in found
        for flaw in package.get("vulns", ())
    ]


def verdict(found: list[dict[str, Any]], trouble: str) -> str:
    """What was found, for people."""
    if trouble:
        return f"No package was audited: {trouble}"
    unknown = sum("skip_reason" in package for package in found)
    flaws = vulnerable(found)
    counts = (
        f"{len(found) - unknown} packages audited, {unknown} of which PyPI says nothing, {len(flaws)} vulnerabilities"
    )
    return "\n".join([counts, *flaws])


if __name__ == "__main__":
    sys.exit(main())
