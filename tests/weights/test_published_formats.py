"""Every kind of file that is read, written here name by name as its makers write it, and converted bit for bit.

The names are made by rules of this test from those of Hugging Face, not by the table of mappings.
"""

import re
import shutil

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import lxmert.pt
import lxmert.tf
from lxmert import CheckpointMismatchError, LxmertConfig, VisualBertConfig, convert
from lxmert.weights.formats.hdf5 import CONFIG_ATTRIBUTE
from lxmert.weights.infer_config import config_from_shapes
from lxmert.weights.load import match_parameters
from lxmert.weights.naming.key_mapping import parameters
from lxmert.weights.naming.tables import MODELS, every_head, head_names
from lxmert.weights.open import open_checkpoint

from .cases import covering
from .weight_folders import (
    CONFIG,
    CONFIG_OF,
    VISUAL_BERT,
    assert_bits_equal,
    make_folder,
    read_folder,
    tensors_of,
    values_of,
)

PRE_TRAINING, ANSWERING, REASONING = "LxmertForPreTraining", "LxmertForQuestionAnswering", "LxmertForVisualReasoning"
PICKLES = {"zip": False, "old": True}
DECODER = "cls.predictions.decoder.weight"
WORDS = "lxmert.embeddings.word_embeddings.weight"


def pickled(path, tensors, old=False):
    torch.save({name: torch.from_numpy(x) for name, x in tensors.items()}, path, _use_new_zipfile_serialization=not old)
    return path


def converted(source, folder, **options):
    done = convert(source, folder, **options)
    return done, read_folder(folder)


# What the engines put in front, and how old files call norms: any name of Hugging Face to the file's.


def in_wrapped_layers(name):
    return re.sub(
        r"(layer|x_layers|r_layers)\.(\d+)\.", r"\1.\2._fsdp_wrapped_module._checkpoint_wrapped_module.", name
    )


def old_norms(name):
    return re.sub(r"(?i)(layer_?norm)\.weight", r"\1.gamma", re.sub(r"(?i)(layer_?norm)\.bias", r"\1.beta", name))


SAME_BUT_FOR_NAMES = {
    "as it is": str,
    "in a model of one's own": lambda name: f"model.{name}",
    "in a model in a model": lambda name: f"net.encoder.{name}",
    "twice the prefix": lambda name: f"lxmert.{name}",
    "without the prefix": lambda name: name.removeprefix("lxmert."),
    "module.": lambda name: f"module.{name}",
    "_orig_mod.": lambda name: f"_orig_mod.{name}",
    "_orig_mod.module.": lambda name: f"_orig_mod.module.{name}",
    "_fsdp_wrapped_module.": lambda name: f"_fsdp_wrapped_module.{in_wrapped_layers(name)}",
    "module. inside": lambda name: name.replace("lxmert.", "lxmert.module."),
    "_orig_mod. of a part": lambda name: name.replace(".pooler.", ".pooler._orig_mod."),
    "gamma and beta": old_norms,
    "all of it": lambda name: f"model.module._orig_mod.{in_wrapped_layers(old_norms(name))}",
}


@pytest.mark.parametrize(
    ("rename", "architecture"), covering(SAME_BUT_FOR_NAMES, ["LxmertModel", PRE_TRAINING, ANSWERING, REASONING])
)
def test_hugging_face_under_other_names(rename, architecture, tmp_path):
    held = tensors_of(architecture)
    given = {
        name if name.startswith(("cls", "obj", "answer")) else "lxmert." + name.removeprefix("lxmert."): x
        for name, x in held.items()
    }
    source = make_folder(tmp_path / "source", architecture)
    renamed = {rename(name): x for name, x in given.items()}
    assert len(renamed) == len(held)
    save_file(renamed, source / "model.safetensors")
    done, back = converted(source, tmp_path / "back")
    assert_bits_equal(back, held)
    assert (done.architecture, done.report.naming) == (architecture, "Hugging Face (PyTorch)")
    assert (done.report.new, done.report.unexpected) == ((), ())


