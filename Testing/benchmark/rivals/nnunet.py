"""nnU-Net with random weights, on the road that TotalSegmentator takes.

Normalisation, sliding window, and labels from logits are those of the package nnunetv2, resampling is done as
TotalSegmentator does it, all with its settings on a CPU: float32, Gaussian weights, no mirroring. What TotalSegmentator
does besides (files between the steps, processes of their own, removal of small blobs) is left out.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from scipy import ndimage

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.io.files import read_ct
from Testing.benchmark.memory import whole_process_gb
from Testing.benchmark.rivals.configurations import NnUNet
from Testing.benchmark.rivals.measurement import ASSEMBLE, BACK, NETWORK, PREPARE, READ, Measurement, Stopwatch
from Testing.benchmark.rivals.patches import PatchTimer

CONFIGURATION = "3d_fullres"
LEAST_FEATURE_MAP_EDGE = 4
AROUND_LIVER_MM = 20.0
# What nnU-Net clips and normalises HU with; any numbers take the same time.
INTENSITIES = {"mean": -50.0, "std": 500.0, "percentile_00_5": -1000.0, "percentile_99_5": 1600.0}

Box = list[tuple[int, int]]


def measure(configuration: NnUNet, ct_path: str, sample: int | None, liver_box: Box | None) -> Measurement:
    """Run it on a CT from file to labels.

    Parameters
    ----------
    configuration
        Which network.
    ct_path
        The CT.
    sample
        Time only so many patches; None times all.
    liver_box
        Crop to first and last + 1 voxel of the liver along (k, j, i) of the canonical CT, and 20 mm around it.
    """
    plans, dataset = plans_manager(configuration), dataset_json(configuration)
    configured = plans.get_configuration(CONFIGURATION)
    network = PatchTimer(random_network(configuration, configured).eval(), sample)
    predictor = sliding_window(configuration, network, plans, configured, dataset)
    network.warm_up(torch.zeros(1, 1, *configuration.patch))

    watch = Stopwatch()
    ct = read_ct(ct_path)
    watch.lap(READ)
    canonical = ct.canonical()
    box = around(liver_box, canonical) if liver_box else whole(canonical)
    hu = canonical.hu[box]
    image = resampled(hu, np.array(canonical.spacing) / configuration.spacing_mm, order=1).astype(np.int32)
    properties: dict[str, Any] = {"spacing": [configuration.spacing_mm] * 3}
    data, _, properties = DefaultPreprocessor(verbose=False).run_case_npy(
        image[None], None, properties, plans, configured, dataset
    )
    watch.lap(PREPARE)
    logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(data))
    watch.lap(ASSEMBLE)
    labels = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits,
        plans,
        configured,
        plans.get_label_manager(dataset),
        properties,
        num_threads_torch=torch.get_num_threads(),
    )
    on_grid = np.zeros(canonical.hu.shape, np.uint8)
    on_grid[box] = resampled(labels, np.array(hu.shape) / labels.shape, order=0)
    result = ct.geometry.from_canonical(on_grid)
    watch.lap(BACK)

    assert result.shape == ct.hu.shape
    watch.seconds[ASSEMBLE] -= network.seconds_inside
    seconds = {**watch.seconds, NETWORK: network.network_seconds}
    details = {"image": list(image.shape), "million parameters": round(network.parameters_in_millions, 2)}
    return Measurement(seconds, network.patches, len(network.seconds_of_patches), whole_process_gb(), details)


def random_network(configuration: NnUNet, configured: Any) -> torch.nn.Module:
    """The network as nnU-Net builds it from its plans; fails if nnU-Net's planner would plan another one."""
    spacing = [configuration.spacing_mm] * 3
    _, strides, kernels, patch, _ = get_pool_and_conv_props(spacing, configuration.patch, LEAST_FEATURE_MAP_EDGE, 99)
    assert list(strides) == configuration.strides and set(kernels) == {(3, 3, 3)} and patch == configuration.patch
    torch.manual_seed(0)
    return get_network_from_plans(
        configured.network_arch_class_name,
        configured.network_arch_init_kwargs,
        configured.network_arch_init_kwargs_req_import,
        1,
        configuration.classes,
        deep_supervision=False,
    )


def sliding_window(
    configuration: NnUNet, network: PatchTimer, plans: PlansManager, configured: Any, dataset: dict[str, Any]
) -> nnUNetPredictor:
    """nnU-Net's sliding window with the settings of TotalSegmentator."""
    with contextlib.redirect_stdout(None):  # it says that results stay on the CPU, which is what is wanted
        predictor = nnUNetPredictor(
            tile_step_size=configuration.tile_step,
            use_gaussian=True,
            use_mirroring=False,
            perform_everything_on_device=True,
            device=torch.device("cpu"),
            allow_tqdm=True,
        )
    predictor.manual_initialization(network, plans, configured, None, dataset, "nnUNetTrainer", None)
    return predictor


def plans_manager(configuration: NnUNet) -> PlansManager:
    """Plans as nnU-Net would have written them, with all that inference asks for."""
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    stages = len(configuration.features)
    architecture = {
        "network_class_name": f"{PlainConvUNet.__module__}.{PlainConvUNet.__name__}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": configuration.features,
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [(3, 3, 3)] * stages,
            "strides": configuration.strides,
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    configured = {
        "data_identifier": CONFIGURATION,
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(configuration.patch),
        "spacing": [configuration.spacing_mm] * 3,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": architecture,
    }
    return PlansManager(
        {
            "dataset_name": "Dataset000_side_by_side",
            "plans_name": "nnUNetPlans",
            "image_reader_writer": "SimpleITKIO",
            "transpose_forward": [0, 1, 2],
            "transpose_backward": [0, 1, 2],
            "foreground_intensity_properties_per_channel": {"0": INTENSITIES},
            "label_manager": "LabelManager",
            "configurations": {CONFIGURATION: configured},
        }
    )


def dataset_json(configuration: NnUNet) -> dict[str, Any]:
    """Channels and labels as nnU-Net wants to know them."""
    labels = {"background": 0} | {f"class {number}": number for number in range(1, configuration.classes)}
    return {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz"}


def resampled(array: np.ndarray, factors: np.ndarray, order: int) -> np.ndarray:
    """TotalSegmentator's resampling: of float64, trilinear for images (order 1), nearest for labels (order 0)."""
    return ndimage.zoom(array.astype(np.float64), factors, order=order, mode="nearest")


def whole(canonical: CTVolume) -> tuple[slice, ...]:
    """All voxels."""
    return tuple(slice(0, length) for length in canonical.hu.shape)


def around(box: Box, canonical: CTVolume) -> tuple[slice, ...]:
    """The liver with a margin, as TotalSegmentator crops to a structure that it found before."""
    slices = []
    for (first, end), spacing, length in zip(box, canonical.spacing, canonical.hu.shape, strict=True):
        margin = round(AROUND_LIVER_MM / spacing)
        slices.append(slice(max(0, first - margin), min(length, end + margin)))
    return tuple(slices)
