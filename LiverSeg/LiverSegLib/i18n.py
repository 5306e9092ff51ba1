"""Slicer's own translation where Slicer runs; anywhere else every text stays as it is written.

Slicer's ``tr`` tells the context of a text by the file that calls it (``LiverSegLib.messages``, say), so it is passed
on as it is, not wrapped. Slicer is never imported for this: either it runs this file, or nothing is to be translated.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


def _as_written(text: str) -> str:
    return text


def _as_written_there(context: str, text: str) -> str:
    return text


# tr(text) and, for texts that another file has translated already, translate(context, text).
tr: Callable[[str], str] = _as_written
translate: Callable[[str, str], str] = _as_written_there

if "slicer" in sys.modules:
    try:
        from slicer.i18n import tr as _slicers_tr
        from slicer.i18n import translate as _slicers_translate
    except ModuleNotFoundError:
        pass  # slicer-core: Slicer without the application, which has no translations
    else:
        tr, translate = _slicers_tr, _slicers_translate