@pytest.mark.parametrize(
    ("prefix", "architecture"),
    covering(["", "module.", "_orig_mod.", "_fsdp_wrapped_module.", "model.module."], list(CONFIG_OF)),
)
def test_a_state_dict_of_this_package(prefix, architecture, tmp_path):
    """torch.save(model.state_dict()), alone and beside what a training script keeps."""
    model = getattr(lxmert.pt, architecture)(CONFIG_OF[architecture])
    held = {prefix + name: x for name, x in model.state_dict().items()}
    model.save_pretrained(tmp_path / "saved")
    shutil.copytree(tmp_path / "saved", tmp_path / "source")
    (tmp_path / "source" / "model.safetensors").unlink()
    torch.save({"model_state_dict": held, "epoch": 3}, tmp_path / "source" / "last.pt")
    done, back = converted(tmp_path / "source", tmp_path / "back")
    assert_bits_equal(back, read_folder(tmp_path / "saved"))
    assert (done.architecture, done.report.naming) == (architecture, "lxmert (PyTorch)")


def test_what_engines_really_write(tmp_path):
    """DistributedDataParallel and torch.compile, as they are."""
    model = lxmert.pt.LxmertForQuestionAnswering(CONFIG)
    model.save_pretrained(tmp_path / "saved")
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        parallel = torch.nn.parallel.DistributedDataParallel(model)
        wrapped = {"parallel": parallel, "compiled": torch.compile(model, backend="eager")}
        found = {name: engine.state_dict() for name, engine in wrapped.items()}
    finally:
        torch.distributed.destroy_process_group()
    assert all(name.startswith("module.") for name in found["parallel"])
    assert all(name.startswith("_orig_mod.") for name in found["compiled"])
    for name, held in found.items():
        torch.save(held, tmp_path / f"{name}.pt")
        _, back = converted(tmp_path / f"{name}.pt", tmp_path / name, config=CONFIG)
        assert_bits_equal(back, read_folder(tmp_path / "saved"))


# The authors' files


def as_lxmerts_authors(name):
    return re.sub(r"^(lxmert\.)?(?=embeddings|encoder|pooler)", "bert.", name.removeprefix("lxmert."))


def as_fine_tuned(name, parallel=False):
    if name.startswith("answer_head."):
        return name.removeprefix("answer_head.")
    return f"lxrt_encoder.model.{'module.' if parallel else ''}{as_lxmerts_authors(name)}"


@pytest.mark.parametrize(
    ("architecture", "prefix", "old"), covering(["LxmertModel", PRE_TRAINING], ["", "module."], PICKLES)
)
def test_pre_trained_by_lxmerts_authors(architecture, prefix, old, tmp_path):
    held = tensors_of(architecture)
    given = {prefix + as_lxmerts_authors(name): x for name, x in held.items()}
    if architecture == PRE_TRAINING:
        given[prefix + DECODER] = held[WORDS]
    source = pickled(tmp_path / "Epoch20_LXRT.pth", given, old)
    done, back = converted(source, tmp_path / "back", num_attention_heads=3)
    assert_bits_equal(back, held)
    assert (done.architecture, done.report.naming) == (architecture, "the original authors'")
    assert done.report.format == ("PyTorch pickle of the old format" if old else "PyTorch pickle")
    config = LxmertConfig.from_pretrained(tmp_path / "back")
    assert config == (
        CONFIG
        if architecture == PRE_TRAINING
        else CONFIG.replace(num_qa_labels=9500, num_object_labels=1600, num_attr_labels=400)
    )


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize(("architecture", "labels"), [(ANSWERING, 5), (REASONING, 2)])
def test_fine_tuned_by_lxmerts_authors(architecture, labels, parallel, tmp_path):
    held = tensors_of(architecture)
    source = pickled(tmp_path / "BEST.pth", {as_fine_tuned(name, parallel): x for name, x in held.items()})
    done, back = converted(source, tmp_path / "back", num_attention_heads=3)
    assert_bits_equal(back, held)
    assert (done.architecture, done.report.naming) == (architecture, "the original authors', fine-tuned")
    assert LxmertConfig.from_pretrained(tmp_path / "back").num_qa_labels == labels


