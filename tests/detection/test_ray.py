"""Pipelines of Ray Data on a cluster of two workers, one of which is killed on the way: equal to one process."""

import os
import re
import signal
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lxmert.cli import main
from lxmert.data.features import ImportOptions, import_regions, open_regions
from lxmert.data.synthetic.scenes.generate import FEWEST_IMAGES, make_scenes
from lxmert.detection.extraction import extract_features
from lxmert.detection.extraction import ray as ray_extract
from lxmert.detection.extraction.photographs import find_photographs
from lxmert.detection.extraction.ray import DetectorOnRay, RegionWorker, region_dataset
from lxmert.detection.extraction.tables import regions_table, table_regions
from lxmert.inference import ray_answering
from lxmert.inference.answering import VisualQuestionAnswering
from lxmert.inference.ray_answering import AnsweringWorker, answer_on_ray
from lxmert.training import ray_prediction, run, trained_model
from lxmert.training.ray_prediction import PredictionWorker
from lxmert.utils import ray_pipeline
from lxmert.utils.ray_cluster import RayCluster, connected, worker_resources
from lxmert.utils.ray_pipeline import _Attempts, results_in_order
from lxmert.vision.detections import ImageDetections
from tests.compare import assert_same
from tests.tolerances import OUTPUTS
from tests.training.runs import settings_of

# Ray sets options of its own that it warns of.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")
TWO = RayCluster(workers=2)


@pytest.fixture(scope="module")
def cluster():
    """Ray on this machine, for all tests of the file."""
    import ray.data

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("OMP_NUM_THREADS", "1")
        before = signal.getsignal(signal.SIGTERM)
        ray.data.DataContext.get_current()  # now, as `pytest.warns` undoes the filter
        options = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
        ray.init("local", num_cpus=2, object_store_memory=200 * 2**20, **options)
        yield
        ray.shutdown()
        signal.signal(signal.SIGTERM, before)


def dying(worker, folder):
    """A worker that kills its process with the second block that it gets, once in a test."""

    class Dying(worker):
        blocks = 0

        def __call__(self, table):
            self.blocks += 1
            if self.blocks == 2 and not (Path(folder) / "killed").exists():
                (Path(folder) / "killed").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().__call__(table)

    return Dying


def draw(path, number):
    """A photograph of two shapes."""
    image = Image.new("RGB", (60, 40 + number), "white")
    ImageDraw.Draw(image).ellipse([5, 5, 15 + number, 20], fill="red")
    ImageDraw.Draw(image).rectangle([35, 22, 55, 35], fill="blue")
    image.save(path)
    return str(path)


def test_tables_of_regions_keep_every_number(tmp_path):
    """Those of an image without regions too; and as a Parquet file they are imported as the same."""
    import pyarrow.parquet

    rng = np.random.default_rng(3)
    found = []
    for count in (3, 0, 2):
        features, scores = rng.standard_normal((count, 5), np.float32), rng.random((2, count), np.float32)
        boxes = np.sort(rng.random((count, 2, 2), np.float32), axis=1).reshape(count, 4) * 7
        ids = rng.integers(0, 9, (2, count))
        found.append(ImageDetections(features, boxes, (7, 9), ids[0], scores[0], ids[1], scores[1]))
    table = regions_table(["a", "b", "c", "d"], [*found[:2], "it is truncated", found[2]], feature_size=5)
    names, images = zip(*table_regions(table, feature_size=5), strict=True)
    assert (names, images[2]) == (("a", "b", "c", "d"), "it is truncated")
    for wanted, image in zip(found, [*images[:2], images[3]], strict=True):
        for name, value in vars(wanted).items():
            given = getattr(image, name)
            assert np.array_equal(given, value), name
            assert name == "size" or (given.dtype, given.shape) == (value.dtype, value.shape)

    pyarrow.parquet.write_table(table, tmp_path / "part.parquet")
    report = import_regions([tmp_path / "part.parquet"], tmp_path / "store", ImportOptions(skip_damaged=True))
    assert [line.partition("image ")[2] for line in report.skipped][1] == "'c': it is truncated"
    store = open_regions(tmp_path / "store")
    assert store.names == ["a", "d"]
    for place, wanted in enumerate((found[0], found[2])):
        stored = store.batch([place], labels=True)
        assert np.array_equal(stored["visual_feats"][0], wanted.features)
        assert np.array_equal(stored["visual_pos"][0], wanted.normalized_boxes)
        for kind in ("object", "attribute"):
            assert np.array_equal(stored[f"{kind}_ids"][0], getattr(wanted, f"{kind}_ids"))
            assert np.array_equal(stored[f"{kind}_confidence"][0], getattr(wanted, f"{kind}_scores"))


