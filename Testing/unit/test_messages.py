"""Every message that a user can meet is listed in one place, can be translated, and tells the next step."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from textwrap import dedent

import pytest

from LiverSegLib import errors
from LiverSegLib.batch import page

MODULE_FOLDER = Path(__file__).parents[2] / "LiverSeg"
MESSAGES_FILE = MODULE_FOLDER / "LiverSegLib" / "messages.py"
MODULE = [path for path in sorted(MODULE_FOLDER.rglob("*.py")) if path != MESSAGES_FILE]
LIBRARY = [path for path in MODULE if path.is_relative_to(MODULE_FOLDER / "LiverSegLib")]
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}

# Sentences that tell of no problem, so that nothing remains to be done.
STATEMENTS = {"CANCELLED", "RESEARCH_USE"}

# How a next step begins, in the imperative.
STEP = (
    "call|check|choose|click|close|convert|copy|correct|create|crop|draw|export|find|free|give|harden|install|load|look|mark|"
    "move|name|open|put|replace|restart|run|save|see|segment|smooth|stop|take|turn|update|use|wait"
)
NEXT_STEP = re.compile(rf"(?:^|[;:.?] )(?:please |(?:if|to|for) [^,;.]+, )?(?:{STEP})\b", re.IGNORECASE)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def texts_that_lupdate_finds(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Name and text of each ``NAME = _("text")``; lupdate reads the source, so only a plain text is found."""
    for statement in tree.body:
        match statement:
            case ast.Assign(
                targets=[ast.Name(name)],
                value=ast.Call(func=ast.Name("_"), args=[ast.Constant(str(text))], keywords=[]),
            ):
                yield name, text


MESSAGES = dict(texts_that_lupdate_finds(parsed(MESSAGES_FILE)))


def placeholders(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field is not None}


def without_placeholders(text: str) -> str:
    return "".join(literal for literal, *_ in Formatter().parse(text))


def is_sentence(text: str) -> bool:
    return text.endswith((".", "?"))


# ---- the list --------------------------------------------------------------------------------------------------------


def test_the_file_holds_nothing_but_texts_that_lupdate_finds() -> None:
    others = [
        ast.unparse(statement)
        for statement in parsed(MESSAGES_FILE).body[1:]  # after the docstring
        if not isinstance(statement, ast.ImportFrom) and not list(texts_that_lupdate_finds(ast.Module([statement], [])))
    ]
    assert others == []


def test_no_name_and_no_text_is_given_twice() -> None:
    found = list(texts_that_lupdate_finds(parsed(MESSAGES_FILE)))
    for column in zip(*found, strict=True):
        assert [entry for entry, count in Counter(column).items() if count > 1] == []


def test_no_message_has_a_stray_space_or_a_line_break() -> None:
    assert [text for text in MESSAGES.values() if not text or " ".join(text.split()) != text] == []


def test_what_is_as_long_as_a_sentence_ends_as_one() -> None:
    def is_long(text: str) -> bool:
        return len(re.findall(r"\w+", without_placeholders(text))) > 8 or ";" in text

    whole = [text for text in MESSAGES.values() if not text[0].islower()]
    assert [text for text in whole if is_long(text) and not is_sentence(text)] == []


# ---- the next step ---------------------------------------------------------------------------------------------------


def test_every_sentence_tells_the_next_step() -> None:
    sentences = [text for name, text in MESSAGES.items() if is_sentence(text) and name not in STATEMENTS]
    assert [text for text in sentences if not NEXT_STEP.search(text)] == []


def test_what_an_error_says_is_a_sentence_with_a_next_step() -> None:
    said = {name for path in MODULE for name in raised_messages(parsed(path))}
    assert len(said) > 40
    assert [name for name in said if name in MESSAGES and not is_sentence(MESSAGES[name])] == []


def raised_messages(tree: ast.AST) -> Iterator[str]:
    """Names in ``SomeError(messages.NAME)`` and ``SomeError(messages.NAME.format(...))``."""
    for call in error_calls(tree):
        match call.args:
            case [ast.Attribute(ast.Name("messages"), name)]:
                yield name
            case [ast.Call(func=ast.Attribute(ast.Attribute(ast.Name("messages"), name), "format"))]:
                yield name


def error_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
            yield node


# ---- the only place --------------------------------------------------------------------------------------------------


