"""The base class of the detectors: in which dtype they compute for inference."""

from __future__ import annotations

from lxmert.common.detector_outputs import check_precision

from .pretrained_base import PreTrainedBase


class PreTrainedDetector(PreTrainedBase):
    """Base class of the detectors, whose methods with NumPy arrays may compute in another dtype than a call."""

    _precision: str | None = None

    @property
    def precision(self) -> str:
        """The dtype of convolutions in the methods with NumPy arrays: that of the weights, unless one was assigned.

        With "bfloat16" scores and deltas, and the mean over a region and what follows, are float32 nevertheless. Where
        layers were replaced or have hooks, the dtypes are those of the layers; in the Visual Genome detector "bfloat16"
        is then autocast's.
        """
        return self._precision or str(self.dtype).removeprefix("torch.")

    @precision.setter
    def precision(self, name: str | None) -> None:
        check_precision(name)
        self._precision = name
