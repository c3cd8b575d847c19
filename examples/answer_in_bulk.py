"""Answer many questions about many images: write the regions to a store once, then answer from the store.

    python examples/answer_in_bulk.py

Each image is encoded once for all of its questions. The same call works with a Keras model.
Needs: pip install -e ".[pt,data]".
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from lxmert import VisualQuestionAnswering
from lxmert.data.features import RegionWriter, open_regions
from lxmert.inference.bulk import answer_questions
from lxmert.vision.shapes.regions import image_regions

COLOURS = ("red", "blue", "green", "yellow", "black", "gray", "teal", "brown")
SIZE = 64


def draw_image(colour: str) -> Image.Image:
    """Draw one circle."""
    image = Image.new("RGB", (SIZE, SIZE), "white")
    ImageDraw.Draw(image).ellipse((16, 12, 48, 44), fill=colour)
    return image


def main() -> None:
    """Write a store of eight images, and answer three questions about each."""
    ask = VisualQuestionAnswering.from_pretrained("easy-vqa", backend="pt")
    questions = [
        (colour, question)  # the image's name in the store, and a question about it
        for colour in COLOURS
        for question in ("what color is the circle?", f"is there a {colour} shape?", "is there a rectangle?")
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "regions"
        with RegionWriter(path) as writer:
            for colour in COLOURS:
                features, boxes = image_regions(draw_image(colour))
                writer.add(colour, features, np.rint(boxes * SIZE), size=(SIZE, SIZE))  # boxes in pixels
        store = open_regions(path)
        answers = answer_questions(ask.model, ask.tokenizer, questions, store, ask.answers)
        for (image, question), answer in zip(questions, answers, strict=True):
            print(f"{image:8} {question:30} {answer.answer:8} {answer.score:.2f}")


if __name__ == "__main__":
    main()
