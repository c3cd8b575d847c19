"""The golden arrays of the Visual Genome detector, and a network that gives them instead of computing."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from lxmert.common.config import DetectorConfig
from lxmert.vision.faster_rcnn.network import Proposed
from lxmert.vision.faster_rcnn.preprocess import NetworkInput
from lxmert.vision.faster_rcnn.profiles import CaffeProfile, HfProfile

FOLDER = Path(__file__).parents[1] / "golden" / "frcnn"
SETTINGS = json.loads((FOLDER / "config.json").read_text())
SMALL = DetectorConfig.from_dict(SETTINGS["small"])
AT_YAML_SIZE = DetectorConfig.from_dict(SETTINGS["small_at_yaml_size"])
CAFFE = CaffeProfile(min_size=128, max_size=176, least_side=0.0)  # the golden selection is of the port's proposals


@cache
def arrays(name: str) -> dict[str, np.ndarray]:
    """Every array of a file."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def hf_profile(name: str) -> HfProfile:
    """The profile of one of the golden settings m8, m36, ..."""
    values = SETTINGS["detection_settings"][name]
    profile = HfProfile(min_size=128, max_size=176, suppression_thresholds=tuple(values["nms_thresh_test"]))
    return replace(profile, min_regions=values["min_detections"], max_regions=values["max_detections"])


def network_input(picture: int, dtype: str = "float32") -> NetworkInput:
    """A picture as the network reads it."""
    inputs = arrays("inputs")
    height, width = map(int, inputs["raw_sizes"][picture])
    return NetworkInput(inputs[f"x_{picture}"].transpose(1, 2, 0).astype(dtype), (height, width))


class StoredNetwork:
    """Answers as the golden network does of one picture: what is asked for is looked up.

    Attributes:
        asked: how many regions each method was asked for.
    """

    config = SMALL

    def __init__(self, picture: int, dtype: str = "float64"):
        self.arrays = {
            name.removeprefix(f"img{picture}_"): values
            for name, values in arrays(f"outputs_single_{dtype}").items()
            if name.startswith(f"img{picture}_")
        }
        # The float64 file has the deltas of the first rows only.
        self.box_columns = arrays("outputs_single_float32")[f"img{picture}_box_deltas"]
        self.dtype, self.asked = dtype, {}

    @property
    def anchors(self) -> np.ndarray:
        return arrays("units")["cell_anchors_16_32_64_128"]

    def propose(self, images: np.ndarray) -> Proposed:
        scores = self.arrays["rpn_objectness"].transpose(1, 2, 0)
        deltas = self.arrays["rpn_deltas"].transpose(1, 2, 0).reshape(1, -1, 4)
        return Proposed("map", scores.shape[:2], scores.reshape(1, -1), deltas)

    def region_features(self, feature_map, image: int, rois: np.ndarray) -> np.ndarray:
        assert (feature_map, image) == ("map", 0)
        return self._noted("features", self.arrays["features"][_places(rois, self.arrays["rois_on_map"])])

    def object_scores(self, features: np.ndarray) -> np.ndarray:
        return self._noted("objects", self.arrays["cls_logits"][self._rows(features)])

    def box_deltas(self, features: np.ndarray, object_ids: np.ndarray) -> np.ndarray:
        rows = self._noted("boxes", self._rows(features))
        deltas = self.box_columns.reshape(len(self.box_columns), -1, 4)
        return deltas[rows, object_ids].astype(self.dtype)

    def attribute_scores(self, features: np.ndarray, object_ids: np.ndarray) -> np.ndarray:
        rows = self._noted("attributes", self._rows(features))
        np.testing.assert_array_equal(object_ids, self.arrays["embedding_id"][rows])
        return self.arrays["attr_logits"][rows]

    def _rows(self, features: np.ndarray) -> np.ndarray:
        return _places(features, self.arrays["features"])

    def _noted(self, what: str, values: np.ndarray) -> np.ndarray:
        self.asked[what] = len(values)
        return values


def _places(wanted: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The row of `known` that equals each row of `wanted`."""
    equal = (wanted[:, None] == known[None]).all(axis=2)
    assert equal.any(axis=1).all()
    return equal.argmax(axis=1)
