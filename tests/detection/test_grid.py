"""Grid features: the names of backbones, their input, and both backends' networks."""

import importlib
import json
import random
import re
import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from lxmert import RegionDetector
from lxmert.detection.extraction import extract_features
from lxmert.detection.grid import GridDetector
from lxmert.detection.grid import tf as tf_grid
from lxmert.detection.grid.input import Normalization, input_of_processor
from lxmert.detection.grid.options import GridOptions
from lxmert.training.run import train
from lxmert.training.settings import make_settings, read_settings
from tests.docs.pages import ROOT, make_photographs
from tests.weights.hub_server import running_hub

VOCABULARY = str(ROOT / "lxmert/checkpoints/easy-vqa/vocab.txt")
SIZE = 32
VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "image_size": SIZE,
    "patch_size": 8,
}


def photograph(height=50, width=70):
    """A smooth image of every colour, with a bright red corner at the bottom right."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=2).astype(np.uint8)
    pixels[-height // 4 :, -width // 4 :] = (255, 0, 0)
    return pixels


# ----- names


@pytest.mark.parametrize(
    ("source", "given", "expected"),
    [
        ("grid:microsoft/resnet-50", {}, GridOptions("microsoft/resnet-50")),
        ("grid:a,b/c", {"grid": 7}, GridOptions("a,b/c", grid=(7, 7))),
        (
            "grid:ResNet50,weights=random,seed=3,grid=3x4,image_size=96",
            {"seed": 3, "precision": None},
            GridOptions("ResNet50", (3, 4), (96, 96), "random", 3),
        ),
        (
            "grid:o/n,revision=v2",
            {"token": False, "image_size": [64, 32]},
            GridOptions("o/n", image_size=(64, 32), hub={"revision": "v2", "token": False}),
        ),
    ],
)
def test_a_name_with_options(source, given, expected):
    hub = {name: given.pop(name) for name in ("token",) if name in given}
    assert GridOptions.parse(source, hub, **given) == expected


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        ("grid:", {}, "names no backbone"),
        ("grid:x,gird=7", {}, "Did you mean 'grid'"),
        (
            "grid:x,grid=7x0",
            {},
            "grid must be one positive number, or rows and columns, as in 7x7, at most 100,000,000 in all; got '7x0'",
        ),
        ("grid:x", {"image_size": (224, 224, 3)}, "image_size must be"),
        ("grid:x", {"image_size": 20_000}, "image_size must be"),
        ("grid:x,seed=one,weights=random", {}, "must give seed a number"),
        ("grid:x,seed=1", {}, "seed is of random weights"),
        ("grid:x,weights=random,seed=1", {"seed": 2}, "sets seed, and so does an argument"),
        ("grid:x", {"precision": "float16"}, "precision must be one of float32, float64, bfloat16"),
        ("grid:x", {"weights": "random", "seed": 2**32}, "seed must be an integer from 0"),
    ],
)
def test_names_and_options_that_are_refused(source, given, message):
    with pytest.raises(ValueError, match=message):
        GridOptions.parse(source, {}, **given)


# ----- input


@pytest.mark.parametrize(
    ("module", "name", "given"),
    [
        ("vit", "ViT", {}),
        ("convnext", "ConvNext", {"size": {"shortest_edge": 384}}),
        ("bit", "Bit", {"size": {"height": 224, "width": 224}, "do_center_crop": False}),
        ("efficientnet", "EfficientNet", {"size": {"height": 64, "width": 96}, "rescale_offset": True}),
        ("mobilevit", "MobileViT", {"size": {"height": 64, "width": 96}, "do_center_crop": False}),
    ],
)
def test_pixels_are_those_of_the_reference(module, name, given):
    """To the bit, where the processor crops nothing: channels, resizing, scale, means."""
    module = importlib.import_module(f"transformers.models.{module}.image_processing_pil_{module}")
    processor = getattr(module, f"{name}ImageProcessorPil")(**given)
    values = json.loads(processor.to_json_string())
    network_input = input_of_processor(values, "preprocessor_config.json", None)
    for pixels in (photograph(), np.full((40, 60, 3), (255, 0, 0), np.uint8)):
        expected = processor(Image.fromarray(pixels), return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
        assert network_input.size == expected.shape[:2]
        np.testing.assert_allclose(network_input(pixels), expected, rtol=1e-6, atol=1e-6)


def test_a_crop_is_not_taken_but_its_size_is():
    published = {"do_center_crop": True, "crop_size": 224, "size": {"shortest_edge": 256}, "resample": 3}
    normal = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2]}
    found = input_of_processor({**published, **normal}, "file", None)
    assert (found.size, found.resample) == ((224, 224), "bicubic")
    assert input_of_processor({**published, **normal}, "file", (64, 96)).size == (64, 96)
    assert json.loads(json.dumps(found.settings)) == found.settings


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"do_pad": True}, "steps that are not followed: do_pad. Make the model yourself"),
        ({"image_mean": None}, "cannot be followed"),
        ({"image_std": [1, 0, 1]}, "std none of zero"),
        ({"image_mean": [1, 2]}, "three finite numbers"),
        ({"size": {"longest_edge": 3}}, "size must be a height and width"),
        ({"resample": 9}, "number of a filter of Pillow"),
    ],
)
def test_files_of_processors_that_cannot_be_followed(changed, message):
    values = {"size": 32, "image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
    input_of_processor(values, "file", None)
    with pytest.raises(ValueError, match=message):
        input_of_processor({**values, **changed}, "file", None)


# ----- any model, in both backends


class Mean(torch.nn.Module):
    """A backbone whose features are the mean colours of squares of four pixels."""

    def forward(self, images):
        return torch.nn.functional.avg_pool2d(images, 4)


def keras_mean():
    images = keras.Input((8, 12, 3))
    return keras.Model(images, keras.layers.AveragePooling2D(4)(images))


@pytest.fixture(scope="module")
def means():
    """The same detector in both backends, of networks that were made by hand."""
    options = {"normalization": Normalization(), "grid": "2x3"}
    return GridDetector(Mean(), image_size=(8, 12), **options), GridDetector(keras_mean(), **options)


def test_both_backends_give_the_cells_of_the_map(means, tmp_path):
    """The same from a path, an array and a PIL image, and beside an image of another size."""
    pixels = photograph()
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    small = np.asarray(Image.fromarray(pixels).resize((12, 8), Image.Resampling.BILINEAR)) / 255
    expected = ((small - Normalization().mean) / Normalization().std).reshape(2, 4, 3, 4, 3).mean(axis=(1, 3))
    for detector in means:
        found = detector([pixels, str(tmp_path / "photo.png"), Image.fromarray(pixels), pixels[:1, :1]])
        np.testing.assert_allclose(found.features[0], expected.reshape(6, 3), rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(found.features[:3], np.broadcast_to(found.features[0], (3, 6, 3)))
        np.testing.assert_array_equal(found.features[3], detector(pixels[:1, :1]).features[0])
        np.testing.assert_allclose(found.boxes[0, 4], [70 / 3, 25, 140 / 3, 50], rtol=1e-6)
        assert found.sizes.tolist() == [[50, 70]] * 3 + [[1, 1]]
        assert found.mask.all()
        assert found.objects is None
        detector.batch_size = 3
        together = detector([pixels, pixels[:1, :1], pixels[::-1], pixels[:, ::-1]])
        np.testing.assert_allclose(together.features[:2], found.features[[0, 3]], rtol=1e-6, atol=1e-6)
        assert detector.settings["batch_size"] == 3
        detector.batch_size = 1
        prepared = detector.prepare(pixels)
        np.testing.assert_array_equal(detector.detect([prepared])[0].features, found.features[0])
    settings = [detector.settings for detector in means]
    assert [values.pop("backend") for values in settings] == ["pt", "tf"]
    assert [values.pop("model") for values in settings] == ["Mean", "Functional"]
    assert settings[0] == settings[1]


def test_the_channels_of_keras_are_those_of_its_own_function():
    """ResNet50 of keras.applications reads blue, green, red, without the means of Caffe."""
    function = keras.applications.resnet50.preprocess_input
    detector = GridDetector(keras_mean(), normalization=function, grid=1)
    found = detector(np.full((30, 40, 3), (255, 10, 0), np.uint8))
    np.testing.assert_allclose(found.features[0, 0], [0 - 103.939, 10 - 116.779, 255 - 123.68], rtol=1e-5)
    assert detector.settings["normalization"] == "keras.applications.resnet.preprocess_input"


def test_models_that_give_no_cells_are_refused(means):
    options = {"normalization": Normalization(), "image_size": (8, 12)}
    with pytest.raises(ValueError, match=r"at most 2x3, the map of grid:Mean for images of 8x12; got 3x3"):
        GridDetector(Mean(), grid=3, **options)
    with pytest.raises(ValueError, match=r"Pass image_size=\(height, width\)"):
        GridDetector(Mean(), normalization=Normalization())
    with pytest.raises(ValueError, match=r"must give maps .* for \[1, 3, 8, 12\]; got \[1, 288\]"):
        GridDetector(torch.nn.Flatten(), **options)
    with pytest.raises(ValueError, match="gives tokens and does not say the size of its patches"):
        GridDetector(torch.nn.Flatten(2), **options)
    with pytest.raises(TypeError, match=r"must be an nn\.Module or a keras\.Model; got str"):
        GridDetector("resnet", **options)
    with pytest.raises(ValueError, match="must keep the shape"):
        GridDetector(Mean(), normalization=lambda pixels: pixels[0], image_size=8)
    with pytest.raises(ValueError, match="resample must be one of nearest"):
        GridDetector(Mean(), resample="cubic", **options)
    with pytest.raises(ValueError, match='channel_order must be "RGB" or "BGR"'):
        Normalization(channel_order="rgb")
    with pytest.raises(ValueError, match='backend must be "pt"'):
        RegionDetector.from_pretrained("grid:resnet", backend="jax")


def test_libraries_that_are_not_installed_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match=r'grid:resnet in PyTorch needs transformers.*pip install "lxmert\[grid\]"'):
        RegionDetector.from_pretrained("grid:resnet", backend="pt")
    with pytest.raises(ImportError, match=r'grid:keras_hub:x needs keras_hub.*pip install "lxmert\[keras-hub\]"'):
        RegionDetector.from_pretrained("grid:keras_hub:x", backend="tf")


# ----- transformers

PROCESSOR = {"size": SIZE, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "resample": 2}
CONFIGS = {
    "dinov3": lambda: transformers.DINOv3ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], image_size=SIZE),
    "resnet": lambda: transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]),
    "convnext": lambda: transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2),
    "vit": lambda: transformers.ViTConfig(**VIT),
    "dinov2": lambda: transformers.Dinov2Config(**VIT, mlp_ratio=1),
    "registers": lambda: transformers.Dinov2WithRegistersConfig(**VIT, mlp_ratio=1, num_register_tokens=3),
    "clip": lambda: transformers.CLIPConfig(
        text_config={**VIT, "vocab_size": 9, "max_position_embeddings": 4}, vision_config=VIT, projection_dim=8
    ),
    "swin": lambda: transformers.SwinConfig(
        embed_dim=8, depths=[1, 1], num_heads=[1, 2], image_size=SIZE, patch_size=4, window_size=2
    ),
}


def save(folder, kind, **processor):
    """A folder in the format of transformers with random weights; gives the part that reads images."""
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(CONFIGS[kind]()).eval()
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({**PROCESSOR, **processor}))
    return getattr(model, "vision_model", model)


@pytest.mark.parametrize("kind", CONFIGS)
def test_backbones_of_transformers(kind, tmp_path):
    """Their own output, cell by cell; and a cell's features are of its part of the image."""
    model = save(tmp_path, kind)
    detector = RegionDetector.from_pretrained(f"grid:{tmp_path}", backend="pt")
    pixels = np.full((64, 80, 3), 128, np.uint8)
    changed = pixels.copy()
    changed[16:32, 60:] = (255, 0, 0)  # the last of the second row of four by four
    plain, found = detector([pixels, changed])
    small = (np.asarray(Image.fromarray(changed).resize((SIZE, SIZE), 2), np.float32) / 255 - 0.5) / 0.25
    with torch.no_grad():
        expected = model(torch.from_numpy(small).permute(2, 0, 1)[None]).last_hidden_state[0]
    if expected.ndim == 3:
        expected = expected.flatten(1).T
    np.testing.assert_allclose(found.features, expected[-len(found) :].numpy(), rtol=1e-4, atol=1e-5)
    rows, columns = detector.grid
    assert (
        len(found)
        == rows * columns
        == len(expected) - {"vit": 1, "dinov2": 1, "clip": 1, "dinov3": 1, "registers": 4}.get(kind, 0)
    )
    place = np.abs(found.features - plain.features).mean(axis=1).argmax()
    assert (place // columns * 4 // rows, place % columns * 4 // columns) in ((1, 3), (0, 3), (0, 2), (1, 2))
    if (rows, columns) == (4, 4):
        assert place == 7
    assert json.loads(json.dumps(detector.settings)) == detector.settings


def test_another_size_of_image_and_a_coarser_grid(tmp_path):
    save(tmp_path, "vit")
    detector = RegionDetector.from_pretrained(f"grid:{tmp_path},image_size=40x48,grid=2x3", backend="pt")
    assert detector(photograph()).features.shape == (1, 6, 16)
    assert detector.settings["image_size"] == [40, 48]
    whole = RegionDetector.from_pretrained(f"grid:{tmp_path}", image_size=(40, 48), precision="float64")
    assert whole.grid == (5, 6)
    assert whole.settings["precision"] == "float64"
    rough = RegionDetector.from_pretrained(f"grid:{tmp_path}", image_size=(40, 48), precision="bfloat16")
    difference = np.abs(rough(photograph()).features - whole(photograph()).features)
    assert 0 < difference.mean() < 0.02


def test_random_weights_are_the_same_bits_for_a_seed(caplog, tmp_path):
    """Of a folder, which needs a config alone; and of a kind of model in its usual size."""
    CONFIGS["vit"]().save_pretrained(tmp_path)
    before = torch.get_rng_state()
    first, again, other = (
        RegionDetector.from_pretrained(f"grid:{tmp_path},weights=random,seed={seed}", backend="pt")
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert "has random weights (seed 1): its features are untrained" in caplog.text
    assert first.settings == again.settings
    assert first.settings["seed"] == 1
    assert first.settings["weights_sha256"] != other.settings["weights_sha256"]
    np.testing.assert_array_equal(first(photograph()).features, again(photograph()).features)
    assert "vanish" not in caplog.text
    usual = RegionDetector.from_pretrained("grid:mobilenet_v2,weights=random,image_size=64")
    assert "They vanish (" in caplog.text
    assert usual(photograph()).features.shape == (1, 4, 1280)
    assert usual.settings["model"] == "mobilenet_v2"


def test_a_backbone_on_the_hub(tmp_path, monkeypatch):
    """Its safetensors, config and processor are fetched, once; a pickle never."""
    (tmp_path / "local").mkdir()
    save(tmp_path / "local", "resnet")
    files = {path.name: path.read_bytes() for path in (tmp_path / "local").iterdir()}
    with running_hub(monkeypatch, tmp_path) as server:
        repository = server.add("someone/resnet", {**files, "pytorch_model.bin": b"x", "README.md": b"x"})
        server.add("someone/pickled", {"config.json": files["config.json"], "pytorch_model.bin": b"x"})
        server.add("someone/silent", {name: files[name] for name in ("config.json", "model.safetensors")})
        found = RegionDetector.from_pretrained("grid:someone/resnet", backend="pt")
        asked = {line.rpartition("/")[2] for line in server.asked() if line.startswith("GET")}
        assert asked & {*repository.files} == {*files}
        assert found.settings["revision"] == repository.revisions["main"]
        offline = RegionDetector.from_pretrained("grid:someone/resnet", backend="pt", local_files_only=True)
        assert offline.settings == found.settings
        local = RegionDetector.from_pretrained(f"grid:{tmp_path / 'local'}")
        np.testing.assert_array_equal(local(photograph()).features, offline(photograph()).features)
        for name, message in {
            "someone/pickled": "has no model.safetensors; it holds config.json, pytorch_model.bin",
            "someone/silent": "it lacks preprocessor_config.json, and holds config.json, model.safetensors",
            "someone/absent": "is no model on the hub",
            "someone/resnet,revision=old": "has no revision 'old'",
        }.items():
            with pytest.raises(FileNotFoundError, match=re.escape(message)):
                RegionDetector.from_pretrained(f"grid:{name}", backend="pt")
        RegionDetector.from_pretrained("grid:someone/pickled,weights=random", backend="pt")


def test_folders_that_are_no_backbone(tmp_path):
    save(tmp_path, "resnet")
    config = json.loads((tmp_path / "config.json").read_text())
    load = RegionDetector.from_pretrained
    (tmp_path / "config.json").write_text(json.dumps({**config, "depths": [2, 1]}))
    with pytest.raises(ValueError, match=r"its weights lack \d+ of the model's, such as encoder"):
        load(f"grid:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps({**config, "embedding_size": 4}))
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(f"grid:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": {"AutoModel": "m.M"}}))
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(f"grid:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(b"\x08" + b"\0" * 7 + b"nonsense")
    with pytest.raises(ValueError, match="cannot be loaded"):
        load(f"grid:{tmp_path}")
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"it lacks model.safetensors, preprocessor_config.json, and holds"):
        load(f"grid:{tmp_path}")
    with pytest.raises(ValueError, match="a kind of model, without weights"):
        load("grid:resnet")
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 1}
    transformers.BertConfig(vocab_size=9, **sizes).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is a BertModel, which reads no images"):
        load(f"grid:{tmp_path},weights=random")
    with pytest.raises(FileNotFoundError, match=r"kind of model of transformers \(such as resnet\)"):
        load("grid:ResNets,weights=random")
    with pytest.raises(ValueError, match="weights must be random in PyTorch"):
        load("grid:resnet,weights=file.h5")