def literal_text(node: ast.AST) -> str:
    """The text of a string or an f-string, with {} for what is filled in; empty for anything else."""
    if isinstance(node, ast.JoinedStr):
        return "".join(literal_text(part) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def literal_texts(node: ast.AST) -> Iterator[str]:
    """All of them within a piece of code."""
    if text := literal_text(node):
        yield text
    else:
        for child in ast.iter_child_nodes(node):
            yield from literal_texts(child)


def texts_for_users(tree: ast.AST) -> Iterator[str]:
    """Literal texts that a user would meet: in an error of ours, as a stage of progress, or any sentence at all.

    Left out are docstrings, what programmers' mistakes raise (ValueError and the like), Slicer's log, and the command
    line's help.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.keyword) and node.arg in ("help", "description"):
            continue
        if isinstance(node, ast.Call) and _name(node.func) in ERRORS | {"progress", "_progress", "report", "_report"}:
            yield from filter(_has_letters, literal_texts(node))
        elif isinstance(node, ast.Call) and (_name(node.func).endswith("Error") or _is_logging(node)):
            continue
        elif isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):
            yield from filter(_has_letters, literal_texts(node.value))
        elif re.search(r"\w{2,} .*\w{2,}[)}]?[.?]$", literal_text(node)):
            yield literal_text(node)
        else:
            yield from texts_for_users(node)


def _name(function: ast.AST) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_logging(call: ast.Call) -> bool:
    return ast.unparse(call.func).startswith("logging.")


def _has_letters(text: str) -> bool:
    return bool(re.search(r"[^\W\d_]", text))


@pytest.mark.parametrize(
    "line",
    [
        'raise InputError(f"{path} is empty; copy it again.")',
        'raise InputError("broken")',
        "raise InputError(messages.NO_POSITION.format(missing='no space'))",
        'warnings.append(f"The slices are {mm} mm apart; look at them.")',
        'self._report(0.5, "Finding the liver")',
        'def steps():\n    yield 0.5, "Finding the liver"',
    ],
)
def test_no_text_for_users_escapes_these_tests(line: str) -> None:
    assert len(list(texts_for_users(ast.parse(line)))) == 1


def test_no_other_file_of_the_library_holds_a_text_for_users() -> None:
    assert [(path.name, text) for path in LIBRARY for text in texts_for_users(parsed(path))] == []


# ---- their use -------------------------------------------------------------------------------------------------------


def names_used(path: Path) -> set[str]:
    """NAME of every ``messages.NAME``."""
    return {
        node.attr
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "messages"
    }


def test_the_messages_that_are_used_are_those_that_are_listed() -> None:
    on_the_page = re.findall(r"\bmessages\.([A-Z_]+)", page.TEMPLATE.read_text(encoding="utf-8"))
    assert set(on_the_page).union(*map(names_used, MODULE)) == set(MESSAGES)


def test_placeholders_have_names_and_take_a_value() -> None:
    for text in MESSAGES.values():
        names = placeholders(text)
        assert all(name.isidentifier() for name in names), text
        assert not set("{}") & set(text.format(**dict.fromkeys(names, 1))), text


def test_messages_are_filled_in_with_just_what_they_ask_for() -> None:
    for node in (node for path in MODULE for node in ast.walk(parsed(path))):
        match node:
            case ast.Call(func=ast.Attribute(ast.Attribute(ast.Name("messages"), name), "format"), keywords=given):
                names = {keyword.arg for keyword in given if keyword.arg is not None}
                from_a_mapping = any(keyword.arg is None for keyword in given)
                assert node.args == [], name
                asked_for = placeholders(MESSAGES.get(name, ""))
                assert names <= asked_for if from_a_mapping else names == asked_for, name


# ---- translation -----------------------------------------------------------------------------------------------------

SHOUTING_SLICER = """
    import re, sys, types
    def tr(text):
        callers.add(sys._getframe(1).f_code.co_filename)
        return re.sub(r"[{][^}]*[}]|[^{]+", lambda part: part[0] if part[0].startswith("{") else part[0].upper(), text)
    callers = set()
    sys.modules["slicer"] = types.ModuleType("slicer")
    sys.modules["slicer.i18n"] = types.ModuleType("slicer.i18n")
    sys.modules["slicer.i18n"].tr = tr
    sys.modules["slicer.i18n"].translate = lambda context, text: f"{context}: {text}"
"""


def answer_of(script: str) -> object:
    """What a script, run in a fresh Python in the module's folder, leaves in ``answer``."""
    script = f"{script}\nimport json\nprint(json.dumps(answer))"
    command = [sys.executable, "-X", "utf8", "-c", script]
    finished = subprocess.run(
        command, cwd=MODULE_FOLDER, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


LISTED = "answer = {name: text for name, text in vars(messages).items() if name.isupper()}"


def shouted(text: str) -> str:
    return re.sub(r"(\{[^}]*\})|[^{]+", lambda part: part[1] or part[0].upper(), text)


def test_inside_slicer_every_message_is_in_the_users_language() -> None:
    found = answer_of(dedent(SHOUTING_SLICER) + "from LiverSegLib import messages\n" + LISTED)
    assert found == {name: shouted(text) for name, text in MESSAGES.items()}


def test_slicer_is_asked_by_the_file_that_lists_the_messages() -> None:
    """Slicer finds the translations by the file that calls tr, so no function of ours may stand between."""
    script = dedent(SHOUTING_SLICER) + "from LiverSegLib import messages\nanswer = sorted(callers)"
    assert answer_of(script) == [str(MESSAGES_FILE)]


def test_errors_and_warnings_are_in_the_users_language_too() -> None:
    script = dedent(SHOUTING_SLICER) + dedent("""
        import numpy
        from LiverSegLib.errors import Cancelled, InputError
        from LiverSegLib.inference.plausibility import check_result
        from LiverSegLib.data.volume import CTVolume
        try:
            CTVolume.from_array(numpy.zeros((2, 2)), numpy.eye(4), "scan")
        except InputError as error:
            answer = [str(error)]
        answer += [str(Cancelled()), *check_result(None, numpy.zeros((2, 2, 2)))]
    """)
    error, cancelled, warning = answer_of(script)
    assert error == "scan HAS 2 DIMENSIONS; GIVE ONE 3D CT VOLUME (ONE TIME POINT, NO COLOUR)."
    assert cancelled == "CANCELLED: NOTHING WAS CHANGED."
    assert warning.startswith("NO LIVER WAS FOUND; CHECK")


def test_texts_of_other_files_are_translated_in_their_context() -> None:
    script = dedent(SHOUTING_SLICER) + "from LiverSegLib import i18n\nanswer = i18n.translate('Volumes', 'Volume')"
    assert answer_of(script) == "Volumes: Volume"


def test_outside_slicer_messages_stay_as_they_are_and_slicer_is_not_imported() -> None:
    script = f"import sys\nfrom LiverSegLib import messages\n{LISTED}\nassert 'slicer' not in sys.modules"
    assert answer_of(script) == MESSAGES
