"""Drawn images whose answers are known, and the objects that answer about them."""

import pytest
from PIL import Image, ImageDraw

from lxmert import VisualQuestionAnswering

BACKENDS = ("pt", "tf")
CHECKPOINTS = {"easy-vqa": "lxmert", "easy-vqa-visual-bert": "visual_bert"}


@pytest.fixture(scope="package", params=CHECKPOINTS)
def answerers(request):
    return {backend: VisualQuestionAnswering.from_pretrained(request.param, backend=backend) for backend in BACKENDS}


@pytest.fixture(params=BACKENDS)
def answerer(answerers, request):
    return answerers[request.param]


def draw(size=(64, 64), shape="ellipse", colour="red", background="white", count=1):
    """Shapes side by side in one image."""
    image = Image.new("RGB", size, background)
    width = size[0] / max(count, 1)
    for place in range(count):
        box = [width * (place + 0.25), size[1] * 0.25, width * (place + 0.7), size[1] * 0.75]
        getattr(ImageDraw.Draw(image), shape)(box, fill=colour)
    return image
