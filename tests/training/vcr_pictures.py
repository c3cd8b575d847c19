"""A folder as VCR is published: drawn images, the JSON file of each, and questions that only the images answer."""

import json

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220)}
WORDS = "what colour is it ? red blue no yes because the person has a car casey riley ."


def make_vcr(folder, counts):
    """Draw images, and write `vcr1images`, one JSON-lines file of questions for each split, and `vocab.txt`.

    Args:
        folder: where.
        counts: the number of images by split, such as {"train": 12, "val": 4}.
    """
    (folder / "vcr1images" / "movie").mkdir(parents=True)
    (folder / "vocab.txt").write_text(f"[PAD] [UNK] [CLS] [SEP] [MASK] {WORDS}".replace(" ", "\n"))
    random, number = np.random.default_rng(0), 0
    for split, count in counts.items():
        lines = []
        for _ in range(count):
            colour = list(COLOURS)[number % 2]
            lines.append(json.dumps(_question(_draw(folder / "vcr1images", number, colour, random), colour, random)))
            number += 1
        (folder / f"{split}.jsonl").write_text("\n".join(lines))


def _draw(images, number, colour, random):
    """A person, and a car whose outline is an octagon; returns the path below the folder of images."""
    width, height = random.integers(60, 140, 2).tolist()
    picture = Image.new("RGB", (width, height), (200, 200, 190))
    draw = ImageDraw.Draw(picture)
    person = [2, 2, width // 3, height - 3]
    draw.rectangle(person, (90, 160, 90))
    car = np.array([width * 0.4, height * 0.2, width * 0.95, height * 0.9])
    angles = np.arange(8) * np.pi / 4
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    outline = (car[:2] + car[2:]) / 2 + unit * (car[2:] - car[:2]) / 2
    draw.polygon([tuple(point) for point in outline.tolist()], COLOURS[colour])
    name = f"movie/{number}@0.png"
    picture.save(images / name)
    metadata = {
        "boxes": [[*map(float, person), 0.99], [*car.tolist(), 0.9]],
        "segms": [[[[2, 2], [width // 3, 2], [width // 3, height - 3], [2, height - 3]]], [outline.tolist()]],
        "names": ["person", "car"],
        "width": width,
        "height": height,
    }
    (images / name).with_suffix(".json").write_text(json.dumps(metadata))
    return name


def _question(name, colour, random):
    order = random.permutation(4).tolist()
    answers = [["red"], ["blue"], ["no"], ["yes"]]
    return {
        "annot_id": f"id-{name}",
        "img_fn": name,
        "metadata_fn": name.replace(".png", ".json"),
        "objects": ["person", "car"],
        "question": ["what", "colour", "is", "the", [1], "?"],
        "answer_choices": [answers[place] for place in order],
        "rationale_choices": [["because", "it", "is", *answers[place]] for place in order],
        "answer_label": order.index(list(COLOURS).index(colour)),
        "rationale_label": order.index(list(COLOURS).index(colour)),
    }
