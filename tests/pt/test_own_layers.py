"""What a user's class adds is saved under its own names and read again; what cannot be read again is refused."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import parametrizations

from lxmert.pt import (
    LxmertForQuestionAnswering,
    LxmertModel,
    LxmertPreTrainedModel,
    VisualBertForVisualReasoning,
)
from lxmert.weights.checkpoint import CheckpointMismatchError
from tests.small import WIDTH, small_config

ANSWERING = "LxmertForQuestionAnswering"


class Own(LxmertModel):
    """A backbone with a layer, a buffer of integers, and a layer that is tied to the word embedding."""

    def __init__(self, config, classes=3):
        super().__init__(config)
        self.classifier = nn.Linear(WIDTH, classes)
        self.norm = nn.BatchNorm1d(classes)
        self.scores = nn.Linear(WIDTH, config.vocab_size, bias=False)
        self.scores.weight = self.embeddings.word.weight


class Around(LxmertPreTrainedModel):
    """A model around a backbone, under a name of its own, and a second backbone."""

    def __init__(self, config):
        super().__init__(config)
        self.encoder, self.second = LxmertModel(config), LxmertModel(config)
        self.classifier = nn.Linear(WIDTH, 2)
        self.post_init()


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_subclass_comes_back(tmp_path):
    model = Own(small_config("LxmertModel"))
    model.norm(torch.rand(5, 3))  # counts a batch
    model.save_pretrained(tmp_path, max_shard_size="10KB")
    again = Own.from_pretrained(tmp_path, strict=True)
    assert same(again, model)
    assert again.norm.num_batches_tracked.item() == 1
    assert again.scores.weight is again.embeddings.word.weight
    assert again.load_report.new == ()
    half = Own.from_pretrained(tmp_path, dtype="float16")
    assert {str(x.dtype) for x in half.state_dict().values()} == {"torch.float16", "torch.int64"}
    with pytest.raises(CheckpointMismatchError, match=r"in another shape: classifier\.weight needs \[5, 24\]") as error:
        Own.from_pretrained(tmp_path, classes=5)
    assert {"classifier.weight", "norm.running_mean"} < set(error.value.wrong_shape)
    other = Own.from_pretrained(tmp_path, classes=5, ignore_mismatched_sizes=True)
    assert ("classifier.bias", (3,), (5,)) in other.load_report.mismatched
    plain = LxmertModel.from_pretrained(tmp_path)
    assert {"classifier.weight", "scores.weight"} < set(plain.load_report.unexpected)


def test_a_model_around_a_backbone_comes_back(tmp_path):
    model = Around(small_config("LxmertModel"))
    model.save_pretrained(tmp_path)
    names = set(load_file(tmp_path / "model.safetensors"))
    assert {"lxmert.pooler.dense.weight", "second.pooler.dense.weight", "classifier.weight"} < names
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["Around"]
    assert same(Around.from_pretrained(tmp_path, strict=True), model)
    assert model.base_model is model.encoder
    backbone = LxmertModel.from_pretrained(tmp_path)
    assert torch.equal(backbone.pooler.dense.weight, model.encoder.pooler.dense.weight)


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_a_state_dict_of_a_model_around_a_backbone(kind, tmp_path):
    """As Trainer and accelerate save it: under the names of the modules."""

    class Named(LxmertPreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.lxmert, self.classifier = LxmertModel(config), nn.Linear(WIDTH, 2)

    model, file = Named(small_config("LxmertModel")), tmp_path / f"model.{kind}"
    (save_file if kind == "safetensors" else torch.save)(model.state_dict(), file)
    assert same(Named.from_pretrained(file, config=model.config, strict=True), model)
    backbone = LxmertModel.from_pretrained(file, config=model.config)
    assert torch.equal(backbone.pooler.dense.weight, model.lxmert.pooler.dense.weight)


def test_a_new_layer_is_announced(tmp_path):
    LxmertModel(small_config("LxmertModel")).save_pretrained(tmp_path)

    class Two(LxmertModel):
        def __init__(self, config):
            super().__init__(config)
            self.classifier = nn.Linear(WIDTH, 3)
            self.register_buffer("seen", torch.zeros(1))

    with pytest.warns(UserWarning, match=r"lacks 3 parameters of LxmertModel.*: seen, classifier\.weight") as caught:
        Two.from_pretrained(tmp_path)
    assert caught[0].filename == __file__
    Two.from_pretrained(tmp_path, allow_new_head=True)
    with pytest.raises(CheckpointMismatchError, match="Nothing was loaded"):
        LxmertForQuestionAnswering.from_pretrained(tmp_path, strict=True)


def test_a_user_of_a_task_model_is_warned_of_what_it_does_not_use(tmp_path):
    model = LxmertForQuestionAnswering(small_config(ANSWERING))
    model.more = nn.Linear(2, 2)
    model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"has 2 tensors of no model here, which are not used: more\.bias"):
        LxmertForQuestionAnswering.from_pretrained(tmp_path)


def adapter(layer):
    layer.lora_a = nn.Linear(WIDTH, 1)


def changed(change):
    model = LxmertForQuestionAnswering(small_config(ANSWERING))
    return change(model) or model


def quantized(model):
    return torch.ao.quantization.quantize_dynamic(copy.deepcopy(model), {nn.Linear})


class Doubled(nn.Linear):
    """A layer with the tensors of another that computes something else."""

    def forward(self, x):
        return 2 * super().forward(x)


class DoubledBackbone(LxmertModel):
    """Likewise a backbone."""

    def forward(self, *args, **kwargs):
        out = super().forward(*args, **kwargs)
        out.pooled_output = 2 * out.pooled_output
        return out


class WithDoubled(LxmertForQuestionAnswering):
    """A class that makes such a layer itself."""

    def __init__(self, config):
        super().__init__(config)
        self.heads.answer.out = Doubled(2 * WIDTH, config.num_qa_labels)


def test_a_class_makes_layers_of_another_kind_again(tmp_path):
    WithDoubled(small_config(ANSWERING)).save_pretrained(tmp_path)
    assert type(WithDoubled.from_pretrained(tmp_path).heads.answer.out) is Doubled


class Marked(torch.Tensor):
    """A tensor that is not plain."""


def mark(model):
    model.more = nn.Parameter(torch.zeros(2).as_subclass(Marked))


@pytest.mark.filterwarnings("ignore:Complex modules", "ignore:torch.*quant", "ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: adapter(m.backbone.pooler.dense), r"backbone\.pooler\.dense holds lora_a\.weight, lora_a\.bias"),
        (lambda m: setattr(m.heads, "answer", nn.Linear(WIDTH, 5)), r"heads\.answer is a Linear without up\.weight"),
        (
            lambda m: setattr(m.heads.answer, "out", nn.Linear(2 * WIDTH, 5)),
            r"heads\.answer\.out\.weight is \[5, 48\], and its config says \[11, 48\].*resize_num_qa_labels",
        ),
        (
            lambda m: setattr(m.backbone.pooler, "dense", nn.Linear(WIDTH, WIDTH, bias=False)),
            r"backbone\.pooler\.dense is a Linear without bias",
        ),
        (
            lambda m: setattr(m.heads.answer, "out", Doubled(2 * WIDTH, 11)),
            r"heads\.answer\.out is a Doubled, which this class does not make",
        ),
        (
            lambda m: setattr(m, "lxmert", DoubledBackbone(m.config)),
            r"backbone is a DoubledBackbone, which this class does not make",
        ),
        (lambda m: parametrizations.weight_norm(m.heads.answer.out) and None, r"heads\.answer\.out holds parametriz"),
        (lambda m: m.to("meta"), r"word\.weight is a tensor of torch\.float32 on meta.*pass them as state_dict="),
        (lambda m: m.heads.answer.out.to(torch.complex64) and None, r"heads\.answer\.out\.weight is .*complex64"),
        (quantized, r"backbone\.region_embeddings\.feature holds scale, zero_point.*before it is quantized"),
        (mark, r"more is a Marked of torch\.float32 on cpu"),
    ],
)
def test_what_cannot_be_read_again_is_not_saved(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        changed(change).save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_a_class_with_other_layers_in_the_place_of_ours(tmp_path):
    class Other(LxmertForQuestionAnswering):
        def __init__(self, config):
            super().__init__(config)
            self.heads.answer = nn.Linear(WIDTH, 5)

    LxmertForQuestionAnswering(small_config(ANSWERING)).save_pretrained(tmp_path)
    with pytest.raises(TypeError, match=r"Other has other layers .*: heads\.answer is a Linear without up\.weight"):
        Other.from_pretrained(tmp_path)

    class Empty(LxmertPreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.layer = nn.Linear(2, 2)

    empty = Empty(small_config(ANSWERING))
    assert empty.load_state_dict(empty.state_dict()).missing_keys == []
    with pytest.raises(ValueError, match="it has no backbone of this package"):
        empty.save_pretrained(tmp_path / "empty")


class OtherSize(VisualBertForVisualReasoning):
    """A model whose class puts another number of labels in the place of its config's."""

    def __init__(self, config):
        super().__init__(config)
        self.cls = nn.Linear(WIDTH, 9)


