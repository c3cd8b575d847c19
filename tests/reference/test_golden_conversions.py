"""The files of other programs, converted to every format and back, bit for bit; no name is known here but theirs."""

import re

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from lxmert import LxmertConfig, convert
from lxmert.weights.convert import FORMATS

from .golden import GOLDEN

HEADS = {"num_attention_heads": 3}
SOURCES = {
    "airsplay/single_gpu_LXRT.pth": ("LxmertForPreTraining", HEADS),
    "airsplay/model_LXRT.pth": ("LxmertForPreTraining", HEADS),
    "airsplay/vqa_BEST.pth": ("LxmertForQuestionAnswering", HEADS),
    "airsplay/vqa_multi_gpu_BEST.pth": ("LxmertForQuestionAnswering", HEADS),
    "airsplay/nlvr2_BEST.pth": ("LxmertForVisualReasoning", HEADS),
    "airsplay/nlvr2_multi_gpu_BEST.pth": ("LxmertForVisualReasoning", HEADS),
    "transformers-4.49/pt_pretraining_bin": ("LxmertForPreTraining", {}),
    "transformers-4.49/pt_pretraining_sharded": ("LxmertForPreTraining", {}),
    "transformers-4.49/tf_pretraining_h5": ("LxmertForPreTraining", {}),
    "transformers-4.49/tf_pretraining_safetensors": ("LxmertForPreTraining", {}),
}
TARGETS = {"folder": "folder", "tf_model.h5": "tf", "weights.h5": "a.weights.h5", "keras": "a.keras"}
# What each name begins with, and how Hugging Face's does.
OURS = {
    r"^(module\.)?bert\.": "lxmert.",
    r"^lxrt_encoder\.model\.(module\.)?bert\.": "lxmert.",
    r"^logit_fc\.": "answer_head.logit_fc.",
    r"^module\.": "",
}


def raw(source):
    """The tensors of PyTorch's files under the names of Hugging Face, read by PyTorch."""
    path = GOLDEN / source
    if path.is_dir():
        files = sorted(path.glob("model-*.safetensors"))
        held = {k: x for file in files for k, x in load_file(file).items()}
        if not files:
            loaded = torch.load(path / "pytorch_model.bin", weights_only=True)
            held = {name: x.numpy() for name, x in loaded.items()}
    else:
        held = {name: x.numpy() for name, x in torch.load(path, weights_only=True).items()}
    named = {}
    for name, x in held.items():
        for start, theirs in OURS.items():
            name = re.sub(start, theirs, name)
        named[name] = x
    decoder = named.pop("cls.predictions.decoder.weight", None)
    assert decoder is None or np.array_equal(decoder, named["lxmert.embeddings.word_embeddings.weight"])
    return named


def assert_same_bits(given, expected):
    assert given.keys() == expected.keys()
    for name, x in expected.items():
        assert (given[name].dtype, given[name].tobytes()) == (x.dtype, x.tobytes()), name


@pytest.mark.parametrize("source", SOURCES)
def test_to_every_format_and_back(source, tmp_path):
    architecture, options = SOURCES[source]
    done = convert(GOLDEN / source, tmp_path / "first", **options)
    assert (done.architecture, done.report.new, done.report.unexpected) == (architecture, (), ())
    first = load_file(tmp_path / "first" / "model.safetensors")
    if "tf_" not in source:
        assert_same_bits(first, raw(source))
    config = LxmertConfig.from_pretrained(tmp_path / "first")
    assert TARGETS.keys() == FORMATS.keys()
    for to, name in TARGETS.items():
        if to == "tf_model.h5" and architecture != "LxmertForPreTraining":
            continue  # transformers had no such class in TensorFlow
        convert(GOLDEN / source, tmp_path / to / name, to=to, **options)
        back = convert(tmp_path / to / name, tmp_path / to / "back")
        assert back.architecture == architecture
        assert_same_bits(load_file(tmp_path / to / "back" / "model.safetensors"), first)
        assert LxmertConfig.from_pretrained(tmp_path / to / "back") == config


def test_tensorflows_kernels_are_turned(tmp_path):
    """The one transform there is, against TensorFlow's own arrays."""
    held = load_file(GOLDEN / "transformers-4.49/tf_pretraining_safetensors/model.safetensors")
    convert(GOLDEN / "transformers-4.49/tf_pretraining_h5", tmp_path)
    ours = load_file(tmp_path / "model.safetensors")
    leaves = {"kernel": "weight", "gamma": "weight", "beta": "bias", "embeddings": "weight"}
    found = {}
    for name, x in held.items():
        parts = name.removesuffix(":0").replace("_._", "/").split("/")
        parts[-1] = leaves.get(parts[-1], parts[-1])
        found[".".join(parts)] = np.ascontiguousarray(x.T) if name.endswith("kernel:0") else x
    assert_same_bits(ours, found)