def test_what_is_missing_is_named(monkeypatch, capsys, tmp_path):
    with pytest.raises(ValueError, match=r"^workers must be at least 1; got 0\."):
        RayCluster(workers=0)
    command = ["predict", "vqa", "easy-vqa", "--questions", "q.json", "--output", str(tmp_path / "out.json")]
    assert main([*command, "--ray", "lcoal"]) == 1
    assert (
        """--ray must be "local", "auto" or that of a cluster, "HOST:6379"; got 'lcoal'.""" in capsys.readouterr().err
    )
    assert main([*command, "--workers", "2"]) == 1
    assert "--workers is for --ray" in capsys.readouterr().err
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(ConnectionError, match=r"there is no cluster of Ray at '127\.0\.0\.1:1'"):
        connected(RayCluster("127.0.0.1:1"), "A test").__enter__()
    with pytest.raises(ValueError, match=r"must be in files.*'gray' is in memory"):
        extract_features({"gray": np.zeros((9, 9, 3), np.uint8)}, tmp_path / "store", DetectorOnRay("shapes"))
    monkeypatch.setitem(sys.modules, "ray.data", None)
    assert main([*command, "--ray", "local"]) == 1
    assert 'pip install "lxmert[ray]"' in capsys.readouterr().err


class OddError(Exception):
    """Not one of Python's own."""


class Picky:
    """Refuses a number, or to be made."""

    def __init__(self, refused=None):
        if refused == "unknown":
            raise OddError(f"{refused} is refused.")
        self.refused = refused
        warnings.warn("made", UserWarning, stacklevel=1)

    def __call__(self, table):
        if self.refused in table["number"].to_pylist():
            raise ValueError(f"{self.refused} is refused.")
        return table


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Pipelines whose only worker is in this process, without a cluster."""

    def run_here(blocks, worker, arguments, cluster, around):
        attempts = SimpleNamespace(begin=SimpleNamespace(remote=_Attempts().begin))
        made = around(worker=worker, arguments=arguments, attempts=attempts, folder=str(tmp_path))
        return SimpleNamespace(iter_batches=lambda **_: map(made, blocks))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ray.get", lambda value: value)
    monkeypatch.setattr(ray_pipeline, "pipeline", run_here)


def test_errors_and_warnings_of_workers(here):
    """They arrive as they were raised, a warning once; a block that ends every process is no endless loop."""
    import pyarrow

    blocks = [pyarrow.table({"number": [5, number], "block": [number] * 2}) for number in (6, 7, 7, 7, 7, 7, 7, 8)]
    results = results_in_order(blocks, Picky, {"refused": 8}, TWO)
    with pytest.warns(UserWarning, match="^made$") as told:
        found = [next(results)["number"].to_pylist() for _ in range(6)]
    assert (found, len(told)) == ([[5, 6], *[[5, 7]] * 5], 1)
    with pytest.raises(RuntimeError, match=r"died 5 times, each time at the same 2 rows.*'number': 5"):
        next(results)
    with pytest.warns(UserWarning, match="^made$"), pytest.raises(ValueError, match=r"^8 is refused\.$"):
        list(results_in_order(blocks[-1:], Picky, {"refused": 8}, TWO))
    with pytest.raises(RuntimeError, match=r"^OddError: unknown is refused\.$"):
        list(results_in_order(blocks, Picky, {"refused": "unknown"}, TWO))


@pytest.mark.parametrize(
    ("workers", "gpus", "found"),
    [
        (None, False, (2, 4, 0)),  # one on each machine
        (3, False, (3, 4, 0)),
        (4, False, (4, 3, 0)),
        (13, False, (13, 1, 0)),
        (14, False, "CPUs of the cluster, 13; got 14"),
        (None, None, (2, 1, 1)),  # one on each GPU
        (1, True, (1, 1, 1)),
        (3, True, "GPUs of the cluster, 2; got 3"),
    ],
)
def test_what_each_worker_gets(workers, gpus, found, monkeypatch):
    resources = [{"CPU": 4.0}, {"CPU": 9.0, "GPU": 2.0}, {"memory": 1e9}]
    machines = [{"Alive": True, "Resources": one} for one in resources]
    monkeypatch.setattr("ray.nodes", lambda: [*machines, {"Alive": False, "Resources": {"CPU": 99.0}}])
    cluster = RayCluster("auto", workers, gpus)
    if isinstance(found, str):
        with pytest.raises(ValueError, match=found):
            worker_resources(cluster, 99)
    else:
        assert worker_resources(cluster, 99) == found
        assert worker_resources(cluster, 1) == (1, *found[1:]), "a worker without work is not started"


def files_of(folder):
    """The content of each file of a store."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.full
