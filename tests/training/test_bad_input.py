"""What a run refuses: it names the file or the field, and what was computed before stays."""

import errno
import json
import os
import shutil
import signal

import numpy as np
import pytest

from lxmert.data.features import RegionWriter, open_regions
from lxmert.training import run

from .runs import TINY, differing, left_by, settings_of, tensors, train_until


def questions(scenes, count=8, split="train"):
    """Some questions as JSON."""
    return json.loads((scenes / "vqa" / f"{split}.json").read_text())[:count]


def written(path, value):
    path.write_text(json.dumps(value))
    return str(path)


def store(folder, features, names=("a", "b")):
    """A region store of a few images."""
    with RegionWriter(folder) as writer:
        for name in names:
            writer.add(name, features, np.array([[0, 0, 5, 5]] * len(features), "float32"), (10, 10))
    return str(folder)


def missing_image(scenes, folder):
    rows = questions(scenes)
    rows[3]["img_id"] = "not_there"
    return dict(train=[written(folder / "train.json", rows)]), "not_there"


def twice_the_same_id(scenes, folder):
    rows = questions(scenes)
    rows[3]["question_id"] = rows[2]["question_id"]
    return dict(train=[written(folder / "train.json", rows)]), f"{folder / 'train.json'}"


def no_answer_in_the_table(scenes, folder):
    table = written(folder / "table.json", ["nothing", "of", "this"])
    return dict(answers=table), f"no answer of {scenes / 'vqa' / 'train.json'} is in the table of 3 answers"


def no_questions(scenes, folder):
    return dict(train=[written(folder / "train.json", [])]), f"{folder / 'train.json'}"


def no_answers(scenes, folder):
    rows = questions(scenes)
    for row in rows:
        del row["label"]
    name = written(folder / "train.json", rows)
    return dict(train=[name]), f"train must be files with answers; got {name}, which has none."


def no_answers_to_validate(scenes, folder):
    rows = questions(scenes, split="valid")
    for row in rows:
        del row["label"]
    name = written(folder / "valid.json", rows)
    return dict(valid=[name]), f"valid must be files with answers; got {name}, which has none."


def validation_on_training(scenes, folder):
    return (
        dict(valid=[str(scenes / "vqa" / "train.json")]),
        "training and validation must be disjoint; 17 ids are in both: 0, 1, 2",
    )


def fewer_examples_than_a_batch(scenes, folder):
    return dict(max_examples=3), "batch_size must be at most the number of examples, 3; got 4."


def no_files(scenes, folder):
    return dict(train=[]), "train must be given: the files that the task vqa learns from."


def no_features(scenes, folder):
    return dict(features=[]), "features must be given: the region stores of the images"


def no_vocabulary(scenes, folder):
    return dict(vocabulary=None), "vocabulary must be given for a model from scratch"


def no_table(scenes, folder):
    settings = dict(answers=None, answer_min_count=10**6)
    return settings, "no answer is the best one of 1000000 questions; the most frequent has"


def long_texts(scenes, folder):
    return dict(text_length=25), "text_length must be at most the model's max_position_embeddings, 24; got 25."


def large_vocabulary(scenes, folder):
    return dict(model_config={**TINY, "vocab_size": 20}), "words, and the model 20; pass the vocabulary of the model."


def other_features(scenes, folder):
    return dict(
        model_config={**TINY, "visual_feat_dim": 7}
    ), "region stores of 7 numbers a region, as the model reads; got"


def other_number_of_answers(scenes, folder):
    return dict(model_config={**TINY, "num_qa_labels": 3}), "a table of 3 answers, as many as the model scores; got"


def absent_file(scenes, folder):
    return dict(train=[str(folder / "none.json")]), f"{folder / 'none.json'}"


def a_strategy_of_keras(scenes, folder):
    return dict(strategy="mirrored"), "strategy must be one of auto, single, ddp, fsdp; got 'mirrored'."


BAD = [
    value for name, value in list(globals().items()) if callable(value) and getattr(value, "__module__", "") == __name__
]
BAD = [make for make in BAD if make.__name__ not in ("questions", "written", "store")]


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_refused_before_anything_is_written(make, scenes, tmp_path):
    changes, message = make(scenes, tmp_path)
    with pytest.raises((ValueError, TypeError, OSError)) as caught:
        run.train(settings_of("vqa", scenes, tmp_path / "run", **changes))
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_pre_training_on_a_store_without_labels(scenes, tmp_path):
    name = store(tmp_path / "store", np.ones((2, 5), "float32"))
    settings = settings_of("pretrain", scenes, tmp_path / "run", features=[name])
    with pytest.raises(ValueError, match="the region store has images without"):
        run.train(settings)


