"""MONAI's SegResNet with random weights, on the road of the script that runs Auto3DSeg's models in Slicer.

One thing is quicker here: the class of each voxel is chosen before the result is brought back to the CT's grid. The
script brings the probabilities of all classes back, which takes gigabytes and minutes.
"""

from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInfererAdapt
from monai.networks.nets import SegResNetDS
from monai.transforms import (
    Compose,
    CropForegroundd,
    Invertd,
    Lambdad,
    Orientationd,
    ScaleIntensityRanged,
    Spacingd,
)

from LiverSegLib.io.files import read_ct
from Testing.benchmark.memory import whole_process_gb
from Testing.benchmark.rivals.configurations import SegResNet
from Testing.benchmark.rivals.measurement import ASSEMBLE, BACK, NETWORK, PREPARE, READ, Measurement, Stopwatch
from Testing.benchmark.rivals.patches import PatchTimer


@torch.inference_mode()
def measure(configuration: SegResNet, ct_path: str, sample: int | None) -> Measurement:
    """Run it on a CT from file to labels; ``sample`` patches are timed, or all."""
    network = PatchTimer(random_network(configuration), sample)
    transforms = preparation(configuration)
    window = SlidingWindowInfererAdapt(
        roi_size=configuration.patch,
        sw_batch_size=1,
        overlap=configuration.overlap,
        mode="gaussian",
        cache_roi_weight_map=False,
        progress=True,
    )
    network.warm_up(torch.zeros(1, 1, *configuration.patch).to(memory_format=torch.channels_last_3d))

    watch = Stopwatch()
    ct = read_ct(ct_path)
    watch.lap(READ)
    values = torch.from_numpy(ct.hu.astype(np.float32).transpose(2, 1, 0)[None])
    item = transforms({"image": MetaTensor(values, affine=torch.from_numpy(ct.affine))})
    image = item["image"]
    batch = image.as_tensor()[None].to(memory_format=torch.channels_last_3d)
    watch.lap(PREPARE)
    logits = window(inputs=batch, network=network)
    watch.lap(ASSEMBLE)
    labels = logits[0].argmax(dim=0, keepdim=True).float()
    item["labels"] = MetaTensor(labels, meta=image.meta, applied_operations=image.applied_operations)
    back = Invertd(keys="labels", orig_keys="image", transform=transforms, nearest_interp=True)(item)["labels"]
    result = np.ascontiguousarray(back[0].numpy().astype(np.uint8).transpose(2, 1, 0))
    watch.lap(BACK)

    assert result.shape == ct.hu.shape
    watch.seconds[ASSEMBLE] -= network.seconds_inside
    seconds = {**watch.seconds, NETWORK: network.network_seconds}
    details = {"image": list(image.shape[1:]), "million parameters": round(network.parameters_in_millions, 2)}
    return Measurement(seconds, network.patches, len(network.seconds_of_patches), whole_process_gb(), details)


def random_network(configuration: SegResNet) -> torch.nn.Module:
    """In evaluation mode, where it answers at full resolution only."""
    torch.manual_seed(0)
    network = SegResNetDS(
        spatial_dims=3,
        in_channels=1,
        out_channels=configuration.classes,
        init_filters=configuration.init_filters,
        blocks_down=configuration.blocks_down,
        dsdepth=configuration.supervised_levels,
        norm=configuration.norm,
    )
    return network.to(memory_format=torch.channels_last_3d).eval()


def preparation(configuration: SegResNet) -> Compose:
    """Orientation, crop, spacing and normalisation of a CT, each of which can be undone."""
    low, high = configuration.intensity_bounds
    return Compose(
        [
            Orientationd(keys="image", axcodes="RAS", labels=None),
            CropForegroundd(keys="image", source_key="image", margin=10, allow_smaller=True),
            Spacingd(keys="image", pixdim=[configuration.spacing_mm] * 3, mode="bilinear", dtype=torch.float),
            ScaleIntensityRanged(keys="image", a_min=low, a_max=high, b_min=-1, b_max=1, clip=False),
            Lambdad(keys="image", func=torch.sigmoid),
        ]
    )
