"""Whatever the model and the format: what goes in comes out, bit for bit. Models and ways are drawn at random."""

import json
import tempfile
import warnings
from pathlib import Path

import h5py
import numpy as np
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lxmert.common.config import LxmertConfig, VisualBertConfig
from lxmert.common.specs import SPECS, architectures
from lxmert.weights.convert import convert
from lxmert.weights.formats.raw_io import BFLOAT16, FLOATS
from lxmert.weights.load import match_parameters
from lxmert.weights.naming.key_mapping import KERAS_H5, KEY_MAPPINGS, parameters
from lxmert.weights.naming.tables import every_head, head_names, is_task_model
from lxmert.weights.open import open_checkpoint
from lxmert.weights.save_hdf5 import check_for_tf

random_cases = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # a smaller example than the first would take minutes to find
)
sizes = st.integers(1, 7)


@st.composite
def configs(draw):
    """A configuration of either model: sizes, switches, pruned attention heads, an untied word head."""
    heads = draw(st.integers(1, 3))
    shared = dict(
        vocab_size=draw(st.integers(2, 9)),
        hidden_size=heads * draw(st.integers(2, 4)),
        num_attention_heads=heads,
        intermediate_size=draw(sizes),
        max_position_embeddings=draw(sizes),
        type_vocab_size=draw(sizes),
        tie_word_embeddings=draw(st.booleans()),
    )
    if draw(st.booleans()):
        switches = ("task_obj_predict", "task_qa", "visual_obj_loss", "visual_attr_loss", "visual_feat_loss")
        config = LxmertConfig(
            **shared,
            **{name: draw(sizes) for name in ("num_qa_labels", "num_object_labels", "num_attr_labels")},
            **{name: draw(st.integers(0, 2)) for name in ("l_layers", "r_layers")},
            x_layers=draw(st.integers(1, 2)),
            visual_feat_dim=draw(sizes),
            visual_pos_dim=draw(sizes),
            **{name: draw(st.booleans()) for name in switches},
        )
        assume(config.visual_losses or not config.task_obj_predict)
    else:
        config = VisualBertConfig(
            **shared,
            num_hidden_layers=draw(st.integers(1, 3)),
            visual_embedding_dim=draw(sizes),
            num_labels=draw(sizes),
            bypass_transformer=draw(st.booleans()),
        )
    if heads > 1 and draw(st.booleans()):
        path = draw(st.sampled_from(config.attention_paths))
        gone = draw(st.sets(st.integers(0, heads - 1), min_size=1, max_size=heads - 1))
        config = config.replace(pruned_heads={path: sorted(gone)})
    return config


@st.composite
def models(draw):
    """A configuration, a class, and its parameters with values of any dtype, NaN and infinity among them."""
    config = draw(configs())
    architecture = draw(st.sampled_from(sorted(architectures(config.model_type))))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = {}
    formats = draw(st.lists(st.sampled_from(sorted(FLOATS)), min_size=1, max_size=3))
    for p in parameters(config, head_names(architecture, config)):
        x = random.standard_normal(p.shape)
        x[random.random(p.shape) < 0.02] = random.choice([np.nan, np.inf, -np.inf, -0.0])
        values[p] = x.astype(FLOATS[random.choice(formats)])
    return config, architecture, values


def wrapped(draw, name):
    """The name as engines would write it, and as TensorFlow 1 did the parts of a layer norm."""
    parts = name.split(".")
    for _ in range(draw(st.integers(0, 2))):
        wrapper = draw(st.sampled_from(["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"]))
        parts.insert(draw(st.integers(0, max(0, len(parts) - 1))), wrapper)
    return ".".join(parts)