def test_extraction(cluster, tmp_path, monkeypatch, capsys):
    """The same store, byte for byte, with a damaged photograph; and Parquet files that are imported as the same."""
    (tmp_path / "photos").mkdir()
    for number in range(40):
        draw(tmp_path / "photos" / f"{number:02}.png", number)
    (tmp_path / "photos" / "25.png").write_bytes(b"no image")
    monkeypatch.chdir(tmp_path)
    command = ["features", "extract", "photos", "--detector", "shapes"]
    assert main([*command[:3], "one", *command[3:]]) == 0
    one = capsys.readouterr().out
    assert "Pillow cannot read photos/25.png" in one
    monkeypatch.setattr(ray_extract, "RegionWorker", dying(RegionWorker, tmp_path))
    assert main([*command[:3], "ray", *command[3:], "--ray", "local", "--workers", "2"]) == 0
    assert (tmp_path / "killed").exists()
    assert capsys.readouterr().out == one.replace("one: ", "ray: ")
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "one")

    (tmp_path / "killed").unlink()
    regions = region_dataset(find_photographs("photos"), "shapes", cluster=TWO)
    regions.write_parquet(str(tmp_path / "parts"))
    assert (tmp_path / "killed").exists()
    assert main(["features", "import", "parts", "imported", "--skip-damaged"]) == 0
    assert re.search("skipped: .*image '25': .*Pillow cannot read photos/25.png", capsys.readouterr().out)
    stores = [open_regions(tmp_path / name) for name in ("one", "imported")]
    assert [sorted(store.names) for store in stores] == [[f"{n:02}" for n in range(40) if n != 25]] * 2
    places = [store.places(stores[0].names) for store in stores]
    batches = [store.batch(place, labels=True) for store, place in zip(stores, places, strict=True)]
    assert all(np.array_equal(batches[0][name], batches[1][name]) for name in batches[0])


@pytest.mark.full
def test_predictions(cluster, tmp_path, monkeypatch):
    make_scenes(tmp_path / "scenes", FEWEST_IMAGES, progress=False)
    monkeypatch.setattr(trained_model, "_BATCHES", 2)
    monkeypatch.setattr(ray_prediction, "PredictionWorker", dying(PredictionWorker, tmp_path))
    run.train(settings_of("vqa", tmp_path / "scenes", tmp_path / "run", learning_rate=5e-3))
    questions = str(tmp_path / "scenes" / "vqa" / "test.json")
    command = ["predict", "vqa", str(tmp_path / "run" / "best"), "--questions", questions, "--batch-size", "3"]
    assert main([*command, "--output", str(tmp_path / "one.json")]) == 0
    assert main([*command, "--output", str(tmp_path / "ray.json"), "--ray", "local", "--workers", "2"]) == 0
    assert (tmp_path / "killed").exists()
    assert (tmp_path / "ray.json").read_bytes() == (tmp_path / "one.json").read_bytes()


@pytest.mark.full
def test_answers_about_photographs(cluster, tmp_path, monkeypatch):
    images = [draw(tmp_path / f"{number}.png", number) for number in range(8)]
    (tmp_path / "3.png").write_bytes(b"no image")
    texts = ["what color is the circle?", "is there a blue rectangle?", "what shape is in the image?"]
    asked = [(image, text) for text in texts for image in images]
    monkeypatch.setattr(ray_answering, "AnsweringWorker", dying(AnsweringWorker, tmp_path))
    found = list(answer_on_ray("easy-vqa", asked, cluster=TWO, top_k=2, block_size=4, progress=True))
    assert (tmp_path / "killed").exists()
    assert [(one.image, one.question) for one in found] == asked
    good = [one for one in found if one.error is None]
    assert {one.image for one in found if one.error is not None} == {images[3]}
    assert all("Pillow cannot read" in one.error and not one.answers for one in found if one.error is not None)
    one_process = VisualQuestionAnswering.from_pretrained("easy-vqa", pack_weights=False)
    wanted = one_process([one.image for one in good], [one.question for one in good], top_k=2)
    for one, answers in zip(good, wanted, strict=True):
        assert [answer["answer"] for answer in one.answers] == [answer["answer"] for answer in answers]
        scores = ([answer["score"] for answer in some] for some in (one.answers, answers))
        assert_same(*scores, tolerance=OUTPUTS["float32"])  # other questions are beside each
