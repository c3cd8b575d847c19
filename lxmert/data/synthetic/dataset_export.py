"""Write one data set in every format that the readers know, with its answer tables and its vocabulary.

scenes/ and easy_vqa_export.py make images, questions, statements and captions; this file decides which files there are.
The folder appears when it is complete, or not at all.
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

# The official files' names of the splits.
_GQA_SPLIT = {"train": "train", "valid": "val", "test": "testdev"}
_NLVR2_SPLIT = {"train": "train", "valid": "dev", "test": "test1"}


class ImageEntry(NamedTuple):
    """An image for the region store.

    Attributes:
        size: height and width in pixels.
        features: float32 ``[R, F]``.
        boxes: float32 ``[R, 4]``, x1, y1, x2, y2 in 0..1.
        objects, attributes: int ``[R]``, the labels of the regions, `NO_LABEL` for none.
    """

    size: tuple[int, int]
    features: np.ndarray
    boxes: np.ndarray
    objects: np.ndarray
    attributes: np.ndarray


@dataclass(frozen=True)
class DatasetInfo:
    """What all splits share.

    Attributes:
        name: the prefix of the images' names, and the data type in official VQA files.
        answers: the answer table.
        objects, attributes: the meaning of the labels.
        configs: settings of the example config file of each task.
        about: how the data set was made, for the summary.
    """

    name: str
    answers: tuple[str, ...]
    objects: tuple[str, ...]
    attributes: tuple[str, ...]
    configs: Mapping[str, Mapping[str, Any]]
    about: Mapping[str, Any] = field(default_factory=dict)

    def image_name(self, split: str, number: int) -> str:
        """The name of an image, as in official VQA: data type, split, and its number in twelve digits."""
        return f"{self.name}_{split}_{number:012d}"


@dataclass(frozen=True)
class SplitTexts:
    """All texts about the images of one split.

    Attributes:
        images: their names, in order.
        questions: with VQA's integer ids; scores are given by question type.
        statements: about each complete set of eight images that are in pairs.
        captions: true sentences.
        shown: for each image the number of things of each name, and of all things under "".
    """

    images: Sequence[str]
    questions: Questions
    statements: Sequence[Sequence[Statement]]
    captions: Sentences
    shown: Mapping[str, Mapping[str, int]]


class DatasetWriter:
    """Writes a data set: first all images of a split in order, then its texts. `dataset_writer` makes it.

    Attributes:
        folder: where the files are written.
        summary: the counts, and the scores of the baselines; complete after the block.
    """

    def __init__(self, folder: Path, data: DatasetInfo, regions: RegionWriter, paired: RegionWriter):
        self.folder = folder
        self.summary: dict[str, Any] = {}
        self._data, self._regions, self._paired = data, regions, paired
        self._texts: dict[str, SplitTexts] = {}
        self._paired_images: dict[str, list[str]] = {split: [] for split in SPLITS}

    def add_image(self, split: str, image: ImageEntry, number: int, in_pairs: bool = True) -> None:
        """Add the next image of a split.

        Args:
            split: one of `SPLITS`.
            image: its regions.
            number: of the image, in no other split.
            in_pairs: whether statements are made about it: the first two of these are a pair, and so on.
        """
        name = self._data.image_name(split, number)
        _add(self._regions, name, image)
        if in_pairs:
            place = len(self._paired_images[split])
            self._paired_images[split].append(name)
            # NLVR2's official files do not name images: a reader derives the names from the statement's identifier.
            _add(self._paired, f"{_pair_stem(split, place)}-img{place % 2}", image)

    def add_texts(self, split: str, texts: SplitTexts) -> None:
        """Write the texts about the images of a split in every format."""
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
        gqa = _gqa_questions(questions)
        write_gqa(folder / "gqa" / f"{split}.json", gqa)
        write_official_gqa(folder / "gqa" / "official" / f"{_GQA_SPLIT[split]}_balanced_questions.json", gqa)

        own, official_pairs = _nlvr2_statements(split, self._paired_images[split], texts.statements)
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
        """Write what all splits share: tables, vocabulary, example configs, summary."""
        data, folder = self._data, self.folder
        for task in ("vqa", "gqa"):
            _write_json(folder / task / "trainval_ans2label.json", {word: at for at, word in enumerate(data.answers)})
            _write_json(folder / task / "trainval_label2ans.json", data.answers)
        pretraining_answers = [{"ans": answer, "dsets": ["vqa", "gqa"]} for answer in data.answers]
        _write_json(folder / "pretrain" / "all_ans.json", pretraining_answers)
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
    # Whole pixels, as regions are found; so the store's fractions of width and height are exactly the given ones.
    boxes = np.rint(image.boxes * np.array([width, height, width, height], np.float32))
    labels: dict[str, np.ndarray] = {}
    for kind, ids in (("object", image.objects), ("attribute", image.attributes)):
        labels[f"{kind}_ids"] = ids
        labels[f"{kind}_confidence"] = (ids != NO_LABEL).astype(np.float32)
    writer.add(name, image.features, boxes, image.size, **labels)


def _gqa_questions(questions: Questions) -> Questions:
    """The same questions for GQA: ids are strings, and the types say whether the answer is yes or no."""
    yes_no = [answers.keys() <= {"yes", "no"} for answers in questions.answers or ()]
    return replace(
        questions,
        ids=[f"{number:09d}" for number in questions.ids],
        question_types=["verify" if binary else "query" for binary in yes_no],
        answer_types=None,
    )


def _pair_stem(split: str, place: int) -> str:
    """The start of the identifiers of statements about the pair with the image at `place`."""
    return f"{_NLVR2_SPLIT[split]}-{place // SET}-{place % SET // 2}"


def _nlvr2_statements(
    split: str, images: Sequence[str], statements: Sequence[Sequence[Statement]]
) -> tuple[Statements, Statements]:
    """Statements about the images by their own names, and by the names in official files."""
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
def dataset_writer(folder: str | Path, data: DatasetInfo, dtype: str = "float32") -> Iterator[DatasetWriter]:
    """Yield a writer of a data set; `folder` appears with all of it when the block succeeds, otherwise not at all.

    Args:
        folder: it must not exist, or be empty.
        data: what all splits share.
        dtype: of the features, float32 (exact) or float16 (half the size).

    Raises:
        FileExistsError: `folder` is not empty.
        NotADirectoryError: `folder` is a file.
        ValueError: another dtype.
    """
    check_path("the folder", folder)
    with replacing_folder(folder, "the data set") as made:
        paired = made / "nlvr2" / "official" / "regions"
        with RegionWriter(made / "regions", dtype) as regions, RegionWriter(paired, dtype) as pairs:
            target = DatasetWriter(made, data, regions, pairs)
            yield target
            target.write_shared()


def captions_column(images: Iterable[str], captions: Iterable[Sequence[str]], source: str) -> Sentences:
    """The captions of each image, as sentences of pre-training."""
    texts: list[str] = []
    owners: list[str] = []
    for image, some in zip(images, captions, strict=True):
        texts += some
        owners += [image] * len(some)
    return Sentences(texts=texts, images=owners, sources=[source] * len(texts), answers=[None] * len(texts))
