"""One data set written in every format that the pipelines read, with its tables of answers and its vocabulary.

Images, questions, statements and captions come from elsewhere (scenes/, easy_vqa_formats.py); this file decides only
which files there are and how they are called. The folder appears when it is complete, or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lxmert.data.datasets import (
    Questions,
    Sentences,
    Statements,
    write_gqa,
    write_nlvr2,
    write_official_gqa,
    write_official_nlvr2,
    write_official_vqa,
    write_pretraining,
    write_vqa,
)
from lxmert.data.features import RegionWriter
from lxmert.data.features.layout import NO_LABEL
from lxmert.data.synthetic.baselines import image_only, question_only
from lxmert.data.synthetic.example_configs import example_configs
from lxmert.data.synthetic.statements import PAIRS, SET, Statement
from lxmert.data.synthetic.vocabulary import build_vocabulary
from lxmert.utils.atomic_files import replacing_folder, write_text
from lxmert.utils.paths import check_path

SPLITS = ("train", "valid", "test")

# How the official files of GQA and NLVR2 call the splits.
_GQA_SPLIT = {"train": "train", "valid": "val", "test": "testdev"}
_NLVR2_SPLIT = {"train": "train", "valid": "dev", "test": "test1"}


class ImageEntry(NamedTuple):
    """An image as the region store takes it.

    Attributes:
        size: height and width in pixels.
        features: float32 ``[R, F]``.
        boxes: float32 ``[R, 4]``, x1, y1, x2, y2 in 0..1.
        objects: int ``[R]``, what the regions show, `NO_LABEL` where that is no one thing.
        attributes: likewise.
    """

    size: tuple[int, int]
    features: np.ndarray
    boxes: np.ndarray
    objects: np.ndarray
    attributes: np.ndarray


@dataclass(frozen=True)
class DataSet:
    """What is the same for all splits.

    Attributes:
        name: stands in front of the images' names, and as the data type in official VQA files.
        answers: the table of answers.
        objects: what the labels of objects mean.
        attributes: what the labels of attributes mean.
        configs: settings of the example config file of each task.
        about: how the data set was made; goes into the summary.
    """

    name: str
    answers: tuple[str, ...]
    objects: tuple[str, ...]
    attributes: tuple[str, ...]
    configs: Mapping[str, Mapping[str, Any]]
    about: Mapping[str, Any] = field(default_factory=dict)

    def image_name(self, split: str, number: int) -> str:
        """The name of an image, as those of official VQA: data type, split, and its number in twelve digits."""
        return f"{self.name}_{split}_{number:012d}"


@dataclass(frozen=True)
class SplitTexts:
    """All that is said about the images of one split.

    Attributes:
        images: their names, in order.
        questions: with VQA's integers as ids; the question types are the kinds that scores are given for.
        statements: about each set of eight images that are in pairs, as many as there are complete ones.
        captions: sentences that are true of their images.
        shown: for each image how many things of each name it shows, and under "" how many in all.
    """

    images: Sequence[str]
    questions: Questions
    statements: Sequence[Sequence[Statement]]
    captions: Sentences
    shown: Mapping[str, Mapping[str, int]]


class EveryFormat:
    """Writes a data set: first all images of a split in order, then its texts. Made by `writing_every_format`.

    Attributes:
        folder: where the files are written.
        summary: how many there are of what, and the scores of the baselines; complete when the block has ended.
    """

    def __init__(self, folder: Path, data: DataSet, regions: RegionWriter, paired: RegionWriter):
        self.folder = folder
        self.summary: dict[str, Any] = {}
        self._data, self._regions, self._paired = data, regions, paired
        self._texts: dict[str, SplitTexts] = {}
        self._in_pairs: dict[str, list[str]] = {split: [] for split in SPLITS}

    def add_image(self, split: str, image: ImageEntry, number: int, in_pairs: bool = True) -> None:
        """Add the next image of a split.

        Args:
            split: one of `SPLITS`.
            image: what is in it.
            number: of the image, in no other split.
            in_pairs: whether statements are made about it: the first two of these are a pair, and so on.
        """
        name = self._data.image_name(split, number)
        _add(self._regions, name, image)
        if in_pairs:
            place = len(self._in_pairs[split])
            self._in_pairs[split].append(name)
            # NLVR2's official files name no images: a reader finds them by the statement's identifier.
            _add(self._paired, f"{_pair_stem(split, place)}-img{place % 2}", image)

    def add_texts(self, split: str, texts: SplitTexts) -> None:
        """Write what is said about the images of a split in every format."""
        self._texts[split] = texts
        questions = texts.questions
        folder = self.folder
        for task in ("vqa", "gqa"):
            (folder / task / "official").mkdir(parents=True, exist_ok=True)
        (folder / "pretrain").mkdir(exist_ok=True)

        write_vqa(folder / "vqa" / f"{split}.json", questions)
        stem, official = f"{self._data.name}_{split}", folder / "vqa" / "official"
        write_official_vqa(
            official / f"v2_OpenEnded_{stem}_questions.json",
            official / f"v2_{stem}_annotations.json",
            questions,
            self._data.name,
            split,
        )
        gqa = _as_gqa(questions)
        write_gqa(folder / "gqa" / f"{split}.json", gqa)
        write_official_gqa(folder / "gqa" / "official" / f"{_GQA_SPLIT[split]}_balanced_questions.json", gqa)

        own, official_pairs = _as_nlvr2(split, self._in_pairs[split], texts.statements)
        write_nlvr2(folder / "nlvr2" / f"{split}.json", own)
        write_official_nlvr2(folder / "nlvr2" / "official" / f"{_NLVR2_SPLIT[split]}.json", official_pairs)

        write_pretraining(folder / "pretrain" / f"captions_{split}.json", texts.captions)
        asked = Sentences(
            texts=questions.texts,
            images=questions.images,
            sources=[f"{self._data.name}_qa"] * len(questions),
            answers=[*(questions.answers or ())],
        )
        write_pretraining(folder / "pretrain" / f"questions_{split}.json", asked)
        self.summary.setdefault("splits", {})[split] = {
            "images": len(texts.images),
            "questions": len(questions),
            "statements": len(own),
            "captions": len(texts.captions),
        }

    def write_shared(self) -> None:
        """Write what all splits share: tables, vocabulary, summary."""
        data, folder = self._data, self.folder
        for task in ("vqa", "gqa"):
            _write_json(folder / task / "trainval_ans2label.json", {word: at for at, word in enumerate(data.answers)})
            _write_json(folder / task / "trainval_label2ans.json", data.answers)
        every = [{"ans": answer, "dsets": ["vqa", "gqa"]} for answer in data.answers]
        _write_json(folder / "pretrain" / "all_ans.json", every)
        write_text(folder / "objects.txt", "".join(f"{word}\n" for word in data.objects))
        write_text(folder / "attributes.txt", "".join(f"{word}\n" for word in data.attributes))
        write_text(folder / "vocab.txt", "".join(f"{word}\n" for word in build_vocabulary(self._all_texts())))
        for name, text in example_configs(data.configs, len(data.objects), len(data.attributes)).items():
            write_text(folder / name, text)
        train, test = self._texts["train"].questions, self._texts["test"].questions
        shown = {**self._texts["train"].shown, **self._texts["test"].shown}
        self.summary = {
            "data": data.name,
            **data.about,
            **self.summary,
            "baselines": {
                "question only": question_only(train, test),
                "image only": image_only(train, test, shown),
            },
        }
        _write_json(folder / "summary.json", self.summary)

    def _all_texts(self) -> Iterator[str]:
        for texts in self._texts.values():
            yield from texts.questions.texts
            yield from texts.captions.texts
            yield from (statement.text for made in texts.statements for statement in made)


def _write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1) + "\n")


def _add(writer: RegionWriter, name: str, image: ImageEntry) -> None:
    height, width = image.size
    # Whole pixels, as the regions were found; so the store's parts of width and height are those that were given.
    boxes = np.rint(image.boxes * np.array([width, height, width, height], np.float32))
    labels: dict[str, np.ndarray] = {}
    for kind, ids in (("object", image.objects), ("attribute", image.attributes)):
        labels[f"{kind}_ids"] = ids
        labels[f"{kind}_confidence"] = (ids != NO_LABEL).astype(np.float32)
    writer.add(name, image.features, boxes, image.size, **labels)


def _as_gqa(questions: Questions) -> Questions:
    """The same questions as GQA has them: ids are texts, and the types say whether yes or no is the answer."""
    yes_no = [answers.keys() <= {"yes", "no"} for answers in questions.answers or ()]
    return replace(
        questions,
        ids=[f"{number:09d}" for number in questions.ids],
        question_types=["verify" if binary else "query" for binary in yes_no],
        answer_types=None,
    )


def _pair_stem(split: str, place: int) -> str:
    """What the identifiers begin with of statements about the pair that the image at `place` is in."""
    return f"{_NLVR2_SPLIT[split]}-{place // SET}-{place % SET // 2}"


def _as_nlvr2(
    split: str, images: Sequence[str], statements: Sequence[Sequence[Statement]]
) -> tuple[Statements, Statements]:
    """Statements about the images by their own names, and by those that the official files give them."""
    ids, words, labels, own, named = [], [], [], [], []
    for number, made in enumerate(statements):
        for place, statement in enumerate(made):
            for pair in range(PAIRS):
                first = number * SET + 2 * pair
                stem = _pair_stem(split, first)
                ids.append(f"{stem}-{place}")
                words.append(statement.text)
                labels.append(int(statement.labels[pair]))
                own.append((images[first], images[first + 1]))
                named.append((f"{stem}-img0", f"{stem}-img1"))
    return Statements(ids, words, own, labels), Statements(ids, words, named, labels)


@contextmanager
def writing_every_format(folder: str | Path, data: DataSet, dtype: str = "float32") -> Iterator[EveryFormat]:
    """Give a writer of a data set; when the block ends well all of it is in `folder`, else nothing.

    Args:
        folder: where it is to be; nothing, or an empty folder, is there.
        data: what is to be written.
        dtype: of the features, float32 (as they were made) or float16 (half the size).

    Raises:
        FileExistsError: there is something in `folder`.
        NotADirectoryError: `folder` is a file.
        ValueError: another dtype.
    """
    check_path("the folder", folder)
    with replacing_folder(folder, "the data set") as made:
        paired = made / "nlvr2" / "official" / "regions"
        with RegionWriter(made / "regions", dtype) as regions, RegionWriter(paired, dtype) as pairs:
            target = EveryFormat(made, data, regions, pairs)
            yield target
            target.write_shared()


def sentences(images: Iterable[str], captions: Iterable[Sequence[str]], source: str) -> Sentences:
    """Captions, some for each image, as sentences of pre-training."""
    texts: list[str] = []
    owners: list[str] = []
    for image, some in zip(images, captions, strict=True):
        texts += some
        owners += [image] * len(some)
    return Sentences(texts=texts, images=owners, sources=[source] * len(texts), answers=[None] * len(texts))