def as_visual_berts_authors(name):
    changes = {
        "visual_projection": "projection",
        "visual_position_embeddings": "position_embeddings_visual",
        "visual_token_type_embeddings": "token_type_embeddings_visual",
    }
    for theirs, original in changes.items():
        name = name.replace(theirs, original)
    name = re.sub(
        r"^(visual_bert\.)?(?=embeddings|encoder|pooler|additional_layer)", "bert.", name.removeprefix("visual_bert.")
    )
    name = re.sub(r"^cls\.(weight|bias)", r"classifier.\1", name)
    return "bert." + re.sub(r"^attention\.", "flickr_attention.", name)


BESIDE = {
    "bert.bert.embeddings.position_ids": np.arange(9)[None],
    "detector.backbone.0.weight": np.ones((2, 3), "f4"),
    "detector.backbone.1.num_batches_tracked": np.array(7),
    "detector.obj_downsample.1.bias": np.ones(2, "f4"),
}


@pytest.mark.parametrize(
    ("architecture", "old"), covering([name for name, config in CONFIG_OF.items() if config is VISUAL_BERT], PICKLES)
)
def test_visual_berts_authors(architecture, old, tmp_path):
    held = tensors_of(architecture)
    given = {as_visual_berts_authors(name): x for name, x in held.items()} | BESIDE
    assert len(given) == len(held) + len(BESIDE)
    source = pickled(tmp_path / "model.th", given, old)
    # Two classes have the same tensors, so it has to be said which the file is.
    task = {"VisualBertForQuestionAnswering": "question-answering", "VisualBertForVisualReasoning": "visual-reasoning"}
    done, back = converted(source, tmp_path / "back", num_attention_heads=3, task=task.get(architecture))
    assert_bits_equal(back, held)
    assert done.architecture == architecture
    assert sorted(done.report.unexpected) == sorted(BESIDE)
    config = VisualBertConfig.from_pretrained(tmp_path / "back")
    answers = architecture in task
    assert config == (
        VISUAL_BERT if answers else VISUAL_BERT.replace(num_labels=2 if "Choice" not in architecture else 1)
    )
    if answers:
        with pytest.raises(
            CheckpointMismatchError, match="may be VisualBertForQuestionAnswering or VisualBertForVisual"
        ):
            convert(source, tmp_path / "other", num_attention_heads=3)


# What lies beside the weights, and dtypes


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_a_decoder_beside_the_word_embedding(ending, tmp_path):
    held = tensors_of(PRE_TRAINING)
    given = {**held, DECODER: held[WORDS].copy(), "lxmert.embeddings.position_ids": np.arange(9)[None]}
    source = make_folder(tmp_path / "source", PRE_TRAINING, **given)
    if ending == "bin":
        (source / "model.safetensors").unlink()
        pickled(source / "pytorch_model.bin", given)
    done, back = converted(source, tmp_path / "back")
    assert_bits_equal(back, held)
    assert done.report.unexpected == ("lxmert.embeddings.position_ids",)


def test_a_file_whose_only_word_embedding_is_the_decoder(tmp_path):
    held = tensors_of(PRE_TRAINING)
    given = {(DECODER if name == WORDS else name): x for name, x in held.items()}
    source = make_folder(tmp_path / "source", PRE_TRAINING)
    save_file(given, source / "model.safetensors")
    _, back = converted(source, tmp_path / "back")
    assert_bits_equal(back, held)


@pytest.mark.parametrize(
    ("dtype", "ending"),
    covering(["bfloat16", "float16", "float64"], ["model.safetensors", "pytorch_model.bin", "a.weights.h5", "b.keras"]),
)
def test_other_dtypes(dtype, ending, tmp_path):
    """Kept bit by bit by a conversion; loaded into a model of float32 without a loss."""
    source = make_folder(tmp_path / "source", ANSWERING, dtype=dtype)
    place = source
    if ending == "pytorch_model.bin":
        tensors = {
            name: torch.from_numpy(x.astype("f8")).to(getattr(torch, dtype)) for name, x in read_folder(source).items()
        }
        (place := tmp_path / "pickled").mkdir()
        shutil.copy(source / "config.json", place)
        torch.save(tensors, place / ending)
    elif ending != "model.safetensors":
        convert(source, place := tmp_path / ending)
    _, back = converted(place, tmp_path / "back")
    assert_bits_equal(back, tensors_of(ANSWERING, dtype=dtype))
    for model_class in (lxmert.pt.LxmertForQuestionAnswering, lxmert.tf.TFLxmertForQuestionAnswering):
        model = model_class.from_pretrained(place)
        name = "heads.answer.up.weight"
        held = next(w for p, w in model.weights_by_name() if p.name == name)
        values = held.detach().numpy() if hasattr(held, "detach") else np.asarray(held).T
        expected = next(values_of(p, dtype) for p, _ in model.weights_by_name() if p.name == name)
        assert values.dtype == np.float32
        assert np.array_equal(values, expected.astype("f4"))


