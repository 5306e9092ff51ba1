"""The network on a device: windowed slices in, logits out; to the CPU when a GPU fails."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import messages
from ..errors import DeviceError, is_out_of_memory
from ..model.devices import choose_device, fast_dtype, keep_freed_memory
from ..model.fusion import fuse_relu
from ..model.liver_model import LiverModel, ModelCard
from ..model.unet import UNet, fold_batch_norm
from .logits import neighbours_as_background, organ_log_odds, to_log_odds
from .preprocess import SIZE_MULTIPLE, pad_to_multiple
from .threads import Threads

# Square, of what the network runs on before the first volume comes.
WARM_UP_PIXELS = 96


class DeviceNetwork:
    """Keeps one network resident on one device.

    Parameters
    ----------
    network
        In evaluation mode on the CPU, in float32.
    device
        "auto", "cpu", "cuda", "cuda:N" or "mps"; see :func:`LiverSegLib.model.devices.choose_device`.
    multiple
        Images are padded until both sizes divide by it, as the network's levels need.

    Attributes
    ----------
    device, network
        Where it runs, and the network there, made for speed.
    warnings
        What the user should know of the device, such as that another one failed.

    Raises
    ------
    DeviceError
        If the device does not exist, or the CPU has too little memory.
    """

    def __init__(self, network: UNet, device: str = "auto", multiple: int = SIZE_MULTIPLE) -> None:
        self._original, self._multiple = network, multiple
        self._threads = Threads()
        self.device, self.warnings = choose_device(device)
        try:
            keep_freed_memory()
            self.network = self._network_on(self.device)
        except (RuntimeError, MemoryError) as error:
            if self.device.type != "cpu":
                self.move_to_cpu(error)
            elif is_out_of_memory(error):
                raise DeviceError(messages.OUT_OF_MEMORY) from error
            else:
                raise

    def logits(self, images: Tensor) -> Tensor:
        """What the network says of each pixel, (n, class, rows, columns)."""
        if self.device.type != "cpu":
            return self._run(images)
        with self._threads.batch(images[:, 0].numel()):
            return self._run(images)

    def _run(self, images: Tensor) -> Tensor:
        rows, columns = images.shape[2:]
        images = pad_to_multiple(images, -1.0, self._multiple).to(
            fast_dtype(self.device), memory_format=torch.channels_last
        )
        logits: Tensor = self.network(images)
        return logits[..., :rows, :columns]

    def move_to_cpu(self, error: Exception) -> None:
        """Continue on the CPU, after the GPU failed with this error; every further result says so."""
        if is_out_of_memory(error):
            warning = messages.GPU_OUT_OF_MEMORY.format(device=self.device)
        else:
            warning = messages.GPU_FAILED.format(device=self.device, reason=str(error).partition("\n")[0])
        self.warnings.append(warning)
        self.device = torch.device("cpu")
        self.network = self._network_on(self.device)

    def _network_on(self, device: torch.device) -> UNet:
        """A copy made for speed; of the original, which stays on the CPU: from a dead GPU nothing can be read."""
        folded = fold_batch_norm(self._original).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # Weights of half precision once and for all: autocast would make them anew for each batch.
        network: UNet = folded.to(fast_dtype(device)).to(device)
        return fuse_relu(network) if device.type == "cpu" else network


class Predictor(DeviceNetwork):
    """The liver network on a device.

    Parameters
    ----------
    model
        The network and its card.
    device
        As of :class:`DeviceNetwork`.

    Raises
    ------
    DeviceError
        If the device does not exist, or the CPU has too little memory.
    """

    def __init__(self, model: LiverModel, device: str = "auto") -> None:
        self.model = model
        super().__init__(model.network, device)

    @property
    def card(self) -> ModelCard:
        return self.model.card

    def log_odds(self, images: Tensor, organ: int | None = None) -> Tensor:
        """Log-odds of :func:`LiverSegLib.inference.logits.to_log_odds` in windowed images of any size.

        float32 (n, 2, rows, columns); with the number of a class as ``organ``, those of that class against all others
        follow, (n, 3, rows, columns).
        """
        logits = self.logits(images)
        log_odds = to_log_odds(neighbours_as_background(logits).float())
        if organ is None:
            return log_odds
        return torch.cat((log_odds, organ_log_odds(logits.float(), organ)[:, None]), dim=1)

    def classes(self, images: Tensor) -> Tensor:
        """The number of each pixel's most probable class, neighbours of the liver included; (n, rows, columns)."""
        return self.logits(images).argmax(dim=1)

    def warm_up(self) -> None:
        """Run the network once on a small picture of nothing: what PyTorch prepares then, the first volume need not.

        Where that fails the network moves to the CPU, or the first volume tells what is wrong.
        """
        images = torch.full((1, len(self.card.offsets_mm), WARM_UP_PIXELS, WARM_UP_PIXELS), -1.0)
        try:
            with torch.inference_mode():
                self.log_odds(images.to(self.device)).cpu()  # waits for a GPU
        except RuntimeError as error:
            if self.device.type != "cpu":
                self.move_to_cpu(error)
