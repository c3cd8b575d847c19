"""Load a model in PyTorch, in Keras, or in both, and ask it about an image.

    python examples/ask_about_an_image.py                       # both backends
    python examples/ask_about_an_image.py --backend pt

The checkpoint "easy-vqa" is a part of the package: a small LXMERT that knows images of coloured shapes.
Needs: pip install -e ".[pt,data]", and ".[tf,data]" for Keras.
"""

import argparse

from PIL import Image, ImageDraw

from lxmert import VisualQuestionAnswering

QUESTIONS = ["what color is the circle?", "is there a triangle?", "what shape is in the image?"]


def draw_image() -> Image.Image:
    """Draw a red circle on a white background."""
    image = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(image).ellipse((16, 12, 48, 44), fill="red")
    return image


def main() -> None:
    """Answer three questions in each backend that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("pt", "tf"), nargs="+", default=["pt", "tf"])
    parser.add_argument("--model", default="easy-vqa", help="easy-vqa, easy-vqa-visual-bert, or a folder")
    arguments = parser.parse_args()
    image = draw_image()
    for backend in arguments.backend:
        ask = VisualQuestionAnswering.from_pretrained(arguments.model, backend=backend)
        print(f"{type(ask.model).__name__}:")
        for question, answers in zip(QUESTIONS, ask(image, QUESTIONS, top_k=2), strict=True):
            print(f"  {question:30}", *(f"{answer['answer']} {answer['score']:.4f}" for answer in answers), sep="  ")


if __name__ == "__main__":
    main()