def as_torch(values):
    values = np.ascontiguousarray(values)
    if values.dtype == BFLOAT16:
        return torch.from_numpy(values.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(values.copy())


def write_source(draw, folder, config, architecture, values):
    """Write the model in a random mapping and kind of file, with its libraries alone; the path and the mapping."""
    folder.mkdir()
    mapping = draw(st.sampled_from(KEY_MAPPINGS[config.model_type]))
    nested = is_task_model(architecture)
    old_leaves = draw(st.booleans())
    front = draw(st.sampled_from(["", "", "module.", "_orig_mod.", "module._orig_mod."]))
    tensors = {}
    for p, x in values.items():
        name = mapping.key(p, nested)
        if mapping.keras_layout:
            tensors[name] = p.leaf.to_keras(x)
            continue
        if old_leaves and p.kind == "norm":
            stem, leaf = name.rsplit(".", 1)
            name = f"{stem}.{ {'weight': 'gamma', 'bias': 'beta'}[leaf] }".replace(" ", "")
        tensors[front + (wrapped(draw, name) if draw(st.integers(0, 9)) == 0 else name)] = x
    (folder / "config.json").write_text(json.dumps({**config.to_dict(), "architectures": [architecture]}))
    if "/" in next(iter(tensors)):
        path = folder / "w.weights.h5"
        with h5py.File(path, "w") as file:
            older = mapping is not KERAS_H5
            if older:
                file.attrs["layer_names"] = [b"model"]
            for name, x in tensors.items():
                place = f"layer/model/{name}" if older else name
                made = file.create_dataset(place, data=x.view("V2") if x.dtype == BFLOAT16 else x)
                if x.dtype == BFLOAT16:
                    made.attrs["dtype"] = "bfloat16"
    elif draw(st.booleans()):
        path = folder / "model.safetensors"
        save_file({name: np.ascontiguousarray(x) for name, x in tensors.items()}, path)
    else:
        path = folder / "pytorch_model.bin"
        torch.save(
            {name: as_torch(x) for name, x in tensors.items()}, path, _use_new_zipfile_serialization=draw(st.booleans())
        )
    return draw(st.sampled_from([folder, path])) if path.name != "w.weights.h5" else path


def read_back(path):
    """Config, class, and every parameter by name, of what lies at a path."""
    with warnings.catch_warnings(), open_checkpoint(path) as checkpoint:
        warnings.simplefilter("ignore", UserWarning)
        taken, report = match_parameters(checkpoint, checkpoint.architecture, pooler=checkpoint.pooler)
        assert report.new == report.missing == ()
        assert all("bias" in name for name in report.unexpected)  # which is the same as the decoder's
        with checkpoint.arrays(taken) as arrays:
            return checkpoint.config, checkpoint.architecture, {p.name: x for p, x in arrays}


def can_be_tf(config, architecture, values):
    try:
        check_for_tf(config, architecture, {x.dtype for x in values.values()})
    except ValueError:
        return False
    return True


@random_cases
@given(st.data())
def test_every_way_is_the_identity(data):
    config, architecture, values = data.draw(models())
    expected = {p.name: x for p, x in values.items()}
    with tempfile.TemporaryDirectory() as home:
        path = write_source(data.draw, Path(home) / "0", config, architecture, values)
        targets = ["folder", "parts", "a.weights.h5", "a.keras"]
        if can_be_tf(config, architecture, values):
            targets += ["a.h5", "tf_model.h5"]
        for i, kind in enumerate([*data.draw(st.lists(st.sampled_from(targets), max_size=3)), "folder"], 1):
            target, options = Path(home) / str(i) / kind, {}
            if kind == "parts":
                options = {"max_shard_size": data.draw(st.integers(1, 3000))}
            elif kind == "tf_model.h5":
                target, options = Path(home) / str(i) / "tf", {"to": kind}
            convert(path, target, **options)
            path = target
        found, named, held = read_back(path)
    assert (found, named) == (config, architecture)
    assert sorted(held) == sorted(expected)
    for name, x in expected.items():
        assert (held[name].dtype, held[name].shape) == (x.dtype, x.shape), name
        assert held[name].tobytes() == x.tobytes(), name


# What no shape tells: rates, and switches that are of no consequence for the file.
_OF_BOTH = ["vocab_size", "hidden_size", "num_attention_heads", "max_position_embeddings", "type_vocab_size"]
_OF_LXMERT = [*_OF_BOTH, "l_layers", "r_layers", "x_layers", "visual_feat_dim", "visual_pos_dim"]
_OF_VISUAL_BERT = [*_OF_BOTH, "num_hidden_layers", "visual_embedding_dim", "bypass_transformer", "intermediate_size"]


@random_cases
@given(st.data())
def test_shapes_tell_the_configuration(data):
    """Without a config.json: every field that shapes can tell, in every mapping and class."""
    config, architecture, values = data.draw(models())
    assume(not config.pruned_heads)  # which no shape tells: a narrow attention is not known from a narrow model
    with tempfile.TemporaryDirectory() as home:
        path = write_source(data.draw, Path(home) / "0", config, architecture, values)
        (Path(home) / "0" / "config.json").unlink()
        with open_checkpoint(path, num_attention_heads=config.num_attention_heads) as checkpoint:
            told, heads = checkpoint.config, set(checkpoint.heads)
            assert checkpoint.config_source == "inferred from the shapes"
    assert type(told) is type(config)
    own = head_names(architecture, config)
    fields = list(_OF_VISUAL_BERT)
    if config.model_type == "lxmert":
        fields = list(_OF_LXMERT) + ["intermediate_size"] * (config.l_layers > 0)
        fields += ["num_qa_labels"] * ("answer" in own)
        if "object" in own:
            fields += [f"visual_{name}_loss" for name in ("obj", "attr", "feat")]
            fields += [
                f"num_{long}_labels"
                for key, long in (("obj", "object"), ("attr", "attr"))
                if key in config.visual_losses
            ]
        if architecture == "LxmertForPreTraining":
            fields += ["task_qa", "task_obj_predict"]
    elif "classifier" in own and config.num_labels > 1:
        fields.append("num_labels")
    if "word" in own and path.name != "w.weights.h5":  # the files of Keras have a decoder where the config says so
        fields.append("tie_word_embeddings")
    assert {f: getattr(told, f) for f in fields} == {f: getattr(config, f) for f in fields}
    shared = {"reasoning": "answer", "classifier": "choice"}  # two heads under one name, inferred from their shapes
    assert {shared.get(head, head) for head in heads} == {shared.get(head, head) for head in own}
    assert heads <= set(every_head(config.model_type))


@random_cases
@given(st.data())
def test_a_narrower_format_and_back_changes_nothing_that_fits(data):
    """What every number of has a place in the narrow format comes back as it was; the others are counted."""
    config, architecture, values = data.draw(models())
    narrow = data.draw(st.sampled_from(["float16", "bfloat16"]))
    fits = {p: x.astype("float64").astype(FLOATS[narrow]).astype("float64") for p, x in values.items()}
    with tempfile.TemporaryDirectory() as home, np.errstate(over="ignore"):
        path = write_source(data.draw, Path(home) / "0", config, architecture, fits)
        done = convert(path, Path(home) / "narrow", dtype=narrow)
        assert done.overflowed == {}
        convert(Path(home) / "narrow", Path(home) / "wide", dtype="float64")
        held = read_back(Path(home) / "wide")[2]
    for p, x in fits.items():
        np.testing.assert_array_equal(held[p.name], x)


def test_the_random_cases_are_of_every_kind():
    """What is drawn is what the tests above are meant to cover."""
    seen = set()

    @settings(random_cases, max_examples=200)
    @given(models())
    def look(model):
        config, architecture, values = model
        seen.add(architecture)
        seen.update(x.dtype.name for x in values.values())
        seen.update(name for name in ("pruned_heads", "untied_words") if getattr(config, name))
        seen.add("bypass" if getattr(config, "bypass_transformer", False) else "")

    look()
    classes = set(SPECS)
    assert seen >= {*classes, *FLOATS, "pruned_heads", "untied_words", "bypass"}