@pytest.mark.parametrize(("name", "architecture"), covering(["a.weights.h5", "b.keras"], list(CONFIG_OF)))
def test_keras_files_without_our_configuration(name, architecture, tmp_path):
    """As Keras itself writes .weights.h5, which holds no configuration: the shapes tell it."""
    convert(make_folder(tmp_path / "source", architecture), place := tmp_path / name)
    options = {}
    if name == "a.weights.h5":
        with h5py.File(place, "a") as file:
            del file.attrs[CONFIG_ATTRIBUTE]
        options = {"num_attention_heads": 3}
        if architecture in ("VisualBertForQuestionAnswering", "VisualBertForVisualReasoning"):
            options["task"] = {"Q": "question-answering", "V": "visual-reasoning"}[architecture[len("VisualBertFor")]]
    done, back = converted(place, tmp_path / "back", **options)
    assert_bits_equal(back, tensors_of(architecture))
    assert (done.architecture, done.report.naming) == (architecture, "Keras weights")
    source = "inferred from the shapes" if name == "a.weights.h5" else "config.json"
    assert done.report.config_source == source


def test_the_folders_best_file_is_read(tmp_path):
    """safetensors before pickles before TensorFlow's, whatever else lies there."""
    source = make_folder(tmp_path / "source", PRE_TRAINING)
    other = {name: x + 1 for name, x in tensors_of(PRE_TRAINING).items()}
    pickled(source / "pytorch_model.bin", other)
    convert(source, tmp_path / "tf_model.h5")
    shutil.copy(tmp_path / "tf_model.h5", source)
    assert_bits_equal(converted(source, tmp_path / "1")[1], tensors_of(PRE_TRAINING))
    (source / "model.safetensors").unlink()
    assert_bits_equal(converted(source, tmp_path / "2")[1], other)
    (source / "pytorch_model.bin").unlink()
    assert_bits_equal(converted(source, tmp_path / "3")[1], tensors_of(PRE_TRAINING))


# A file without a configuration: what is told, what is guessed, what is asked for


def shapes_told(config, heads, **overrides):
    """The configuration inferred from the shapes of a model, without making it."""
    shapes = {p.name: p.shape for p in parameters(config, heads)}
    counts = {name: getattr(config, name) for name in MODELS[config.model_type].layers}
    return config_from_shapes(type(config), counts, lambda p: shapes.get(p.name), "file.pth", overrides)


def test_what_shapes_tell():
    assert shapes_told(CONFIG, head_names(PRE_TRAINING, CONFIG), num_attention_heads=3) == CONFIG
    odd = CONFIG.replace(task_qa=False, visual_attr_loss=False, l_layers=1, r_layers=0, vocab_size=7)
    told = shapes_told(odd, head_names(PRE_TRAINING, odd), num_attention_heads=3)
    # What has no weights has the value of the published models.
    assert told == odd.replace(num_qa_labels=9500, num_attr_labels=400)
    config = VISUAL_BERT.replace(bypass_transformer=True)
    assert shapes_told(config, ("classifier",), num_attention_heads=3) == config
    # The head of alignment is one attention head wide: nothing has to be given.
    assert shapes_told(VISUAL_BERT, ("word", "match", "alignment")) == VISUAL_BERT.replace(num_labels=2)
    assert shapes_told(CONFIG, (), num_attention_heads=3, hidden_act="relu").hidden_act == "relu"


