"""What the store of region features costs: memory of worker processes, random reads, import.

    python benchmarks/region_store.py [--images 7000] [--folder FOLDER]

A TSV as the original's is made (36 regions of 2048 numbers for every image) and imported, as float16 and as float32;
7,000 images are 2.1 GB of features in float32. Measured are

- the import: bytes of the TSV per second, and the memory that it takes; what that is for files of 17 and 30 GB;
- the same of layouts that are not encoded (a folder of .npy, a .npz for each image, HDF5 with a group per image), with
  the file thrown out of memory before, as a share of the rate at which the disk copies the same bytes (read and written
  in order, then synchronized);
- the private memory that a worker process has more after reading than before, with four workers that read the whole
  store in random order, each its own quarter (Private_Clean + Private_Dirty of /proc/PID/smaps_rollup; Linux only);
- a random read of an image beside a plain copy of the same bytes out of `numpy.load(..., mmap_mode="r")`, in turns:
  with the file in memory (warm: pages that the process has not touched before, as in an epoch over a large store;
  warm_mapped: every page was touched before, as a process has it only that may hold the whole store), and with the file
  thrown out of memory before (cold);
- what opening a store of a million small images takes: processor time, and private memory when it is open and when
  names were looked up in it. `--only opening` measures this alone and keeps the other results.

The results go to benchmarks/results/region_store.json.
"""

from __future__ import annotations

import argparse
import base64
import gc
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import clock
import numpy as np
from tqdm import tqdm

from lxmert.data.features import ImportOptions, check_regions, import_regions, layout, open_regions
from lxmert.utils.atomic_files import write_text

RESULTS = Path(__file__).parent / "results" / "region_store.json"
REGIONS, SIZE = 36, 2048
_WORKERS, _BATCH = 4, 32
_MANY = 1_000_000  # images of the store that is opened


