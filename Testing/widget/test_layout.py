"""The panel as a person meets it: what is cut off, where Tab leads, what each control says of itself."""

from __future__ import annotations

import pytest
from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from Testing.bench.widgets import ctkCollapsibleButton, ctkSliderWidget, qMRMLNodeComboBox
from Testing.widget.actions import add_reference, compare, open_advanced, open_section, segment
from Testing.widget.stand_in import small_ct

BOXES = (QtWidgets.QPushButton, QtWidgets.QCheckBox, ctkCollapsibleButton)
CONTROLS = (*BOXES, QtWidgets.QComboBox, QtWidgets.QDoubleSpinBox, ctkSliderWidget, qMRMLNodeComboBox)
LARGER = 1.5


@pytest.fixture
def full_panel(application, quick_panel, stand_in, ct_node):
    """Everything open, with all that a result and a comparison can tell."""
    ui = quick_panel.ui
    for box in (ui.tumourCheckBox, ui.segmentsCheckBox, ui.vesselsCheckBox, ui.spleenCheckBox):
        application.click(box)
    stand_in.quality = 0.8
    stand_in.warnings = ("A liver of 3 ml is unusual (500 to 4000 ml expected); look at the result.",) * 2
    segment(application, quick_panel)
    segment(application, quick_panel)
    open_section(application, quick_panel.ui.resectionSection)
    application.choose(quick_panel.ui.hepatectomySelector, "Right posterior sectionectomy")
    quick_panel.ui.weightSpinBox.value = 70
    quick_panel.ui.heightSpinBox.value = 180
    open_section(application, quick_panel.ui.displaySection)
    compare(application, quick_panel, add_reference(application.scene, Liver=small_ct(seed=1)[1]))
    open_advanced(application, quick_panel)
    return quick_panel


@pytest.fixture
def larger_text(application):
    font = QtWidgets.QApplication.font()
    larger = QtGui.QFont(font)
    larger.setPointSizeF(LARGER * font.pointSizeF())
    QtWidgets.QApplication.setFont(larger)
    yield
    QtWidgets.QApplication.setFont(font)


def seen(panel, *kinds):
    found = [widget for widget in vars(panel.ui).values() if isinstance(widget, kinds) and widget.visible]
    return sorted(found, key=lambda widget: tuple(place(widget).toTuple()[::-1]))


def place(widget):
    return widget.mapToGlobal(QtCore.QPoint(0, 0))


@pytest.mark.parametrize("width", [400, 1920])
def test_no_text_is_cut_off(application, larger_text, full_panel, width):
    application._parent.resize(int(width), 2400)
    application.process_events()
    assert application._parent.width == width
    labels = seen(full_panel, QtWidgets.QLabel)
    needed = {label.name: label.heightForWidth(label.width) if label.wordWrap else 0 for label in labels}
    assert [label.name for label in labels if label.height < needed[label.name]] == []
    plain = [label for label in labels if not label.wordWrap] + seen(full_panel, *BOXES[:2])
    assert len(plain) > 20
    assert [widget.name for widget in plain if widget.width < widget.sizeHint().width()] == []


def test_tab_reaches_every_control_from_top_to_bottom(application, full_panel):
    expected = [widget for widget in seen(full_panel, *CONTROLS) if widget.enabled]
    application._parent.activateWindow()
    expected[0].setFocus()
    reached = []
    for _ in range(3 * len(expected)):
        focused = QtWidgets.QApplication.focusWidget()
        # A selector and a slider are made of several widgets.
        reached += [widget for widget in expected if widget is focused or widget.isAncestorOf(focused)][-1:]
        QtTest.QTest.keyClick(focused, QtCore.Qt.Key.Key_Tab)
    names = list(dict.fromkeys(widget.name for widget in reached if not isinstance(widget, ctkCollapsibleButton)))
    assert names == [widget.name for widget in expected if not isinstance(widget, ctkCollapsibleButton)]
    assert {widget.name for widget in expected} == {widget.name for widget in reached}


def test_every_control_says_what_it_does(full_panel):
    controls = [widget for widget in seen(full_panel, *CONTROLS) if not isinstance(widget, ctkCollapsibleButton)]
    assert len(controls) > 14
    assert [widget.name for widget in controls if not widget.toolTip] == []
