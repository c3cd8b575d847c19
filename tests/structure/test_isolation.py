"""Each backend without the other, and the package without either: in fresh processes in which imports are refused."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import lxmert.pt
import lxmert.tf
from lxmert.common.specs import DETECTORS, SPECS
from tests.small import small_config, small_inputs

ROOT = Path(__file__).parents[2]
FRAMEWORKS = {"torch", "keras", "tensorflow", "h5py", "jax"}

# What asks for these modules is told that they are not installed.
BLOCK = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {blocked!r} else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Without, sys.meta_path)
"""

USE = """
import numpy as np
from lxmert import LxmertConfig, {prefix}LxmertForQuestionAnswering as Model

config = LxmertConfig(vocab_size=30, hidden_size=8, num_attention_heads=2, intermediate_size=10, num_qa_labels=3,
                      max_position_embeddings=6, l_layers=1, x_layers=1, r_layers=1, visual_feat_dim=5)
given = dict(input_ids=np.ones((2, 4), "int64"), visual_feats=np.ones((2, 3, 5), "float32"),
             visual_pos=np.ones((2, 3, 4), "float32"), labels=np.array([0, 2]))
{to_tensors}
model = Model(config){evaluation}
before = model(**given)
model.save_pretrained(sys.argv[1])
after = Model.from_pretrained(sys.argv[1])(**given)
for name in ("loss", "question_answering_score"):
    difference = abs(before[name]{detach} - after[name]{detach}).{largest}
    assert float(difference) == 0, (name, difference)

from lxmert import VisualBertConfig, {prefix}VisualBertForVisualReasoning as Model

config = VisualBertConfig(vocab_size=30, hidden_size=8, visual_embedding_dim=5, num_hidden_layers=1,
                          num_attention_heads=2, intermediate_size=10, max_position_embeddings=6)
given = dict(input_ids=given["input_ids"], visual_embeds=given["visual_feats"], labels=given["labels"] * 0 + 1)
model = Model(config){evaluation}
before = model(**given)
model.save_pretrained(sys.argv[1])
after = Model.from_pretrained(sys.argv[1])(**given)
for name in ("loss", "logits"):
    difference = abs(before[name]{detach} - after[name]{detach}).{largest}
    assert float(difference) == 0, (name, difference)
"""

PYTORCH = dict(prefix="", to_tensors="import torch\ngiven = {k: torch.from_numpy(v) for k, v in given.items()}")
KERAS = dict(prefix="TF", to_tensors="")


def run(program, *arguments):
    """Run a program in a fresh process, from another folder than the repository's."""
    command = [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=ROOT.anchor, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_imports_no_framework():
    loaded = run("import sys, lxmert, lxmert.common; print(*sys.modules)").split()
    assert "lxmert" in loaded
    assert not {*FRAMEWORKS, "transformers", "huggingface_hub"} & {name.partition(".")[0] for name in loaded}
    # Nor do the functions that explain; they are reached without importing their package.
    names = "[getattr(lxmert.explain, name) for name in lxmert.explain.__all__]"
    loaded = run(f"import sys, lxmert; {names}; print(*sys.modules)").split()
    assert "lxmert.explain.questions" in loaded
    assert not {*FRAMEWORKS, "PIL", "matplotlib"} & {name.partition(".")[0] for name in loaded}


NEEDS_PYTORCH = 'lxmert.pt needs PyTorch. Install it with: pip install "lxmert[pt]"'
NEEDS_KERAS = 'lxmert.tf needs Keras 3 and TensorFlow. Install them with: pip install "lxmert[tf]"'


@pytest.mark.parametrize(
    ("blocked", "missing"),
    [
        (("torch",), {"LxmertModel": NEEDS_PYTORCH, "VisualBertModel": NEEDS_PYTORCH}),
        (("keras",), {"TFLxmertModel": NEEDS_KERAS}),
        (("tensorflow",), {"TFLxmertModel": NEEDS_KERAS}),
        (("torch", "keras", "tensorflow", "h5py"), {"LxmertModel": NEEDS_PYTORCH, "TFLxmertModel": NEEDS_KERAS}),
    ],
    ids=["PyTorch", "Keras", "TensorFlow", "all"],
)
def test_without_a_backend_everything_else_is_there(blocked, missing):
    """`from lxmert import *` imports no backend and needs none; a name of a missing backend says what to install."""
    program = """
        import sys
        from lxmert import *
        import lxmert
        assert set(lxmert.__all__) <= set(globals()), "a name of the list is missing"
        print(*sys.modules)
        print(*lxmert.__all__)
        for name in sys.argv[1:]:
            try:
                getattr(lxmert, name)
            except ImportError as error:
                print(error)
    """
    said = run(BLOCK.format(blocked=blocked) + textwrap.dedent(program), *missing).splitlines()
    assert not FRAMEWORKS & {name.partition(".")[0] for name in said[0].split()}
    assert {"LxmertConfig", "VisualBertConfig", "convert", "LoadReport", "VisualBertTaskOutput"} <= set(said[1].split())
    for line, message in zip(said[2:], missing.values(), strict=True):
        assert line.startswith(message)


def test_every_class_of_either_backend_is_a_public_name():
    for module in (lxmert.pt, lxmert.tf):
        classes = [name for name in module.__all__ if isinstance(getattr(module, name), type)]
        assert set(classes) <= set(dir(lxmert))
        for name in classes:
            assert getattr(lxmert, name) is getattr(module, name)
    assert {*SPECS, *DETECTORS, *(f"TF{name}" for name in (*SPECS, *DETECTORS))} <= set(dir(lxmert))
    with pytest.raises(AttributeError, match="module 'lxmert' has no attribute 'VisualBertForNothing'"):
        lxmert.VisualBertForNothing  # noqa: B018


def test_pytorch_alone(tmp_path):
    program = BLOCK.format(blocked=("keras", "tensorflow", "h5py")) + USE.format(
        **PYTORCH, evaluation=".eval()", detach=".detach()", largest="max()"
    )
    run(program + "\nassert not {'keras', 'tensorflow', 'h5py'} & set(sys.modules)", tmp_path)


LOAD = """
import keras
for name in sys.argv[2:]:
    model = keras.models.load_model(f"{sys.argv[1]}/{name}.keras")
    output = model(dict(np.load(f"{sys.argv[1]}/{name}.inputs.npz")))
    np.savez(f"{sys.argv[1]}/{name}.outputs.npz", *[np.asarray(values) for values in output.to_tuple()])
assert "torch" not in sys.modules
"""


def test_keras_alone(tmp_path):
    """A fresh process also loads the archives that another one has saved."""
    models = {
        name: getattr(lxmert.tf, f"TF{name}")(small_config(name, **changes))
        for name, changes in (
            ("LxmertForPreTraining", {"pruned_heads": {"language_layers.0.attention": (1,)}}),
            ("VisualBertForRegionToPhraseAlignment", {"bypass_transformer": True}),
        )
    }
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.inputs.npz", **small_inputs(name))
    program = BLOCK.format(blocked=("torch",)) + USE.format(**KERAS, evaluation="", detach="", largest="numpy().max()")
    run(program + LOAD, tmp_path, *models)
    for name, model in models.items():
        with np.load(tmp_path / f"{name}.outputs.npz") as found:
            for key, expected in zip(found.files, model(small_inputs(name)).to_tuple(), strict=True):
                np.testing.assert_allclose(found[key], expected, atol=1e-6)