def test_a_few_answers_outside_the_table_are_told(scenes, tmp_path, caplog):
    caplog.set_level("INFO", "lxmert")
    rows = questions(scenes)
    rows[2]["label"] = {"something else": 1.0}
    rows[3]["label"] = {}
    name = written(tmp_path / "train.json", rows)
    run.train(settings_of("vqa", scenes, tmp_path / "run", train=[name], epochs=1), progress=True)
    assert (
        f"of the 8 questions of {name}, 1 has answers, but none that is in the table (the first one is 'something "
        in (caplog.text)
    )
    assert "else'), and 1 has no answer with a score: they teach no answer" in caplog.text


# Nothing computed before is lost


@pytest.mark.parametrize("backend", ["pt", pytest.param("tf", marks=pytest.mark.full)])
def test_a_loss_that_is_no_number_any_more(backend, scenes, tmp_path):
    """A rate so high that the numbers overflow."""
    changes = dict(learning_rate=1e30, max_grad_norm=1e9, optimizer="adamw", epochs=2, valid=[], save_every=1)
    settings = settings_of("vqa", scenes, tmp_path, backend=backend, **changes)
    with pytest.raises(ValueError, match=r"training stopped.* (is|are not finite)") as caught:
        run.train(settings)
    assert "before" in str(caught.value)
    kept = tensors(tmp_path / "last" / "model.safetensors")
    assert all(np.isfinite(array).all() for array in kept.values())
    assert json.loads((tmp_path / "last" / "training.json").read_text())["step"] < 8


def test_features_that_became_no_numbers(scenes, tmp_path):
    """The store refuses them when it is written; a disk may still damage it afterwards."""
    with pytest.raises(ValueError, match=r"NaN|finite|number"):
        store(tmp_path / "store", np.array([[np.nan] * 5], "float32"))
    regions = tmp_path / "regions"
    shutil.copytree(scenes / "regions", regions)
    opened = open_regions(regions)
    place = int(opened.places([json.loads((scenes / "vqa" / "valid.json").read_text())[0]["img_id"]])[0])
    features = np.load(regions / "features.npy", mmap_mode="r+")
    features[np.load(regions / "offsets.npy")[place]] = np.nan
    features.flush()
    for task in ("vqa", "pretrain"):
        settings = settings_of(task, scenes, tmp_path / task, features=[str(regions)])
        with pytest.raises(ValueError, match=rf"image '{opened.names[place]}': its features must be finite"):
            run.train(settings)


@pytest.mark.parametrize("place", ["model.safetensors", "optimizer.safetensors", "training.json"])
def test_a_full_disk(place, scenes, tmp_path, monkeypatch):
    settings = settings_of("vqa", scenes, tmp_path, save_every=2)
    train_until(settings, 7, monkeypatch)
    before = {path: path.read_bytes() for path in (tmp_path / "last").iterdir()}

    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "last" / place))

    with monkeypatch.context() as patch:
        if place == "training.json":
            patch.setattr("lxmert.training.progress.Progress.to_dict", fail)
        else:
            owner = "lxmert.weights.save_folder" if place.startswith("model") else "lxmert.training.checkpoints"
            patch.setattr(f"{owner}.write_safetensors", fail)
        with pytest.raises(OSError, match="No space left on device"):
            run.train(settings, resume=True)
    assert {path: path.read_bytes() for path in (tmp_path / "last").iterdir()} == before
    run.train(settings, resume=True)
    expected = settings_of("vqa", scenes, tmp_path / "whole", save_every=2)
    run.train(expected)
    assert differing(left_by(tmp_path), left_by(tmp_path / "whole")) == []


def test_a_limit_of_the_size_of_files(scenes, tmp_path):
    """The system refuses to write more, in the middle of the first checkpoint: told before any training."""
    resource = pytest.importorskip("resource")
    settings = settings_of("vqa", scenes, tmp_path / "run")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            run.train(settings)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list((tmp_path / "run" / "last").glob("*")) == [], "nothing is left but the folders"
    assert (tmp_path / "run" / "logs" / "log.jsonl").read_text() == ""
    run.train(settings)


# Going on


