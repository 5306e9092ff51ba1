"""Every setting is an option; those that do not fit together are refused before a run begins."""

from __future__ import annotations

import shlex
from dataclasses import asdict

import pytest

from LiverSegLib.model.liver_model import LiverModel
from Training.settings import Settings, command_of, parse_settings


def test_every_option_reaches_the_settings_and_the_command_repeats_them() -> None:
    words = (
        "--held-out btcv_* ircad_e01 --classes neighbours.json --base-width 24 --depth 4 --patch 1 "
        "--outline-weight 5.0 --missing-neighbours 0.2 --offsets-mm -4 0 4 --spacing-mm 1.25 --lesion-hu -90 30 "
        "--workers 3 --seed 7"
    )
    settings = parse_settings(words.split())
    changed = {name for name, value in asdict(settings).items() if value != asdict(Settings())[name]}
    assert changed == {word[2:].replace("-", "_") for word in words.split() if word.startswith("--")}
    assert parse_settings(shlex.split(command_of(settings))[3:]) == settings


def test_nobody_is_held_back_when_none_is_named() -> None:
    assert parse_settings(["--held-out"]).held_out == ()


def test_the_defaults_build_the_bundled_network() -> None:
    settings, card = Settings(), LiverModel.load().card
    assert (settings.widths, settings.patch, settings.offsets_mm) == (card.widths, card.patch, card.offsets_mm)


@pytest.mark.parametrize(
    "words",
    ["--depth 1", "--depth 7", "--size 30", "--size 320", "--offsets-mm 3 6", "--classes nothing.json", "--patch 3"],
)
def test_settings_that_do_not_fit_together_are_refused(words: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse_settings(words.split())
    assert exit_.value.code == 2
    assert "error: " in capsys.readouterr().err
