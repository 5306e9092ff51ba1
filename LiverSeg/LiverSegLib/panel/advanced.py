"""The panel's advanced choices: CT or MR, the devices that run a kernel here, whether there are frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import messages, mrml
from ..data.modality import CHOICES


class AdvancedSection:
    """Offers only what works on this computer and with this volume.

    ``parameters`` is the module's parameter node, or None while there is none. ``find_devices`` is called with a
    function that takes their names, whenever the section is open and they are not known yet.
    """

    def __init__(self, ui: Any, find_devices: Callable[[Callable[[list[str]], None]], None]) -> None:
        self.parameters: Any = None
        self._ui, self._find_devices = ui, find_devices
        self._devices_known = False
        for choice, text in zip(CHOICES, (messages.DEVICE_AUTOMATIC, "CT", messages.MR_EXPERIMENTAL), strict=True):
            ui.modalitySelector.addItem(text, choice)
        ui.modalitySelector.connect("currentIndexChanged(int)", self._choose_modality)
        ui.deviceSelector.connect("currentIndexChanged(int)", self._choose_device)
        ui.advancedSection.connect("contentsCollapsed(bool)", self.ask_for_devices)
        self._list_devices(["cpu"])

    @property
    def all_frames(self) -> bool:
        """Whether all frames are wanted and there are any."""
        return self.parameters.allFrames and self._has_frames()

    def update(self, running: bool) -> None:
        """Follow the parameter node."""
        self._ui.allFramesCheckBox.enabled = self._has_frames() and not running
        self._show_device()
        selector = self._ui.modalitySelector
        selector.setCurrentIndex(selector.findData(self.parameters.modality))

    def _choose_modality(self, index: int) -> None:
        if self.parameters:
            self.parameters.modality = self._ui.modalitySelector.itemData(index)

    def _has_frames(self) -> bool:
        volume = self.parameters.inputVolume
        return volume is not None and mrml.sequence_browser_of(volume) is not None

    def ask_for_devices(self) -> None:
        """Find the devices if somebody looks at the list and they are not known yet."""
        if not self._ui.advancedSection.collapsed and not self._devices_known:
            self._find_devices(self._take_devices)

    def _take_devices(self, names: list[str]) -> None:
        self._devices_known = True
        self._list_devices(names)

    def _list_devices(self, names: list[str]) -> None:
        selector = self._ui.deviceSelector
        blocked = selector.blockSignals(True)
        selector.clear()
        selector.addItem(messages.DEVICE_AUTOMATIC, "auto")
        for name in names:
            selector.addItem(name, name)
        selector.blockSignals(blocked)
        if self.parameters:
            self._show_device()

    def _show_device(self) -> None:
        """Select the chosen device; one that was saved on another computer gives way to the automatic choice."""
        selector, device = self._ui.deviceSelector, self.parameters.device
        if selector.findData(device) < 0 and not self._devices_known:
            selector.addItem(device, device)
        elif selector.findData(device) < 0:
            self.parameters.device = device = "auto"
        blocked = selector.blockSignals(True)
        selector.setCurrentIndex(selector.findData(device))
        selector.blockSignals(blocked)

    def _choose_device(self, index: int) -> None:
        if self.parameters and index >= 0:
            self.parameters.device = self._ui.deviceSelector.itemData(index)