def test_a_resume_with_other_settings(scenes, tmp_path, monkeypatch):
    train_until(settings_of("vqa", scenes, tmp_path), 6, monkeypatch)
    before = left_by(tmp_path)
    other = settings_of("vqa", scenes, tmp_path, learning_rate=2e-3, batch_size=2)
    with pytest.raises(ValueError, match="cannot be resumed with these: batch_size was 4 and is 2; learning_rate was"):
        run.train(other, resume=True)
    assert differing(left_by(tmp_path), before) == []


def test_a_resume_with_other_files_of_the_same_name(scenes, tmp_path, monkeypatch):
    name = written(tmp_path / "train.json", questions(scenes, 16))
    settings = settings_of("vqa", scenes, tmp_path / "run", train=[name])
    train_until(settings, 6, monkeypatch)
    written(tmp_path / "train.json", questions(scenes, 12))
    with pytest.raises(ValueError, match=r"changed since it started: train file .*train.json\. Pass"):
        run.train(settings, resume=True)


def test_a_resume_without_the_weights_of_its_start(scenes, tmp_path, monkeypatch):
    """A run needs nothing but its folder and its data; what is left of its log may be anything."""
    train_until(settings_of("vqa", scenes, tmp_path / "first"), 2, monkeypatch)
    start = (tmp_path / "first" / "last").rename(tmp_path / "start")
    own = dict(model=str(start), vocabulary=None, answers=None, model_config={})
    settings = settings_of("vqa", scenes, tmp_path / "run", **own)
    train_until(settings, 6, monkeypatch)
    shutil.rmtree(start)
    log = tmp_path / "run" / "logs" / "log.jsonl"
    log.write_bytes(log.read_bytes() + b"\0\xff\n[1]\n" + b'{"step": 1, "train/loss": "low"}\n{"st')
    run.train(settings, resume=True)
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()][:8] == [1, 2, 3, 4, 4, 5, 6, 7]
    (tmp_path / "run" / "last" / "optimizer.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"cannot be resumed: last holds no optimizer.safetensors any more"):
        run.train(settings, resume=True)


def test_a_resume_with_the_same_files_by_other_paths(scenes, tmp_path, monkeypatch):
    written(tmp_path / "train.json", questions(scenes, 16))
    monkeypatch.chdir(tmp_path)
    train_until(settings_of("vqa", scenes, tmp_path / "run", train=["train.json"]), 6, monkeypatch)
    run.train(settings_of("vqa", scenes, tmp_path / "run", train=[str(tmp_path / "train.json")]), resume=True)


def test_a_resume_of_nothing(scenes, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no run to resume: there is no last/training.json in it"):
        run.train(settings_of("vqa", scenes, tmp_path / "none"), resume=True)
    assert not (tmp_path / "none").exists()


def test_a_folder_with_another_run(scenes, tmp_path):
    settings = settings_of("vqa", scenes, tmp_path, epochs=1)
    run.train(settings)
    before = left_by(tmp_path)
    with pytest.raises(FileExistsError, match=r"holds a run already. Continue it with resume, or pass another output"):
        run.train(settings)
    shutil.move(tmp_path / "last", tmp_path / "away")
    with pytest.raises(FileExistsError, match=r"holds other things \(away\); pass a new folder as output"):
        run.train(settings)
    away = shutil.move(tmp_path / "away", tmp_path.parent / f"{tmp_path.name}-away")
    with pytest.raises(FileExistsError, match=r"best holds the best checkpoint of a run"):
        run.train(settings)
    shutil.move(away, tmp_path / "last")
    assert differing(left_by(tmp_path), before) == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("training.json", "{", "training.json is not a JSON file"),
        ("training.json", '{"format": 99}', "was not written by this version of the package"),
        ("optimizer.safetensors", "", "optimizer.safetensors"),
        ("model.safetensors", "", "model.safetensors"),
    ],
)
def test_a_damaged_checkpoint(name, text, message, scenes, tmp_path, monkeypatch):
    settings = settings_of("vqa", scenes, tmp_path, save_every=2)
    train_until(settings, 3, monkeypatch)
    (tmp_path / "last" / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        run.train(settings, resume=True)


def test_callbacks_are_for_keras(scenes, tmp_path):
    with pytest.raises(ValueError, match='callbacks are for Keras; with backend "pt" there are none'):
        run.train(settings_of("vqa", scenes, tmp_path), callbacks=[object()])