@pytest.mark.parametrize(
    ("config", "heads"),
    [(LxmertConfig(), every_head("lxmert")[:-1]), (VisualBertConfig(num_labels=3129), ("classifier",))],
)
def test_the_published_models_are_told_and_their_heads_guessed(config, heads):
    said = (
        r"^file\.pth has no configuration\. Its sizes are inferred from its shapes; num_attention_heads=12 is a guess, "
        r"64 numbers for each head, as in every published model\. Pass num_attention_heads=12 to be sure\.$"
    )
    with pytest.warns(UserWarning, match=said):
        assert shapes_told(config, heads) == config
    assert shapes_told(config, heads, num_attention_heads=24) == config.replace(num_attention_heads=24)


def test_a_number_of_heads_that_nothing_tells_is_asked_for(tmp_path):
    source = pickled(tmp_path / "BEST.pth", {as_fine_tuned(name): x for name, x in tensors_of(ANSWERING).items()})
    said = (
        r"BEST\.pth has no configuration, and its shapes do not show num_attention_heads, which must divide its "
        r"hidden_size=12: pass num_attention_heads=\.\.\."
    )
    for reads in (open_checkpoint, lxmert.pt.LxmertForQuestionAnswering.from_pretrained):
        with pytest.raises(ValueError, match=said):
            reads(source)
    with pytest.raises(ValueError, match="hidden_size must be a multiple of num_attention_heads"):
        open_checkpoint(source, num_attention_heads=5)
    with open_checkpoint(source, num_attention_heads=6) as checkpoint:
        assert checkpoint.config.num_attention_heads == 6
        assert checkpoint.config_source == "inferred from the shapes"
    CONFIG.save_pretrained(tmp_path)  # a configuration beside the file is read
    with open_checkpoint(source) as checkpoint:
        assert (checkpoint.config, checkpoint.config_source) == (CONFIG, "config.json")
        assert match_parameters(checkpoint, ANSWERING)[1].config_source == "config.json"


def test_heads_are_guessed_with_a_warning_in_a_file(tmp_path):
    config = LxmertConfig(
        **{**{f: getattr(CONFIG, f) for f in CONFIG.field_names()}, "hidden_size": 128, "num_attention_heads": 2}
    )
    source = pickled(tmp_path / "a.pth", {as_fine_tuned(n): x for n, x in tensors_of(ANSWERING, config).items()})
    for model_class in (lxmert.pt.LxmertForQuestionAnswering, lxmert.tf.TFLxmertForQuestionAnswering):
        with pytest.warns(UserWarning, match="num_attention_heads=2 is a guess, 64 numbers for each head"):
            assert model_class.from_pretrained(source).config.num_attention_heads == 2


def test_the_model_is_told_too(tmp_path):
    """Without a configuration and without a class that loads it, the names tell LXMERT from VisualBERT."""
    for architecture, config in (("LxmertModel", CONFIG), ("VisualBertModel", VISUAL_BERT)):
        source = pickled(tmp_path / f"{architecture}.pth", tensors_of(architecture))
        with open_checkpoint(source, num_attention_heads=3) as checkpoint:
            assert type(checkpoint.config) is type(config)
            assert checkpoint.architecture == architecture
    lost = {name: x for name, x in tensors_of("LxmertModel").items() if "word_embeddings" not in name}
    source = pickled(tmp_path / "b.pth", lost)
    said = r"missing     1: embeddings.word_embeddings.weight"
    with (
        open_checkpoint(source, num_attention_heads=3, hidden_size=12) as checkpoint,
        pytest.raises(CheckpointMismatchError, match=said),
    ):
        match_parameters(checkpoint, "LxmertModel")


def test_a_visual_bert_that_somebody_called_bert(tmp_path):
    """`self.bert = VisualBertModel(...)`: BERT's prefix, and what no BERT has."""
    tensors = {f"bert.{name}": x for name, x in tensors_of("VisualBertModel").items()}
    save_file(tensors, tmp_path / "a.safetensors")
    with open_checkpoint(tmp_path / "a.safetensors", num_attention_heads=3) as checkpoint:
        assert (checkpoint.is_bert, checkpoint.architecture) == (False, "VisualBertModel")


@pytest.mark.parametrize("source", [{"a": 1}, None, 3])
def test_a_source_that_is_no_path(source):
    with pytest.raises(TypeError, match=r"source must be a path or a model on the hub; got .* load_state_dict"):
        open_checkpoint(source)
