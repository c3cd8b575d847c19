"""Flickr30K Entities: the published sentences and annotations, a file of each for every image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from lxmert.utils.foreign_files import read_small, reading
from lxmert.utils.messages import shown
from lxmert.utils.paths import is_base_name

from .columns import CategoricalColumn, TextColumn
from .examples import Phrase, PhraseSentences
from .record_checks import Paths, check_not_empty, list_files

SENTENCES, ANNOTATIONS = "Sentences", "Annotations"
# Without a way back and without brackets inside: a line is gone through once.
_PHRASE = re.compile(r"\[/EN#(?P<entity>[^\s/\[\]]++)(?P<types>(?:/[^\s/\[\]]++)*+)\s++(?P<words>[^\[\]]++)\]")
_LARGEST_FILE = 2**22  # bytes; a published file has some thousand

Boxes = dict[str, tuple[tuple[float, float, float, float], ...]]
"""The boxes of each entity of an image, by its id."""


def read_flickr30k(paths: Paths) -> PhraseSentences:
    """Read sentences and the boxes of what their phrases name.

    Args:
        paths: one split file or several (`train.txt`): the ids of images, one a line. Next to it are the folders
            `Sentences` with ID.txt, and `Annotations` with ID.xml, as the published archive has them.

    A phrase whose entity has no box (of the scene, or of what is not visible) is left out, as in the authors' code, and
    a sentence without any phrase left too. The published coordinates count from 1; these from 0.

    Raises:
        OSError: a file cannot be read.
        ValueError: a wrong file, which is named; an image that is there twice; no phrases with boxes.
    """
    files = list_files(paths)
    ids, texts = TextColumn(), TextColumn()
    images: CategoricalColumn[str] = CategoricalColumn()
    phrases: CategoricalColumn[tuple[Phrase, ...]] = CategoricalColumn()
    for folder, image in _images(files):
        boxes = _read_boxes(folder / ANNOTATIONS / f"{image}.xml")
        for number, (words, found) in enumerate(_read_sentences(folder / SENTENCES / f"{image}.txt", boxes)):
            if found:
                ids.append(f"{image}#{number}")
                texts.append(" ".join(words))
                images.append(image)
                phrases.append(found)
    check_not_empty(len(ids), files, "phrases with boxes")
    return PhraseSentences(ids, texts, images.complete(), phrases.complete(), tuple(files))


def _images(files: list[str]) -> Iterator[tuple[Path, str]]:
    """The folder and the id of each image of the splits."""
    seen: dict[str, str] = {}
    for path in files:
        folder = Path(path).parent
        absent = [name for name in (SENTENCES, ANNOTATIONS) if not (folder / name).is_dir()]
        if absent:
            raise FileNotFoundError(
                f"{path} must be a split file (ids of images, one a line) next to the folders {SENTENCES} and "
                f"{ANNOTATIONS}; there is no {' and no '.join(absent)} in {folder}."
            )
        for number, line in enumerate(_text(Path(path)).splitlines(), 1):
            image = line.strip()
            if not image:
                continue
            if not is_base_name(image) or any(map(str.isspace, image)):
                raise ValueError(f"{path}, line {number:,}: the id of an image is expected; got {shown(image)}.")
            if image in seen:
                raise ValueError(f"{path}, line {number:,}: the image {image} is there twice; before in {seen[image]}.")
            seen[image] = path
            yield folder, image


def _text(path: Path) -> str:
    with reading(path, "is not a text file in UTF-8"):
        return read_small(path, _LARGEST_FILE, "a file of this data set").decode("utf-8-sig")


def _read_sentences(path: Path, boxes: Boxes) -> Iterator[tuple[list[str], tuple[Phrase, ...]]]:
    """The words of each sentence of an image, and its phrases with boxes."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        words: list[str] = []
        phrases: list[Phrase] = []
        end = 0
        for match in _PHRASE.finditer(line):
            words += line[end : match.start()].split()
            own, end = match["words"].split(), match.end()
            if match["entity"] in boxes:
                types = tuple(match["types"].split("/")[1:])
                last = len(words) + len(own) - 1
                phrases.append(Phrase(match["entity"], types, len(words), last, boxes[match["entity"]]))
            words += own
        words += line[end:].split()
        if any("[/EN#" in word for word in words):
            raise ValueError(
                f"{path}, line {number}: a phrase must be written as [/EN#ID/TYPE words]; got {shown(line)}."
            )
        yield words, tuple(phrases)


def _read_boxes(path: Path) -> Boxes:
    """The boxes of each entity of an image."""
    text = _text(path)
    if "<!" in text:  # entities of XML could be made to fill the memory; the published files have none
        raise ValueError(f"{path} must be plain elements of XML; it has a declaration or a comment (<!).")
    with reading(path, "is not an XML file"):
        root = ElementTree.fromstring(text)
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for element in root.iterfind("object"):
        box = element.find("bndbox")
        if box is None or len(box) == 0:
            continue
        for name in element.iterfind("name"):
            found.setdefault((name.text or "").strip(), []).append(_read_box(path, box))
    return {entity: tuple(several) for entity, several in found.items()}


def _read_box(path: Path, box: ElementTree.Element) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(int(box.findtext(side, ""))) - 1 for side in ("xmin", "ymin", "xmax", "ymax"))
    except (ValueError, OverflowError):
        sides = {part.tag: part.text for part in box}
        raise ValueError(f"{path}: bndbox must have xmin, ymin, xmax, ymax as integers; got {shown(sides)}.") from None
    if not (0 <= x1 <= x2 and 0 <= y1 <= y2):
        raise ValueError(f"{path}: a box must have 1 <= xmin <= xmax and 1 <= ymin <= ymax; got {x1, y1, x2, y2}.")
    return x1, y1, x2, y2
