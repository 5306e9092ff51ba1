"""What the module's code never does, whoever calls it: run code from data, start a shell, reach the network."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = sorted((ROOT / "LiverSeg").rglob("*.py"))
CODE = MODULE + sorted((ROOT / "Training").rglob("*.py"))

# Whoever takes objects out of bytes with one of these runs what the bytes say.
PICKLES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle", "yaml"}
NETWORK = {
    *("socket", "socketserver", "ssl", "select", "asyncio", "http", "urllib", "ftplib", "smtplib", "poplib", "imaplib"),
    *("telnetlib", "xmlrpc", "webbrowser", "requests", "urllib3", "httpx", "aiohttp", "websockets", "paramiko"),
    *("huggingface_hub", "boto3"),
}
RUN_CODE = {"eval", "exec", "compile", "__import__", "execfile"}
SHELLS = {
    "system",
    "popen",
    "spawnl",
    "spawnv",
    "spawnlp",
    "spawnvp",
    "execl",
    "execv",
    "execlp",
    "execvp",
    "startfile",
}
STARTS_PROCESSES = {"run", "call", "check_call", "check_output", "Popen", "getoutput", "getstatusoutput"}
LOADS_OBJECTS = {"load", "loads"}

# Each with its reason; SECURITY.md tells of them.
ALLOWED = {
    # Which code a network was trained with. The words are our own.
    ("loop.py", "subprocess.run"),
}
# The workers of one's own cluster, asked for with --scheduler, in the only files that may know of them.
CLUSTER_FILES = {"cluster.py", "cluster_ledger.py", "cluster_session.py", "cluster_worker.py"}
CLUSTER_PACKAGES = {"distributed", "dask", "asyncio"}


def deeds(tree: ast.AST) -> Iterator[str]:
    """What a file does that needs a reason."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if not getattr(node, "level", 0):
                yield from (
                    f"import {name}"
                    for name in names
                    if name.partition(".")[0] in PICKLES | NETWORK | {"distributed", "dask", "ctypes", "runpy", "code"}
                )
        elif isinstance(node, ast.Call):
            yield from _deeds_of_call(node)


def _deeds_of_call(call: ast.Call) -> Iterator[str]:
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if any(name in keywords and not _is(keywords[name], False) for name in ("shell", "allow_pickle", "trust_repo")):
        yield ast.unparse(call)
    if isinstance(call.func, ast.Name) and call.func.id in RUN_CODE:
        yield call.func.id
    if not isinstance(call.func, ast.Attribute):
        return
    owner, name = ast.unparse(call.func.value), call.func.attr
    if (owner == "os" and name in SHELLS) or (owner == "subprocess" and name in STARTS_PROCESSES):
        yield f"{owner}.{name}"
    # fit resumes a run of one's own and export takes one, which hold settings beside weights: no code either.
    only_weights = owner == "torch" and _is(keywords.get("weights_only"), True)
    if owner in ("torch", "torch.jit", "torch.hub", "torch.package") and name in LOADS_OBJECTS and not only_weights:
        yield ast.unparse(call)


def _is(node: ast.AST | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_no_file_does_anything_dangerous_without_a_reason_and_every_reason_is_needed() -> None:
    done = {(path.name, deed) for path in CODE for deed in deeds(ast.parse(path.read_text(encoding="utf-8")))}
    of_clusters = re.compile(rf"import ({'|'.join(CLUSTER_PACKAGES)})\b")
    assert {(name, deed) for name, deed in done if not (name in CLUSTER_FILES and of_clusters.match(deed))} == ALLOWED


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "def later():\n    import socket",
        "import urllib.request",
        "eval('1')",
        "exec(text)",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "run(command, shell=shell)",
        "subprocess.Popen(['ls'])",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.hub.load('a', 'b')",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_no_dangerous_line_escapes_these_tests(line: str) -> None:
    assert list(deeds(ast.parse(line)))


def test_pip_runs_through_slicer_alone_and_nowhere_but_in_the_installer() -> None:
    """The user is asked first; see Testing/widget/test_install.py."""
    naming_pip = {path.name for path in MODULE if "pip_install" in path.read_text(encoding="utf-8")}
    assert naming_pip == {"install.py"}
