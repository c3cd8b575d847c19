"""The config.yaml that is published with the weights of the Visual Genome detector, as values of `DetectorConfig`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lxmert.utils.messages import shown

YAML_NAME = "config.yaml"

# The key of each field; the parts of a key are the mappings that it is in.
_FIELDS = {
    "num_objects": "roi_heads.num_classes",
    "num_attributes": "roi_box_head.num_attrs",
    "stem_channels": "resnets.stem_out_channels",
    "width_per_group": "resnets.width_per_group",
    "res2_channels": "resnets.res2_out_channels",
    "ceil_pooling": "model.max_pool",
    "proposal_channels": "proposal_generator.hidden_channels",
    "anchor_sizes": "anchor_generator.sizes",
    "anchor_ratios": "anchor_generator.aspect_ratios",
    "anchor_offset": "anchor_generator.offset",
    "pool_size": "roi_box_head.pooler_resolution",
    "channel_order": "input.format",
    "pixel_mean": "model.pixel_mean",
    "pixel_std": "model.pixel_std",
    "min_size": "input.min_size_test",
    "max_size": "input.max_size_test",
    "proposal_box_weights": "rpn.bbox_reg_weights",
    "proposals_before_suppression": "rpn.pre_nms_topk_test",
    "num_proposals": "rpn.post_nms_topk_test",
    "proposal_threshold": "rpn.nms_thresh",
    "min_proposal_side": "proposal_generator.min_size",
    "box_weights": "roi_box_head.bbox_reg_weights",
    "score_threshold": "roi_heads.score_thresh_test",
    "suppression_thresholds": "roi_heads.nms_thresh_test",
    "min_regions": "min_detections",
    "max_regions": "max_detections",
}
# What the network of this package is, and a file may say otherwise.
_FIXED: dict[str, tuple[Any, ...]] = {
    "resnets.depth": (50, 101, 152),
    "resnets.norm": ("BN", "FrozenBN"),
    "resnets.num_groups": (1,),
    "resnets.stride_in_1x1": (True,),
    "resnets.out_features": (["res4"],),
    "rpn.in_features": (["res4"],),
    "roi_heads.in_features": (["res4"],),
    "roi_box_head.res5halve": (False,),
    "roi_box_head.attr": (True,),
    "roi_box_head.cls_agnostic_bbox_reg": (False,),
}
_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
# In no file: the halves of `res5halve` are a stride, or a dilation as here; the other is the default of PyTorch.
_CONSTANT = {"res5_dilation": 2, "batch_norm_eps": 1e-5}


def is_yaml_layout(values: Mapping[Any, Any]) -> bool:
    """Whether these are the keys of a config.yaml: it has mappings where a config.json has numbers."""
    parts = {key.partition(".")[0] for key in (*_FIELDS.values(), *_FIXED) if "." in key} | {"backbone", "solver"}
    return "model_type" not in values and any(
        isinstance(value, Mapping) and str(key).lower() in parts for key, value in values.items()
    )


def values_from_yaml(values: Mapping[Any, Any]) -> dict[str, Any]:
    """The values of `DetectorConfig` by field. Keys may be in capitals; those that are no fields are not read.

    Raises:
        ValueError: keys are missing, and the error names them all; or the file describes another network.
    """
    found = {key: _at(values, key) for key in (*_FIELDS.values(), *_FIXED)}
    if missing := [key for key, value in found.items() if value is None]:
        raise ValueError(f"the configuration of the Visual Genome detector must hold {', '.join(missing)}.")
    others = [
        f"{key} is {shown(found[key])}, not {' or '.join(map(repr, allowed))}"
        for key, allowed in _FIXED.items()
        if found[key] not in allowed or type(found[key]) is not type(allowed[0])
    ]
    if others:
        raise ValueError(f"this is the configuration of another network than the detector's: {'; '.join(others)}.")
    fields = {name: _flat(found[key]) for name, key in _FIELDS.items()}
    if not isinstance(fields["suppression_thresholds"], list):
        fields["suppression_thresholds"] = [fields["suppression_thresholds"]]
    blocks = {f"res{stage}_blocks": count for stage, count in enumerate(_BLOCKS[found["resnets.depth"]], start=2)}
    return {**fields, **blocks, **_CONSTANT}


def _at(values: Any, key: str) -> Any:
    """The value of a key such as "model.max_pool", or None."""
    for part in key.split("."):
        if not isinstance(values, Mapping):
            return None
        values = next((value for name, value in values.items() if str(name).lower() == part), None)
    return values


def _flat(value: Any) -> Any:
    """The values of the only map of features, which a list of lists may hold one of for each."""
    return value[0] if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list) else value
