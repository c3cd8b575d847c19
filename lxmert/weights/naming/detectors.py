"""The name tables of the detectors: our path of each module, the path in the published files, kind and size.

Those of the Visual Genome detector are the names of Detectron2, which the port for PyTorch has too; those of the VCR
detector are its authors'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from lxmert.common.cell_anchors import cell_anchors
from lxmert.common.specs import ModuleRow
from lxmert.utils.paths import ATTRIBUTES_NAME, OBJECTS_NAME

from .model_table import ModelTable, SizeEvidence


class _Style(NamedTuple):
    """How published files name the parts of a bottleneck, each with its norm; `{}` is the number of a stage."""

    stage: str
    last_stage: str
    first_stage: int  # the number of our stage 2
    parts: tuple[tuple[str, str], ...]  # reduce, spatial, expand, shortcut


_DETECTRON = _Style(
    "backbone.res{}",
    "roi_heads.res5",
    2,
    tuple((f"{name}", f"{name}.norm") for name in ("conv1", "conv2", "conv3", "shortcut")),
)
_TORCHVISION = _Style(
    "backbone.{}",
    "after_roi_align.0",
    4,
    (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("downsample.0", "downsample.1")),
)
_STAGE = re.compile(r"res(\d)\.(\d+)\.")


def _conv_norm(
    path: str, names: tuple[str, str], size: tuple[str | int, ...], layers_field: str | None = None, **options: Any
) -> tuple[ModuleRow, ...]:
    return (
        ModuleRow(f"{path}.conv", names[0], "convolution without bias", size, layers_field, **options),
        ModuleRow(f"{path}.norm", names[1], "batch norm", size[:1], layers_field, **options),
    )


def _stages(style: _Style) -> Iterator[ModuleRow]:
    """The bottlenecks of stages 2 to 5; the last one is not in the backbone, because it runs on each region."""
    for stage in (2, 3, 4, 5):
        ours = f"backbone.res{stage}" if stage < 5 else "res5"
        theirs = style.last_stage if stage == 5 else style.stage.format(stage - 2 + style.first_stage)
        width, channels = f"res{stage}_width", f"res{stage}_channels"
        sizes = {"reduce": (width, "inputs", 1, 1), "spatial": (width, width, 3, 3), "expand": (channels, width, 1, 1)}
        names = dict(zip((*sizes, "shortcut"), style.parts, strict=True))
        for part, size in sizes.items():
            conv, norm = names[part]
            places = (f"{theirs}.{{i}}.{conv}", f"{theirs}.{{i}}.{norm}")
            yield from _conv_norm(f"{ours}.{{i}}.{part}", places, size, f"res{stage}_blocks")
        conv, norm = names["shortcut"]
        # Only the first block has one, where the number of channels changes; it always does from stage 3 on.
        switch = {"switch": "res2_shortcut"} if stage == 2 else {}
        places = (f"{theirs}.0.{conv}", f"{theirs}.0.{norm}")
        yield from _conv_norm(f"{ours}.0.shortcut", places, (channels, "inputs", 1, 1), **switch)


def _resnet_sizes(config: Any) -> dict[str, int]:
    """The sizes of the stages: outputs and inner width double from one to the next."""
    sizes = {"stem_channels": config.stem_channels, "res2_shortcut": config.stem_channels != config.res2_channels}
    for stage in (2, 3, 4, 5):
        sizes[f"res{stage}_channels"] = config.res2_channels * 2 ** (stage - 2)
        sizes[f"res{stage}_width"] = config.width_per_group * 2 ** (stage - 2)
    return sizes


def _block_inputs(config: Any, module: str) -> dict[str, int]:
    """The input channels of the block that a module is in: those of the stage before in the first one."""
    found = _STAGE.search(module)
    if found is None:
        return {}
    stage, block = map(int, found.groups())
    sizes = _resnet_sizes(config)
    if block:
        return {"inputs": sizes[f"res{stage}_channels"]}
    return {"inputs": sizes["stem_channels"] if stage == 2 else sizes[f"res{stage - 1}_channels"]}


_RESNET_EVIDENCE = (
    SizeEvidence("backbone.stem.conv", 0, "stem_channels", "channels after the first convolution"),
    SizeEvidence("backbone.res2.0.reduce.conv", 0, "width_per_group", "channels inside of a block of stage 2"),
    SizeEvidence("backbone.res2.0.expand.conv", 0, "res2_channels", "channels after stage 2"),
)
_BLOCKS = ("res2_blocks", "res3_blocks", "res4_blocks", "res5_blocks")
_DESCRIBED_BY = ("num_objects", "stem_channels", "width_per_group", "res2_channels")

_BOX = "roi_heads.box_predictor"
_RPN = "proposal_generator"


def _visual_genome_sizes(config: Any) -> dict[str, int]:
    return {
        **_resnet_sizes(config),
        "hidden": config.proposal_channels,
        "anchors": config.num_anchors,
        "4 * anchors": 4 * config.num_anchors,
        "objects + 1": config.num_objects + 1,  # the background, last
        "attributes + 1": config.num_attributes + 1,  # no attribute, last
        "4 * objects": 4 * config.num_objects,
        "embedding": config.object_embedding_size,
        "features + embedding": config.feature_size + config.object_embedding_size,
        "attribute hidden": config.attribute_hidden_size,
    }


VISUAL_GENOME_DETECTOR = ModelTable(
    title="Visual Genome detector",
    paper="[Anderson et al. 2018](https://arxiv.org/abs/1707.07998)",
    package="detector",
    rows=(
        *_conv_norm("backbone.stem", ("backbone.stem.conv1", "backbone.stem.conv1.norm"), ("stem_channels", 3, 7, 7)),
        *_stages(_DETECTRON),
        ModuleRow("proposal_head.anchors", f"{_RPN}.anchor_generator.cell_anchors.0", "buffer", ("anchors", 4)),
        ModuleRow("proposal_head.hidden", f"{_RPN}.rpn_head.conv", "convolution", ("hidden", "res4_channels", 3, 3)),
        ModuleRow(
            "proposal_head.objectness", f"{_RPN}.rpn_head.objectness_logits", "convolution", ("anchors", "hidden", 1, 1)
        ),
        ModuleRow(
            "proposal_head.deltas", f"{_RPN}.rpn_head.anchor_deltas", "convolution", ("4 * anchors", "hidden", 1, 1)
        ),
        ModuleRow("predictor.objects", f"{_BOX}.cls_score", "dense", ("objects + 1", "res5_channels")),
        ModuleRow("predictor.boxes", f"{_BOX}.bbox_pred", "dense", ("4 * objects", "res5_channels")),
        ModuleRow("predictor.object_embedding", f"{_BOX}.cls_embedding", "embedding", ("objects + 1", "embedding")),
        ModuleRow(
            "predictor.attribute_hidden", f"{_BOX}.fc_attr", "dense", ("attribute hidden", "features + embedding")
        ),
        ModuleRow("predictor.attributes", f"{_BOX}.attr_score", "dense", ("attributes + 1", "attribute hidden")),
    ),
    sizes=_visual_genome_sizes,
    layer_sizes=_block_inputs,
    layers=_BLOCKS,
    described_by=(*_DESCRIBED_BY, "num_attributes"),
    evidence=(
        *_RESNET_EVIDENCE,
        SizeEvidence("proposal_head.hidden", 0, "proposal_channels", "channels of the proposal head"),
        SizeEvidence("predictor.objects", 0, "num_objects", "kinds of objects", more=1),
        SizeEvidence("predictor.attributes", 0, "num_attributes", "kinds of attributes", more=1),
    ),
    # Detectron2 computes them when it starts. Where a file has them, they count, whatever sizes its configuration says.
    computed={"proposal_head.anchors": lambda config: cell_anchors(config.anchor_sizes, config.anchor_ratios)},
    advice={
        "predictor.attribute": "The file may be of the variant that predicts no attributes. The one that does is "
        "needed; Detectron's is faster_rcnn_from_caffe_attr.pkl."
    },
    beside=(OBJECTS_NAME, ATTRIBUTES_NAME),
)


def _vcr_sizes(config: Any) -> dict[str, int]:
    embedding = config.object_embedding_size if config.use_semantics else 0
    return {
        **_resnet_sizes(config),
        "objects": config.num_objects,
        "embedding": config.object_embedding_size,
        "masks": config.mask_channels,
        "features": config.feature_size,
        "pooled + embedding": config.pooled_size + embedding,
    }


VCR_DETECTOR = ModelTable(
    title="VCR detector",
    paper="[Li et al. 2019](https://arxiv.org/abs/1908.03557)",
    package="vcr_detector",
    rows=(
        *_conv_norm("backbone.stem", ("backbone.0", "backbone.1"), ("stem_channels", 3, 7, 7)),
        *_stages(_TORCHVISION),
        ModuleRow("object_embedding", "object_embed", "embedding", ("objects", "embedding"), switch="use_semantics"),
        ModuleRow("mask_conv", "mask_upsample", "convolution", ("masks", 1, 3, 3), switch="use_semantics"),
        ModuleRow("projection", "obj_downsample.1", "dense", ("features", "pooled + embedding")),
        ModuleRow("object_predictor", "regularizing_predictor", "dense", ("objects", "res5_channels")),
    ),
    sizes=_vcr_sizes,
    layer_sizes=_block_inputs,
    layers=_BLOCKS,
    described_by=(*_DESCRIBED_BY, "feature_size"),
    evidence=(
        *_RESNET_EVIDENCE,
        SizeEvidence("object_predictor", 0, "num_objects", "kinds of objects"),
        SizeEvidence("object_embedding", 1, "object_embedding_size", "numbers in the embedding of an object's class"),
        SizeEvidence("mask_conv", 0, "mask_channels", "channels that masks are added to"),
        SizeEvidence("projection", 0, "feature_size", "numbers in a region's features"),
    ),
    switches={"use_semantics": "object_embedding"},
    contained_in=("visual_bert",),
    containers="Of the published ones the authors' .th files for VCR contain it, and those on the hub do not.",
)
