"""Predict with a trained model on several machines or GPUs, as a pipeline of Ray Data.

Each worker loads the model and opens the files once; the numbers of parts of the examples go to the workers, and
predictions come back.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lxmert.utils.progress import ProgressBar
from lxmert.utils.ray_cluster import RayCluster, connected, import_ray
from lxmert.utils.ray_pipeline import results_in_order

from .evaluation import Part
from .trained_model import TrainedModel, check_output

if TYPE_CHECKING:
    import pyarrow


_WANTED_BY = "Predicting on a cluster"


class PredictionWorker:
    """Predicts parts of the examples; a process of Ray makes it once.

    Args:
        model: the arguments of `TrainedModel`.
    """

    def __init__(self, model: Mapping[str, Any]) -> None:
        self._model = TrainedModel(**model)

    def __call__(self, parts: pyarrow.Table) -> pyarrow.Table:
        """Columns number and count to a column of predictions, each the content of a .npy file."""
        import pyarrow

        found = [_packed(self._model.predict_part(Part(**part))) for part in parts.to_pylist()]
        return pyarrow.table({"predicted": pyarrow.array(found, pyarrow.large_binary())})


def predict_on_ray(
    path: str | Path, model: Mapping[str, Any], cluster: RayCluster | None = None, progress: bool = False
) -> int:
    """Write the official result file of a trained model, which is that of `TrainedModel.predict`.

    A worker whose process dies is replaced, and does again what it had not finished.

    Args:
        path: of the file.
        model: the arguments of `TrainedModel`. Its files must be at the same paths on all machines.
        cluster: the workers.
        progress: whether to show how far it is, on standard error.

    Returns:
        The number of predictions.

    Raises:
        ImportError: Ray is not installed.
        ConnectionError: no cluster has this address.
        ValueError, OSError: as of `TrainedModel`.
    """
    import_ray(_WANTED_BY)
    import pyarrow

    check_output(path)
    files = TrainedModel(**model, with_model=False)
    count = files.parts()
    blocks = [pyarrow.table({"number": [number], "count": [count]}) for number in range(count)]
    cluster = RayCluster(gpus=None) if cluster is None else cluster
    found = []
    with (
        connected(cluster, _WANTED_BY),
        closing(results_in_order(blocks, PredictionWorker, {"model": dict(model)}, cluster)) as results,
        ProgressBar("predicting", count, "parts", progress) as bar,
    ):
        for table in results:
            found += [_unpacked(value) for value in table.column("predicted").to_pylist()]
            bar.update(table.num_rows)
    return files.write_parts(path, found)


def _packed(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _unpacked(content: bytes) -> np.ndarray:
    found: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    return found
