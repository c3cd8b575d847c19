"""Extraction of regions on several machines or GPUs, as a pipeline of Ray Data.

Each worker loads the detector once, from its source; blocks of photographs go to the workers, and the regions come
back in the order of the photographs, or are written as Parquet files by the workers.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lxmert.utils.ray_cluster import RayCluster, connected, import_ray
from lxmert.utils.ray_pipeline import pipeline, results_in_order
from lxmert.vision.detections import ImageDetections

from ..region_detector import RegionDetector, known_options
from .finding import LocalFinder, damage_text
from .photographs import Photograph
from .tables import regions_table, table_regions

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

_WANTED_BY = "Extraction on a cluster"
_BLOCK = 16  # photographs that a worker gets at a time, or more if a batch is larger


class DetectorOnRay:
    """A region detector in the processes of a cluster of Ray, for `extract_features`.

    ```python
    detector = DetectorOnRay("unc-nlp/frcnn-vg-finetuned", {"backend": "pt"}, RayCluster("auto"))
    extract_features("photos", "regions", detector)
    ```

    The store is that of one process, byte for byte if the workers compute as it does: a worker whose process dies is
    replaced, and does again what it had not finished. This process loads the detector once, for its settings.

    Args:
        source: of the detector, as `RegionDetector.from_pretrained` takes it.
        options: of the detector.
        cluster: the workers; by default this machine alone. With the detector's option `device` "cuda" each has a GPU,
            with "cpu" none, and without it as the cluster has any.

    Attributes:
        name, feature_size, batch_size, settings: of the detector.
    """

    def __init__(
        self, source: str | Path, options: Mapping[str, Any] | None = None, cluster: RayCluster | None = None
    ) -> None:
        import_ray(_WANTED_BY)
        self._source, self._options = str(source), dict(options or {})
        gpus, device = None, self._options.get("device")
        if device is not None:
            gpus = device.startswith("cuda")
            self._options["device"] = "cuda" if gpus else device  # a worker sees its own GPU alone
        self._cluster = replace(cluster or RayCluster(), gpus=gpus)
        here = {**self._options, "device": "cpu"} if "device" in known_options(source) else self._options
        detector = RegionDetector.from_pretrained(source, **here)
        self.name, self.feature_size = detector.name, detector.feature_size
        self.batch_size, self.settings = detector.batch_size, detector.settings

    def finder(self, readers: int) -> RayFinder:
        """What finds the regions of photographs in the workers, with this many threads in each that open them."""
        worker = {"source": self._source, "options": self._options, "readers": readers}
        return RayFinder(worker, self._cluster, self.feature_size, _block_size(self.batch_size))


class RayFinder:
    """Finds the regions of photographs in the workers of a cluster, which is connected meanwhile; a `Finder`.

    Args:
        worker: the arguments of `RegionWorker`.
        cluster: where the workers are.
        feature_size: F.
        block_size: how many photographs a worker gets at a time.
    """

    def __init__(self, worker: Mapping[str, Any], cluster: RayCluster, feature_size: int, block_size: int) -> None:
        self._worker, self._cluster = worker, cluster
        self._feature_size, self._block_size = feature_size, block_size
        self.waited = 0.0

    def find(self, photographs: Sequence[Photograph]) -> Generator[ImageDetections | Exception, None, None]:
        """See `Finder.find`.

        Raises:
            ValueError: photographs that are no files.
            ConnectionError: no cluster has this address.
            RuntimeError: photographs that end the process of each worker.
        """
        blocks = _blocks(photographs, self._block_size)
        if not blocks:
            return
        with (
            connected(self._cluster, _WANTED_BY),
            closing(results_in_order(blocks, RegionWorker, self._worker, self._cluster)) as results,
        ):
            for table in results:
                for _, found in table_regions(table, self._feature_size):
                    yield ValueError(found) if isinstance(found, str) else found


class RegionWorker:
    """Finds the regions of blocks of photographs; a process of Ray makes it once.

    Args:
        source, options: of the detector, as `RegionDetector.from_pretrained` takes them.
        readers: threads that open photographs.
    """

    def __init__(self, source: str, options: Mapping[str, Any], readers: int) -> None:
        self._detector = RegionDetector.from_pretrained(source, **options)
        self._finder = LocalFinder(self._detector, readers)

    def __call__(self, photographs: pyarrow.Table) -> pyarrow.Table:
        """Columns image_id and path to the columns of `regions_table`."""
        names, paths = (photographs.column(name).to_pylist() for name in ("image_id", "path"))
        found = self._finder.find([Photograph(name, path) for name, path in zip(names, paths, strict=True)])
        regions = [damage_text(image) if isinstance(image, Exception) else image for image in found]
        return regions_table(names, regions, self._detector.feature_size)


def region_dataset(
    photographs: Sequence[Photograph],
    source: str | Path,
    options: Mapping[str, Any] | None = None,
    *,
    cluster: RayCluster | None = None,
    readers: int = 2,
) -> Dataset:
    """The regions of photographs as a data set of Ray, which computes when it is read or written.

    ```python
    ray.init()
    regions = region_dataset(find_photographs("photos"), "unc-nlp/frcnn-vg-finetuned", {"backend": "pt"})
    regions.write_parquet("parts")  # then: lxmert features import parts STORE --skip-damaged
    ```

    Args:
        photographs: of `find_photographs`: files at paths that are the same on all machines.
        source, options: of the detector, as `RegionDetector.from_pretrained` takes them.
        cluster: the workers, of the cluster that the program is connected to (`ray.init`).
        readers: the threads of a worker that open photographs.

    Returns:
        A row for each photograph, in their order, with the columns of `regions_table`. That of a photograph without
        regions says in `error` why.

    Raises:
        ImportError: Ray is not installed.
        ValueError: no photographs, or some that are no files.
    """
    import_ray(_WANTED_BY)
    given = dict(options or {})
    blocks = _blocks(photographs, _block_size(given.get("batch_size") or 1))
    if not blocks:
        raise ValueError("pass at least one photograph; got none.")
    worker = {"source": str(source), "options": given, "readers": readers}
    return pipeline(blocks, RegionWorker, worker, cluster or RayCluster(gpus=None))


def _block_size(batch_size: int) -> int:
    """How many photographs a worker gets at a time: whole batches, so that they are those of one process."""
    return -(-_BLOCK // batch_size) * batch_size


def _blocks(photographs: Sequence[Photograph], size: int) -> list[pyarrow.Table]:
    """Names and paths in blocks."""
    import pyarrow

    rows = [{"image_id": name, "path": _path(name, image)} for name, image in photographs]
    return [pyarrow.Table.from_pylist(rows[start : start + size]) for start in range(0, len(rows), size)]


def _path(name: str, image: Any) -> str:
    if not isinstance(image, (str, Path)):
        raise ValueError(
            f"photographs must be in files, which the machines of a cluster read; image {name!r} is in memory."
        )
    return str(image)
