"""lxmert/pt and lxmert/tf are two files of one shape: the same classes, functions and methods, in the same order.

So a reader may lay two files side by side and see nothing but the differences of the frameworks, which stand below.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "lxmert"

# Files that one backend has alone.
OWN_FILES = {
    "pt/cpu_kernels/feed_forward.py": "what Keras keeps for gradients is TensorFlow's to say",
    "pt/cpu_kernels/linear.py": "TensorFlow multiplies by oneDNN of itself",
    "pt/cpu_kernels/convolution.py": "TensorFlow fuses them by itself",
    "pt/cpu_kernels/dispatch.py": "for the other kernels",
    "pt/cpu_kernels/packing.py": "packs for PyTorch's own calls",
    "pt/cpu_kernels/product_choice.py": "TensorFlow multiplies by oneDNN of itself",
    "training/pt/products.py": "the same",
    "tf/packing.py": "packs for a graph of TensorFlow",
    "pt/cpu_kernels/dropout.py": "TensorFlow draws dropout fast of itself",
    "pt/cpu_kernels/attention.py": "what Keras keeps for gradients is TensorFlow's to say",
    "pt/cpu_kernels/int8.py": "TensorFlow has no such product for eager code",
    "pt/quantization.py": "layers are computed together, and packed without a graph",
    "pt/int8_weights.py": "a Keras model has no state dict",
    "tf/int8.py": "all of the three above that a graph needs",
    "pt/adapters.py": "peft adapts PyTorch's modules",
    "pt/placement.py": "Keras places a model by the scope that it is made in",
    "pt/state_dicts.py": "a Keras model has no state dict",
    "training/pt/engine.py": "Keras spreads a step over devices by itself, from tf.distribute",
    "training/pt/fabric.py": "starts the processes of the engine",
    "training/tf/strategy.py": "tf.distribute; the engine of PyTorch",
    "training/tf/schedule.py": "fit asks a schedule for the rate of a step; a PyTorch loop sets it",
    "tf/lookup.py": "nn.Embedding has a dense gradient and none into its padding row; its start is in reset_parameters",
    "tf/dropout.py": "PyTorch's checkpoint repeats dropout by itself",
    "tf/added_layers.py": "Keras makes a saved model again; PyTorch saves values alone",
    "tf/own_weights.py": "a Keras model has no state dict",
    "tf/keras_formats.py": "what keras.Model writes and reads by itself",
    "tf/keras_export.py": "torch.export is given the inputs; a Keras model knows its own",
    "tf/serving.py": "a SavedModel; torch.export writes one graph",
    "training/tf/batches.py": "tf.data, which feeds fit",
    "tf/fitting.py": "Keras trains by compile and fit, and predicts by predict; PyTorch users write the loop",
}

# What every Keras layer or model may have beside its PyTorch sibling.
KERAS_METHODS = {
    "build": "Keras makes weights when it knows the sizes; here that is at once, but in a method of its own",
    "output_shape": "what summary() shows",
    "make_weights": "the same, of a model, whose `build` is left to its user",
    "get_config": "Keras saves the arguments of the constructor",
    "from_config": "and makes the object from them again",
}

# What else one backend has alone: "file: name" or "file: class.method".
NATIVE = {
    "pt/layers.py: Attention.attend": "both directions of a cross layer are computed together",
    "pt/layers.py: _with_bias": "a mask that is all 1 is left out; a graph cannot look at values",
    "pt/layers.py: gather_tokens": "beside the lookup of embeddings in Keras, with whose gradient it is written",
    "pt/cross_layer.py: can_attend_together": "its gain was not measured in TensorFlow",
    "pt/cross_layer.py: attend_together": "the same",
    "inference/tf.py: NumpyModel._graph": "PyTorch packs without a graph",
    "inference/tf.py: _check_values": "a graph sees no values",
    "tf/layers.py: ConfiguredLayer": "every Keras layer saves its configuration; and initializes and names its parts",
    "tf/layers.py: Linear": "PyTorch's product of rows and matrix takes any shape",
    "tf/layers.py: rows": "the same",
    "tf/layers.py: Embedding.call": "padding_idx, which nn.Embedding has",
    "detection/grid/pt.py: _quiet": "transformers shows bars and reports of its own",
    "detection/grid/tf.py: _application_size": "keras.applications are made for a size; their files do not say it",
    "detection/grid/tf.py: _input_name": "a Keras model may take its inputs as a dictionary",
    "detection/grid/tf.py: _typed": "a PyTorch module is cast when it is made",
    "tf/resnet.py: ConvNorm.pad": "PyTorch pads all sides alike by itself",
    "pt/detector.py: ProposalHead._apply": "a Keras variable keeps its dtype",
    "pt/detector.py: VisualGenomeDetector._autocast": "Keras' layers have a dtype policy each",
    "tf/detector.py: TFVisualGenomeDetector._graph": "PyTorch runs without a graph",
    "tf/detector.py: TFVisualGenomeDetector._graphs": "the same",
    "tf/detector.py: TFVisualGenomeDetector._feature_map": "the same",
    "inference/tf.py: SplitEncoder._graph": "PyTorch runs without a graph",
    "inference/pt.py: evaluation_mode": "a Keras model has no mode; call is told",
    "explain/pt.py: GradientModel._computing": "Keras is told at every call whether it trains",
    "explain/tf.py: GradientModel._graph": "PyTorch runs without a graph",
    "explain/tf.py: _LateGraph": "the same",
    "explain/tf.py: _places": "what a graph is given are tensors",
    "inference/tf.py: graphs_of": "PyTorch runs without a graph",
    "inference/pt.py: SplitEncoder._computing": "Keras has no mode and no autocast",
    "inference/pt.py: SplitEncoder._tensor": "Keras' tensors have one device",
    "tf/losses.py: _cross_entropy": "F.cross_entropy ignores a label; the Keras one does not",
    "tf/visual_bert_scoring.py: flatten_choices": "Tensor.flatten",
    "pt/pretrained.py: PreTrainedModel._takes_any_keyword": "a user's forward may have **kwargs; Keras' call may not",
    "pt/pretrained.py: PreTrainedModel.peft_config": "peft adapts PyTorch's modules",
    "pt/pretrained.py: PreTrainedModel.quantize": "keras.Model has a method of this name, with another meaning",
    "pt/pretrained.py: PreTrainedModel.train": "Keras is told at every call whether it trains; training begins in fit",
    "pt/pretrained.py: PreTrainedModel.reset_parameters": "Keras initializes in build",
    "pt/pretrained.py: PreTrainedModel._init_modules": "the same",
    "pt/embeddings.py: same_rows": "Keras has no hooks, from which others compute the gradient of each example",
    "pt/pretrained.py: PreTrainedModel.post_init": "Keras initializes in build",
    "pt/pretrained.py: PreTrainedModel.init_weights": "the same",
    "pt/pretrained.py: PreTrainedModel._init_weights": "the same",
    "pt/pretrained_base.py: PreTrainedBase._place": "Keras places a model by the scope that it is made in",
    "pt/pretrained.py: PreTrainedModel.base_name": "in Keras the backbone has its name, which nothing else lists",
    "pt/named_weights.py: NamedWeights.device": "Keras' variables have no device of their own",
    "pt/named_weights.py: NamedWeights.dtype": "every Keras layer has one",
    "pt/resizing.py: Resizable.get_output_embeddings": "a tied layer on the word embedding; Keras' layers own theirs",
    "pt/resizing.py: Resizable.set_output_embeddings": "the same",
    "pt/resizing.py: Resizable.enable_input_require_grads": "a hook; Keras has none",
    "pt/resizing.py: Resizable.disable_input_require_grads": "the same",
    "pt/layers.py: with_zero_gradients": "DDP waits for the gradient of every parameter; tf.distribute does not",
    "pt/named_weights.py: array_of": "PyTorch does not give bfloat16 to NumPy; Keras does",
    "tf/pretrained_base.py: PreTrainedBase.__dir__": "Keras names the groups of a weight file by walking over it",
    "tf/pretrained.py: accept_dict": "fit passes the inputs as one structure",
    "tf/pretrained_base.py: PreTrainedBase.finish": "a constructor leaves a Keras model with weights, open for more",
    "tf/pretrained.py: PreTrainedModel.takes_inputs_by_name": "a user's call may take one structure, as fit passes it",
    "tf/pretrained.py: PreTrainedModel.by_name": "inputs as one dict or as a list",
    "tf/named_weights.py: NamedWeights._arrays": "Keras has no way to resize a variable: its values pass through NumPy",
    "tf/resizing.py: Resizable._restore": "the same",
    "tf/named_weights.py: sublayer": "nn.Module.get_submodule",
    "tf/named_weights.py: to_torch_layout": "Keras transposes the kernels of dense layers",
    "tf/init.py: _empty": "PyTorch's meta device",
    "tf/named_weights.py: NamedWeights._assign_keras_layout": "kernels in Keras' files have its layout",
    "tf/init.py: NormalInitializer": "reset_parameters; Keras' layers are given how they start",
    "pt/init.py: _SkipInit": "Keras' initializers look whether to draw; PyTorch's are left out from outside",
    "training/pt/optimizers.py: _group_parameters": "Keras updates in a graph, which TensorFlow cuts into pieces",
    "training/tf/optimizers.py: _Adam": "torch.optim.AdamW has m and v of itself, as BertAdam.state",
    "training/tf/optimizers.py: AdamW": "torch.optim.AdamW",
    "training/tf/optimizers.py: BertAdam.update_step": "Keras updates one variable at a time, PyTorch all of them",
    "training/pt/optimizers.py: BertAdam.step": "the same",
    "training/pt/optimizers.py: BertAdam._update": "the same",
    "training/tf/optimizers.py: _batches": "PyTorch's optimizers count steps, and accumulate in the gradients",
    "training/tf/optimizers.py: _one_minus_power": "PyTorch's AdamW corrects by itself",
    "training/tf/optimizers.py: _is_16_bit": "clip_grad_norm_ widens by itself",
    "training/pt/optimizers.py: _moments": "Keras makes m and v in build",
    "training/pt/optimizers.py: _match_layout": "Keras' variables take arrays as they are",
    "training/pt/trainer.py: Evaluator._on_device": "Keras moves inputs to their device by itself",
    "training/tf/trainer.py: Evaluator._cast": "the dtype of inputs; in PyTorch _on_device sees to it",
    "training/tf/trainer.py: Trainer._fit": "fit does whole epochs; the loop of PyTorch begins anywhere",
    "training/tf/trainer.py: _StepCallback": "fit reports its steps to a callback",
    "training/pt/trainer.py: Trainer._step": "fit does the steps",
    "training/tf/trainer.py: Trainer._generators": "dropout draws from variables; PyTorch is seeded anew for each step",
    "training/pt/trainer.py: _MicroBatches": "what PyTorch's loader reads; tf.data takes a generator",
    "training/pt/trainer.py: _tensors": "the same",
    "training/pt/trainer.py: weighted_losses": "fit weighs losses by sample weights",
    "training/pt/trainer.py: _keys": "Keras' variables are found by name; those of PyTorch may be wrapped",
}


def files_of(backend):
    """The files of a backend, by the path that both backends share (`*` stands for the backend)."""
    found = {}
    for pattern in (
        f"{backend}/**/*.py",
        f"detection/**/{backend}*.py",
        f"inference/{backend}*.py",
        f"explain/{backend}*.py",
        f"training/{backend}/*.py",
    ):
        for path in PACKAGE.glob(pattern):
            name = path.relative_to(PACKAGE).as_posix()
            if path.name not in ("__init__.py", "_compat.py"):  # the second names what is private to one framework
                found[name.replace(f"{backend}/", "*/").replace(f"/{backend}", "/*")] = name
    return found


FILES = {backend: files_of(backend) for backend in ("pt", "tf")}
SIBLINGS = sorted(FILES["pt"].keys() & FILES["tf"].keys())


def outline(file):
    """The top-level functions and classes of a file and the methods of the classes, in order, under their own names."""
    tree = ast.parse((PACKAGE / file).read_text(encoding="utf-8"))
    names = []
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.append(node.name)
        if isinstance(node, ast.ClassDef):
            names += [f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)]
    return names


def shared(backend, file):
    """The outline without what the backend has alone, under names that both backends use."""
    kept, file = [], FILES[backend][file]
    for name in outline(file):
        owner, _, method = name.partition(".")
        own = {f"{file}: {name}", f"{file}: {owner}"} & set(NATIVE)
        if own or (backend == "tf" and method in KERAS_METHODS):
            continue
        method = "forward" if method == "call" else method
        kept.append(".".join(part for part in (owner.removeprefix("TF"), method) if part))
    return kept


@pytest.mark.parametrize("file", SIBLINGS)
def test_sibling_files_have_the_same_outline(file):
    assert shared("tf", file) == shared("pt", file)


def test_both_backends_have_the_same_files():
    alone = {FILES[backend][name] for backend in FILES for name in FILES[backend].keys() - set(SIBLINGS)}
    assert alone == set(OWN_FILES)


def test_the_tables_name_nothing_that_is_not_there():
    for entry in NATIVE:
        file, name = entry.split(": ")
        assert name in outline(file), f"{entry} is in the table of native differences, and not in the code"
    methods = {name.partition(".")[2] for file in SIBLINGS for name in outline(FILES["tf"][file])}
    assert set(KERAS_METHODS) <= methods


def test_the_arguments_of_forward_and_call_agree():
    """In name and order, but for `training`, a mode in PyTorch, and what catches misspelled keywords."""
    own = {"self", "training", "unknown", "kwargs"}
    for file in SIBLINGS:
        arguments = {}
        for backend in ("pt", "tf"):
            tree = ast.parse((PACKAGE / FILES[backend][file]).read_text(encoding="utf-8"))
            for node in tree.body:
                for part in getattr(node, "body", ()):
                    if (
                        isinstance(part, ast.FunctionDef)
                        and part.name in ("forward", "call")
                        and node.name not in ("Embedding", "Linear")
                    ):
                        given = [a.arg for a in (*part.args.args, *part.args.kwonlyargs) if a.arg not in own]
                        arguments.setdefault(node.name.removeprefix("TF"), {})[backend] = given
        for name, by_backend in arguments.items():
            assert by_backend["pt"] == by_backend["tf"], f"the arguments of {name} in {file}"
