"""The code blocks of the documentation, and the folder that they run in. docs/README.md tells readers the same."""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

from tests.detection.photographs import CHINA

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]
# Their commands, options and links are checked; they have no block that runs.
OTHER_PAGES = [name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md") if (ROOT / name).is_file()]

_FENCE = re.compile(r"^( *)```(.*)$")
_NOT_RUN = re.compile(r"<!-- not run: (.+) -->")


class Block(NamedTuple):
    """A code block: where it begins, its language, its text, and why it is not run ("" if it is)."""

    page: str
    line: int
    language: str
    text: str
    not_run: str

    @property
    def commands(self) -> list[str]:
        """The commands of a shell block. Lines that end in a backslash continue; comments are left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


def blocks_of(page: str) -> list[Block]:
    """The code blocks of a page, in order."""
    found, opened = [], None
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        fence = _FENCE.match(line)
        if fence is None:
            continue
        if opened is None:
            opened = number
            continue
        reason = _NOT_RUN.fullmatch(lines[opened - 2].strip()) if opened > 1 else None
        language = _FENCE.match(lines[opened - 1])[2]
        text = "\n".join(lines[opened : number - 1]) + "\n"
        found.append(Block(page, opened, language, text, reason[1] if reason else ""))
        opened = None
    assert opened is None, f"{page}, line {opened}: the code block does not end"
    return found


def make_files(folder: Path, text: str) -> None:
    """Write the files that blocks may use and that the text names."""
    folder.mkdir()
    checkpoint = ROOT / "lxmert/checkpoints/easy-vqa"
    if "folder" in text:
        shutil.copytree(checkpoint, folder / "folder")
    if "vocab.txt" in text:
        shutil.copy(checkpoint / "vocab.txt", folder)
    if "image.png" in text:
        from PIL import Image, ImageDraw

        image = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(image).ellipse((16, 12, 48, 44), fill="red")
        image.save(folder / "image.png")
    if "scene.png" in text:
        shutil.copy(ROOT / "docs/images/scene.png", folder)
    if re.search(r"\bpretrained\b", text):
        from lxmert import LxmertConfig, LxmertForPreTraining

        sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "visual_feat_dim": 256}
        layers = {"l_layers": 1, "r_layers": 1, "x_layers": 1}
        words = len((checkpoint / "vocab.txt").read_text().splitlines())
        config = LxmertConfig(vocab_size=words, num_qa_labels=9, **sizes, **layers)
        LxmertForPreTraining(config).save_pretrained(folder / "pretrained")
    if "scenes/" in text:
        from lxmert.cli import main

        assert main(["data", "scenes", str(folder / "scenes"), "--images", "120", "--processes", "1", "--quiet"]) == 0
    if re.search(r"\bdetector\b", text):
        _make_detector(folder / "detector")
    if "vqa-model" in text:
        _make_answering(folder / "vqa-model", checkpoint)
    if "photo.jpg" in text:
        shutil.copy(CHINA, folder / "photo.jpg")
    if "my-data" in text:
        _make_own_data(folder / "my-data")
    if "my-photos" in text:
        make_photographs(folder / "my-photos")


def _make_detector(folder: Path) -> None:
    """A narrow detector with random weights, whose regions have 128 numbers, and the names of its classes."""
    import torch

    from lxmert import DetectorConfig
    from lxmert.pt import VisualGenomeDetector

    torch.manual_seed(0)
    sizes = {"stem_channels": 4, "width_per_group": 4, "res2_channels": 16, "proposal_channels": 32}
    blocks = {"res3_blocks": 1, "res4_blocks": 1, "res5_blocks": 1}
    config = DetectorConfig(num_objects=100, num_attributes=25, min_size=128, max_size=176, **sizes, **blocks)
    VisualGenomeDetector(config).save_pretrained(folder)
    for name, count in (("object", 100), ("attribute", 25)):
        lines = "".join(f"{name} {number}\n" for number in range(count))
        (folder / f"{name}s_vocab.txt").write_text(lines)


def _make_answering(folder: Path, checkpoint: Path) -> None:
    """A small LXMERT that reads regions of 128 numbers, with the tokenizer and the answers of a checkpoint."""
    from lxmert import LxmertConfig, LxmertForQuestionAnswering

    words = len((checkpoint / "vocab.txt").read_text().splitlines())
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "visual_feat_dim": 128}
    layers = {"l_layers": 1, "r_layers": 1, "x_layers": 1}
    LxmertForQuestionAnswering(LxmertConfig(vocab_size=words, num_qa_labels=13, **sizes, **layers)).save_pretrained(
        folder
    )
    for name in ("vocab.txt", "answers.json"):
        shutil.copy(checkpoint / name, folder)


def _make_own_data(folder: Path) -> None:
    """Features and questions as a user may have them: 30 images of a ball whose colour is in the features."""
    import csv

    import numpy as np

    random = np.random.default_rng(0)
    ids = [f"img-{number:03}" for number in range(30)]
    colors = [("red", "green", "blue")[number % 3] for number in range(30)]
    features = random.random((30, 6, 16), dtype=np.float32)
    features[np.arange(30), :, np.arange(30) % 3] += 3
    corners = random.random((30, 6, 2), dtype=np.float32) / 2
    (folder / "features").mkdir(parents=True)
    np.save(folder / "features" / "ids.npy", np.array(ids))
    np.save(folder / "features" / "features.npy", features)
    np.save(folder / "features" / "boxes.npy", np.concatenate([corners, corners + 0.25], axis=2))
    rows = [(image, "what color is the ball?", color) for image, color in zip(ids, colors, strict=True)]
    rows += [(image, "is the ball red?", "yes" if color == "red" else "no") for image, _, color in rows]
    for name, first, last in (("train", 0, 24), ("valid", 24, 30)):
        with open(folder / f"{name}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("image", "question", "answer"))
            writer.writerows(row for row in rows if first <= int(row[0][-3:]) < last)
    (folder / "test.csv").write_text("image,question\nimg-029,is the ball red?\n")
    (folder / "small.toml").write_text(_settings(8) + "l_layers = 1\nx_layers = 1\nr_layers = 1\n")
    (folder / "small-visual-bert.toml").write_text(_settings(8) + "num_hidden_layers = 2\n")


def _settings(epochs: int) -> str:
    settings = f'recipe = "adamw"\nlearning_rate = 0.003\nbatch_size = 16\nepochs = {epochs}\n\n[model_config]\n'
    return settings + "hidden_size = 48\nnum_attention_heads = 4\nintermediate_size = 96\ninitializer_range = 0.1\n"


def make_photographs(folder: Path) -> None:
    """48 noisy pictures of different sizes whose halves, a sky and a ground, each have one of three colours."""
    import csv

    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    colors = {"red": (200, 40, 40), "green": (40, 170, 60), "blue": (50, 70, 200)}
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(48):
        halves = [list(colors)[number % 3], list(colors)[number // 3 % 3]]
        height, width = random.integers(60, 120, 2)
        pixels = random.normal(0, 15, (height, width, 3)) + colors[halves[1]]
        pixels[: height // 2] += np.subtract(colors[halves[0]], colors[halves[1]])
        name = f"photo-{number:03}.jpg"
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / "images" / name)
        rows += [
            (name, f"what color is the {part}?", color) for part, color in zip(("sky", "ground"), halves, strict=True)
        ]
    for name, first, last in (("train", 0, 36), ("valid", 36, 48)):
        with open(folder / f"{name}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("image", "question", "answer"))
            writer.writerows(rows[2 * first : 2 * last])
    (folder / "small.toml").write_text(_settings(16) + "l_layers = 1\nx_layers = 1\nr_layers = 1\n")