@pytest.mark.full
def test_a_model_learns_from_photographs(tmp_path, monkeypatch):
    """From the folder of docs/train-from-photographs.md to the right answers, with untrained features."""
    monkeypatch.chdir(tmp_path)
    make_photographs(tmp_path / "photos")
    detector = RegionDetector.from_pretrained("grid:convnext,weights=random,image_size=64")
    assert extract_features("photos/images", "regions", detector).images == 48
    data = {"train": "photos/train.csv", "valid": "photos/valid.csv", "features": "regions"}
    settings = make_settings(
        "vqa", read_settings("photos/small.toml"), {**data, "vocabulary": VOCABULARY, "output": "run", "backend": "pt"}
    )
    assert train(settings)["accuracy"] > 90


# ----- keras.applications and KerasHub


def test_applications_of_keras(caplog):
    """One that is small: random weights by seed, its own preprocessing, a coarser grid, bfloat16."""
    name, pixels = "grid:MobileNet,weights=random,image_size=64x96", photograph()
    random.seed(5)
    expected = random.random()
    random.seed(5)
    first = RegionDetector.from_pretrained(name, backend="tf", seed=1)
    assert random.random() == expected
    assert "has random weights (seed 1)" in caplog.text
    assert first.grid == (2, 3)
    assert first.settings["normalization"] == "keras.applications.mobilenet.preprocess_input"
    rough = RegionDetector.from_pretrained(name, backend="tf", seed=1, grid=1, precision="bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    assert rough.settings["precision"] == "bfloat16"
    assert rough.settings["weights_sha256"] == first.settings["weights_sha256"]
    found = first(pixels)
    assert found.features.shape == (1, 6, 1024)
    small = np.asarray(Image.fromarray(pixels).resize((96, 64), Image.Resampling.BILINEAR), np.float32) / 127.5 - 1
    by_hand = np.asarray(first.network.model(small[None], training=False)).reshape(6, 1024)
    np.testing.assert_allclose(found.features[0], by_hand, rtol=1e-3, atol=1e-5)
    scale = np.abs(by_hand).mean()
    assert np.abs(rough(pixels).features[0, 0] - by_hand.mean(axis=0)).mean() < 0.1 * scale


def test_names_that_are_no_backbone_of_keras(monkeypatch):
    def load(source, **options):
        return RegionDetector.from_pretrained(source, backend="tf", **options)

    with pytest.raises(
        ValueError,
        match=r"must be one of keras\.applications, such as ResNet101V2, or keras_hub:PRESET .* need backend pt",
    ):
        load("grid:resnet101v")
    with pytest.raises(ValueError, match="revision cannot be chosen for grid:ResNet50"):
        load("grid:ResNet50,revision=main")
    with pytest.raises(ValueError, match=r"device must be one that TensorFlow has here, cpu\b.*; got 'cuda:9'"):
        load("grid:ResNet50", device="cuda:9")
    with pytest.raises(ValueError, match=r"cannot be loaded: weights must be random or a file; there is no file there"):
        load("grid:MobileNet,weights=there_is_no_such_file.h5")

    def fails(**options):
        raise Exception("URL fetch failure on https://storage: None -- no network")

    monkeypatch.setattr(keras.applications.mobilenet, "MobileNet", fails)
    with pytest.raises(ConnectionError, match=r"cannot be downloaded: URL fetch failure .* or write"):
        load("grid:MobileNet")
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(ValueError, match="channels_last"):
        load("grid:MobileNet")


def test_presets_of_keras_hub(monkeypatch):
    """KerasHub is not among the test's libraries: what is asked of it, and what is read of its converter."""
    asked = []

    class Tokens(keras.layers.Layer):
        def call(self, images):
            patches = keras.layers.Reshape((6, 3))(keras.layers.AveragePooling2D(4)(images))
            return keras.ops.concatenate([keras.ops.zeros_like(patches[:, :2]), patches], axis=1)

    def backbone(preset, load_weights, image_shape=(8, 12, 3)):
        asked.append((preset, load_weights))
        images = keras.Input(image_shape, name="images")
        model = keras.Model({"images": images}, Tokens()(images))
        model.patch_size, model.num_register_tokens = 4, 1
        return model

    converter = SimpleNamespace(image_size=(8, 12), scale=[0.5, 1, 2], offset=[1, 2, 3], interpolation="nearest")
    library = SimpleNamespace(
        models=SimpleNamespace(Backbone=SimpleNamespace(from_preset=backbone)),
        layers=SimpleNamespace(ImageConverter=SimpleNamespace(from_preset=lambda preset: converter)),
    )
    monkeypatch.setattr(tf_grid, "import_extra", lambda *names: library)
    detector = RegionDetector.from_pretrained("grid:keras_hub:dinov2_tiny", backend="tf")
    found = detector(np.full((5, 6, 3), (10, 20, 30), np.uint8))
    np.testing.assert_allclose(found.features[0], np.tile([6, 22, 63], (6, 1)), rtol=1e-6)
    assert detector.settings["resample"] == "nearest"
    other = RegionDetector.from_pretrained("grid:keras_hub:dinov2_tiny,weights=random,image_size=12x8", backend="tf")
    assert other.grid == (3, 2)
    assert asked == [("dinov2_tiny", True), ("dinov2_tiny", False)]
    with pytest.raises(ValueError, match="weights must be random for KerasHub"):
        RegionDetector.from_pretrained("grid:keras_hub:dinov2_tiny,weights=file", backend="tf")