def test_a_row_of_a_file_is_not_repeated(tmp_path):
    config = small_config("VisualBertForVisualReasoning", num_labels=1)
    VisualBertForVisualReasoning(config).save_pretrained(tmp_path)
    with pytest.raises(CheckpointMismatchError, match=r"heads\.classifier\.weight as \[9, 24\]"):
        OtherSize.from_pretrained(tmp_path)
    new = OtherSize.from_pretrained(tmp_path, only="backbone")
    assert not torch.equal(new.cls.weight[0], new.cls.weight[1])


def test_a_given_state_dict_is_saved(tmp_path):
    model, other = (LxmertForQuestionAnswering(small_config(ANSWERING)) for _ in range(2))
    model.save_pretrained(tmp_path / "own", state_dict=other.state_dict())
    other.save_pretrained(tmp_path / "theirs", state_dict=load_file(tmp_path / "own" / "model.safetensors"))
    for name in ("own", "theirs"):
        assert same(LxmertForQuestionAnswering.from_pretrained(tmp_path / name), other)
    state = other.state_dict()
    del state["heads.answer.up.bias"]
    with pytest.raises(ValueError, match=r"the state_dict has no heads\.answer\.up\.bias"):
        model.save_pretrained(tmp_path / "part", state_dict=state)


def test_pickles(tmp_path):
    model = LxmertForQuestionAnswering(small_config(ANSWERING)).to(torch.bfloat16)
    model.save_pretrained(tmp_path, safe_serialization=False, max_shard_size="20KB", variant="x")
    assert (tmp_path / "pytorch_model.bin.index.x.json").is_file()
    again = LxmertForQuestionAnswering.from_pretrained(tmp_path, variant="x", dtype="auto", use_safetensors=False)
    assert same(again, model)
    saved = []
    model.save_pretrained(
        tmp_path, safe_serialization=False, save_function=lambda *x: saved.append(x) or torch.save(*x)
    )
    assert [path.name for _, path in saved] == ["pytorch_model.bin"]
    state = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
    assert "lxmert.pooler.dense.weight" in state
    model.save_pretrained(tmp_path)
    assert LxmertForQuestionAnswering.from_pretrained(tmp_path).load_report.format == "safetensors"
    model.save_pretrained(tmp_path, safe_serialization=False)  # readers would prefer the old safetensors
    assert not (tmp_path / "model.safetensors").exists()