def main() -> None:
    """Make a file, import it, measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=7000, help="how many there are (default: 7000)")
    parser.add_argument("--reads", type=int, default=1500, help="random reads of each kind (default: 1500)")
    parser.add_argument("--folder", help="where the files are made (default: a temporary folder)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the results go")
    parser.add_argument("--only", choices=["opening"], help="measure this alone")
    arguments = parser.parse_args()
    if arguments.only:
        results = json.loads(arguments.output.read_text())
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            results["opening"] = measure_opening(Path(folder, "store"))
        write_text(arguments.output, json.dumps(results, indent=2) + "\n")
        print(json.dumps(results["opening"], indent=1))
        return
    results: dict = {"images": arguments.images, "processors": os.cpu_count(), "stores": {}}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        source = Path(folder, "regions.tsv")
        make_tsv(source, arguments.images)
        results["tsv_bytes"] = source.stat().st_size
        results["uncompressed"] = measure_uncompressed(Path(folder), arguments.images)
        print(f"uncompressed: {json.dumps(results['uncompressed'], indent=1)}", flush=True)
        for dtype in ("float16", "float32"):
            store = Path(folder, dtype)
            measured = {"import": measure_import(source, store, dtype)}
            measured["features_bytes"] = (store / "features.npy").stat().st_size
            measured["workers"] = measure_workers(store)
            measured["reads_us"] = measure_reads(store, arguments.reads)
            start = time.perf_counter()
            assert check_regions([store]).good
            measured["check_mb_per_s"] = measured["features_bytes"] / 1e6 / (time.perf_counter() - start)
            results["stores"][dtype] = measured
            print(f"{dtype}: {json.dumps(measured, indent=1)}", flush=True)
            shutil.rmtree(store)
        results["opening"] = measure_opening(Path(folder, "store"))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_text(arguments.output, json.dumps(results, indent=2) + "\n")
    print(f"wrote {arguments.output}")


def make_tsv(path: Path, images: int) -> None:
    """A TSV of random regions; half of the values are zero, as in the features of a detector."""

    def text(values: np.ndarray) -> str:
        return base64.b64encode(np.ascontiguousarray(values)).decode()

    draw = np.random.default_rng(0)
    drawn = [np.maximum(draw.standard_normal((REGIONS, SIZE), dtype=np.float32), 0) for _ in range(16)]
    features = [text(one) for one in drawn]
    with path.open("w") as file:
        for number in tqdm(range(images), desc="making the TSV"):
            corners = np.sort(draw.random((REGIONS, 2, 2), dtype=np.float32), axis=1).reshape(REGIONS, 4)
            columns = (f"COCO_train2014_{number:012d}", "480", "640", text(draw.integers(0, 1600, REGIONS)))
            sure = text(draw.random(REGIONS, dtype=np.float32))
            labels = (sure, text(draw.integers(0, 400, REGIONS)), sure, str(REGIONS))
            boxes = text(corners * np.array([640, 480, 640, 480], np.float32))
            file.write("\t".join([*columns, *labels, boxes, features[number % 16]]) + "\n")


def measure_uncompressed(folder: Path, images: int) -> dict:
    """The imports of arrays that are stored as they are, beside a plain copy of their files."""
    results = {}
    for name, write in {"npy": _write_npy, "npz": _write_npz, "hdf5": _write_hdf5}.items():
        source = Path(folder, name)
        source.mkdir()
        path = write(source, images)
        files = sorted(file for file in source.iterdir())
        measured: dict[str, float] = {}
        for attempt in range(3):
            for file in files:
                _forget(file)
            measured["copy_mb_per_s"] = max(measured.get("copy_mb_per_s", 0), _copy_speed(files, folder / "copy"))
            for file in files:
                _forget(file)
            imported = measure_import(path, folder / f"{name}{attempt}", "float32")
            shutil.rmtree(folder / f"{name}{attempt}")
            measured["mb_per_s"] = max(measured.get("mb_per_s", 0), imported["mb_per_s"])
            measured["added_memory_mb"] = max(measured.get("added_memory_mb", 0), imported["added_memory_mb"])
        results[name] = {**measured, "share_of_copy": measured["mb_per_s"] / measured["copy_mb_per_s"]}
        shutil.rmtree(source)
    return results


def _copy_speed(files: list[Path], target: Path) -> float:
    """Megabytes per second of a copy of some files into one."""
    size, start = 0, time.perf_counter()
    with target.open("wb", buffering=0) as output:
        for file in files:
            with file.open("rb", buffering=0) as source:
                while content := source.read(2**23):
                    size += output.write(content)
        os.fdatasync(output.fileno())
    seconds = time.perf_counter() - start
    target.unlink()
    return size / 1e6 / seconds


def _arrays(images: int) -> Iterator[tuple[str, dict[str, np.ndarray | int]]]:
    draw = np.random.default_rng(0)
    boxes = np.array([[0, 0, 10, 10]] * REGIONS, np.float32)
    for number in range(images):
        features = draw.random((REGIONS, SIZE), np.float32)
        yield f"{number:06}", {"features": features, "boxes": boxes, "img_h": 480, "img_w": 640}


def _write_npy(folder: Path, images: int) -> Path:
    shapes = {"features": (images, REGIONS, SIZE), "boxes": (images, REGIONS, 4)}
    stacks = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, shape)
        for name, shape in shapes.items()
    }
    for number, (_, arrays) in enumerate(_arrays(images)):
        for name, stack in stacks.items():
            stack[number] = arrays[name]
    np.save(folder / "ids.npy", np.arange(images))
    np.save(folder / "sizes.npy", np.array([[480, 640]] * images))
    return folder


def _write_npz(folder: Path, images: int) -> Path:
    for name, arrays in _arrays(images):
        np.savez(folder / f"{name}.npz", **arrays)
    return folder


def _write_hdf5(folder: Path, images: int) -> Path:
    import h5py

    with h5py.File(folder / "regions.h5", "w") as file:
        for name, arrays in _arrays(images):
            group = file.create_group(name)
            for key, values in arrays.items():
                group[key] = values
    return folder / "regions.h5"


def measure_import(source: Path, store: Path, dtype: str) -> dict:
    """Import in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seconds, cpu, memory = pool.apply(_import, (str(source), str(store), dtype))
    files = source.iterdir() if source.is_dir() else [source]
    speed = sum(file.stat().st_size for file in files) / 1e6 / seconds
    return {
        "seconds": seconds,
        "processor_seconds": cpu,
        "mb_per_s": speed,
        "added_memory_mb": memory,
        "minutes_for_17_gb": 17e3 / speed / 60,
        "minutes_for_30_gb": 30e3 / speed / 60,
    }


def _import(source: str, store: str, dtype: str) -> tuple[float, float, float]:
    before = clock.memory("VmHWM")  # what `resource` tells would be the parent's
    start, cpu = time.perf_counter(), time.process_time()
    import_regions([source], store, ImportOptions(dtype))
    return time.perf_counter() - start, time.process_time() - cpu, clock.memory("VmHWM") - before


