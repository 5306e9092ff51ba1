"""The one exception family of the library: each error carries a sentence for the user that names the next step."""

from . import messages

# What libraries say in words when memory runs out: CUDA and Apple, PyTorch's allocator for the CPU, and oneDNN, which
# computes convolutions on the CPU and does not tell why it could not get ready for one.
OUT_OF_MEMORY_WORDS = ("out of memory", "allocate memory", "could not create a primitive")


class LiverSegError(Exception):
    """Base of all errors that a user can meet; ``str(error)`` is one sentence fit to be shown as it is.

    ``exit_code`` is what the command line ends with.
    """

    exit_code = 1


class InputError(LiverSegError):
    """The image, the reference or an option cannot be used as it is."""

    exit_code = 2


class OutputError(LiverSegError):
    """The result cannot be written where it was asked for; nothing half-written is left there."""

    exit_code = 2


class ModelError(LiverSegError):
    """The network's file is missing, does not match its card, or cannot be read."""

    exit_code = 2


class DeviceError(LiverSegError):
    """The device that was asked for does not exist or cannot run the network."""

    exit_code = 2


class ClusterError(LiverSegError):
    """A part of the cluster that the work ran on was lost, and could not be replaced."""


class InstallError(LiverSegError):
    """A Python package is missing, too old or broken, and was not installed."""


class InstallDeclined(InstallError):
    """The user was asked and does not want the packages; nothing was changed."""


class Cancelled(LiverSegError):
    """The user stopped the work; nothing was changed."""

    exit_code = 130

    def __init__(self, message: str = messages.CANCELLED) -> None:
        super().__init__(message)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the computer or of a GPU, whoever says so."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY_WORDS)
