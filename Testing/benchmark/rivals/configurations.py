"""Who is measured, and how each is configured: numbers only, each with its source.

The patches of the two nnU-Nets are those that https://github.com/ClinicalDataScience/tucker-cnn runs TotalSegmentator's
own weights with (scripts/01_single_benchmark.py), and the networks made here have as many parameters as it counts in
them. Stages and features follow from spacing and patch by the rule of nnU-Net's planner, which
:mod:`Testing.benchmark.rivals.nnunet` asks again. Step, spacing, mirroring and resampling are those of the package
TotalSegmentator 2.18.0 (totalsegmentator/nnunet.py and map_tasks_config.py).
"""

from __future__ import annotations

from dataclasses import dataclass

# Overlap of nnU-Net by default, and what TotalSegmentator asks for with all its networks of the whole body.
HALF_STEP, TOTALSEGMENTATOR_STEP = 0.5, 0.8


@dataclass(frozen=True)
class NnUNet:
    """A plain 3D U-Net of nnU-Net v2, and how it is slid over an image.

    ``patch`` is in voxels (k, j, i); ``features`` are the channels of each stage, the first at full resolution and each
    further one at half of the one before; ``classes`` counts the background; ``tile_step`` is how far a patch lies from
    the next, as a share of its side; ``liver_only`` crops the image to the liver and 20 mm around it first.
    """

    spacing_mm: float
    patch: tuple[int, int, int]
    features: tuple[int, ...]
    classes: int
    tile_step: float
    liver_only: bool = False

    @property
    def strides(self) -> list[tuple[int, int, int]]:
        """Of the first convolution of each stage."""
        return [(1, 1, 1), *[(2, 2, 2)] * (len(self.features) - 1)]


@dataclass(frozen=True)
class SegResNet:
    """MONAI's SegResNetDS as the templates of Auto3DSeg configure it.

    Source: https://github.com/Project-MONAI/research-contributions, auto3dseg/algorithm_templates/segresnet/configs/
    hyper_parameters.yaml; the overlap of ``patch`` (voxels along right, anterior, superior) and the steps around the
    network are those of the inference script of https://github.com/lassoan/SlicerMONAIAuto3DSeg.
    """

    spacing_mm: float = 1.5
    patch: tuple[int, int, int] = (224, 224, 144)
    init_filters: int = 32
    blocks_down: tuple[int, ...] = (1, 2, 2, 4, 4)
    supervised_levels: int = 4
    norm: str = "INSTANCE"
    classes: int = 25
    overlap: float = 0.625
    intensity_bounds: tuple[float, float] = (-250.0, 250.0)


@dataclass(frozen=True)
class Rival:
    """One line of the table: what it is called, the packages that it needs, and its configuration if it has one."""

    title: str
    packages: tuple[str, ...] = ()
    configuration: NnUNet | SegResNet | None = None


# Dataset 291, organs: the one of five networks that knows the liver.
_FULL = {"spacing_mm": 1.5, "patch": (128, 128, 128), "features": (32, 64, 128, 256, 320, 320), "classes": 25}
# Dataset 297, all 117 structures with one network.
_FAST = {"spacing_mm": 3.0, "patch": (112, 112, 128), "features": (32, 64, 128, 256, 320), "classes": 118}
_NNUNET = ("nnunetv2", "dynamic_network_architectures")

OURS, ONNX_RUNTIME, OPENVINO = "ours", "onnxruntime", "openvino"
FULL, FAST = "nnunet-1.5mm", "nnunet-3mm"
RIVALS: dict[str, Rival] = {
    OURS: Rival("LiverSeg"),
    ONNX_RUNTIME: Rival("the same U-Net, ONNX Runtime", ("onnxruntime", "onnx", "onnxscript")),
    OPENVINO: Rival("the same U-Net, OpenVINO", ("openvino", "onnx", "onnxscript")),
    FAST: Rival("nnU-Net 3 mm, TotalSegmentator `--fast`", _NNUNET, NnUNet(**_FAST, tile_step=TOTALSEGMENTATOR_STEP)),
    f"{FAST}-half-step": Rival("nnU-Net 3 mm, nnU-Net's own step", _NNUNET, NnUNet(**_FAST, tile_step=HALF_STEP)),
    f"{FULL}-liver": Rival(
        "nnU-Net 1.5 mm, cropped to the liver",
        _NNUNET,
        NnUNet(**_FULL, tile_step=TOTALSEGMENTATOR_STEP, liver_only=True),
    ),
    FULL: Rival(
        "nnU-Net 1.5 mm, TotalSegmentator, one of its five networks",
        _NNUNET,
        NnUNet(**_FULL, tile_step=TOTALSEGMENTATOR_STEP),
    ),
    f"{FULL}-half-step": Rival("nnU-Net 1.5 mm, nnU-Net's own step", _NNUNET, NnUNet(**_FULL, tile_step=HALF_STEP)),
    "segresnet": Rival("MONAI SegResNet, Auto3DSeg", ("monai",), SegResNet()),
}