def private_memory() -> float:
    """Megabytes of this process that no other one shares."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def measure_workers(store: Path) -> dict:
    """What four processes have more in private memory after reading all of a store."""
    opened = open_regions(store)
    order = np.random.default_rng(1).permutation(len(opened))
    context = multiprocessing.get_context("spawn")
    with context.Pool(_WORKERS) as pool:
        jobs = [pool.apply_async(_work, (opened, order[number::_WORKERS])) for number in range(_WORKERS)]
        added = [job.get() for job in jobs]
    return {"workers": _WORKERS, "batch": _BATCH, "added_private_mb": added, "most_mb": max(added)}


def _work(store, places: np.ndarray) -> float:
    before = private_memory()
    most = 0.0
    for start in range(0, len(places), _BATCH):
        batch = store.batch(places[start : start + _BATCH], REGIONS, labels=True)
        most = max(most, private_memory() - before) if start % (_BATCH * 8) == 0 else most
        del batch
    return max(most, private_memory() - before)


def measure_opening(store: Path) -> dict:
    """What a process of its own takes to open a store of a million images of one region with eight numbers."""
    _write_store(store, _MANY)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return {"images": _MANY, **pool.apply(_open, (str(store),))}


def _open(store: str) -> dict:
    before, start = private_memory(), time.process_time()
    opened = open_regions(store)
    results = {"processor_ms": 1000 * (time.process_time() - start), "added_private_mb": private_memory() - before}
    names, start = [f"{number:027}" for number in range(0, _MANY, 10)], time.process_time()
    opened.places(names)
    results["processor_ms_of_100,000_names"] = 1000 * (time.process_time() - start)
    return {**results, "added_private_mb_with_names": private_memory() - before}


def _write_store(store: Path, images: int) -> None:
    store.mkdir()
    labels = np.zeros(images, layout.LABEL_DTYPE)
    labels["object_id"] = labels["attribute_id"] = layout.NO_LABEL
    arrays = {
        layout.FEATURES: np.zeros((images, 8), np.float16),
        layout.BOXES: np.tile(np.array([0, 0, 10, 10], np.float32), (images, 1)),
        layout.LABELS: labels,
        layout.OFFSETS: np.arange(images + 1),
        layout.SIZES: np.full((images, 2), 100, np.int32),
        layout.CHECKSUMS: np.zeros(images, np.uint32),
        layout.NAMES: np.array([f"{number:027}".encode() for number in range(images)]),
        layout.NAME_PLACES: np.arange(images),
    }
    for name, values in arrays.items():
        with (store / name).open("wb") as file:
            file.write(layout.npy_header(values.dtype, values.shape))
            values.tofile(file)
    counts = {"images": images, "regions": images, "feature_size": 8, "most_regions": 1}
    index = {"format": layout.FORMAT, "version": layout.VERSION, "dtype": "float16", **counts}
    index |= {"with_objects": 0, "with_attributes": 0, **dict.fromkeys(layout.LARGEST_IDS, layout.NO_ID)}
    write_text(store / layout.INDEX, json.dumps(index))


def measure_reads(store: Path, reads: int) -> dict:
    """Medians in microseconds of a random read, ours and a plain copy of a map; and of a batch, per image."""
    opened = open_regions(store)
    mapped = np.load(store / "features.npy", mmap_mode="r")
    draw = np.random.default_rng(2)

    def ours(places: list[int]) -> object:
        return opened.batch(places)

    def copied(places: list[int]) -> object:
        rows = np.empty((len(places), REGIONS, SIZE), mapped.dtype)
        for row, place in enumerate(places):
            rows[row] = mapped[place * REGIONS : (place + 1) * REGIONS]
        return rows

    def converted(places: list[int]) -> object:
        return copied(places).astype(np.float32)  # type: ignore[attr-defined]

    jobs = {"ours": ours, "map_copied": copied, "map_converted": converted}
    results: dict[str, float] = {}
    kinds = [("warm", 1, reads), ("warm_batch", _BATCH, max(20, reads // _BATCH))]
    for kind, size, rounds in kinds + [(f"{name}_mapped", size, rounds) for name, size, rounds in kinds]:
        mapped = np.load(store / "features.npy", mmap_mode="r")
        with (store / "features.npy").open("rb") as file:  # into the system's memory
            while file.read(2**23):
                pass
        if kind.endswith("_mapped"):  # and every page into the map
            for place in range(len(opened)):
                mapped[place * REGIONS : (place + 1) * REGIONS].max()
        taken: dict[str, list[float]] = {name: [] for name in jobs}
        gc.disable()
        for _ in range(rounds):
            for name in draw.permutation(list(jobs)).tolist():
                places = draw.integers(0, len(opened), size).tolist()
                start = time.perf_counter()
                result = jobs[name](places)
                taken[name].append((time.perf_counter() - start) / size * 1e6)
                del result
        gc.enable()
        results |= {f"{kind}_{name}": statistics.median(times) for name, times in taken.items()}
    for kind, size, rounds in (("cold", 1, 200), ("cold_batch", _BATCH, 10)):
        for name in ("ours", "map_copied"):
            del mapped
            gc.collect()
            for file in store.iterdir():
                _forget(file)
            mapped = np.load(store / "features.npy", mmap_mode="r")
            order = np.random.default_rng(3).permutation(len(opened))  # none twice
            times = []
            for number in range(min(rounds, len(opened) // size)):
                places = order[number * size : (number + 1) * size].tolist()
                start = time.perf_counter()
                jobs[name](places)
                times.append((time.perf_counter() - start) / size * 1e6)
            results[f"{kind}_{name}"] = statistics.median(times)
    for kind in [name.removesuffix("_ours") for name in results if name.endswith("_ours")]:
        results[f"{kind}_ratio"] = results[f"{kind}_ours"] / results[f"{kind}_map_copied"]
    return results


def _forget(file: Path) -> None:
    """Have the system throw a file out of its memory."""
    handle = os.open(file, os.O_RDONLY)
    os.fdatasync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


if __name__ == "__main__":
    if not sys.platform.startswith("linux"):
        raise SystemExit("Memory is measured as Linux tells it; run this on Linux.")
    main()
