"""Outputs: dicts with attributes, and what libraries do with them."""

PROGRAMS = {
    "the names of an output are listed": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
result = list(model(**INPUTS).keys())
""",
    "a loop over an output goes over names": """
from transformers import VisualBertModel
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"])
out = model(**VISUAL_INPUTS)
result = {name: list(out[name].shape) for name in out}
""",
    "unpacking the tuple": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
language, vision, pooled = model(**INPUTS).to_tuple()
result = language, vision, pooled
""",
    "a tuple instead of a dict": """
from transformers import LxmertForQuestionAnswering
import torch
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
loss, scores = model(**INPUTS, labels=torch.tensor([3, 1]), return_dict=False)
result = loss, scores
""",
    "a configuration that asks for tuples": """
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"], return_dict=False)
out = model(**INPUTS)
result = [type(out).__name__, len(out), out[0]]
""",
    "reading by place and slice": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
out = model(**INPUTS)
result = [out[0], out[-1], len(out[:2]), type(out[:2]).__name__]
""",
    "reading by name and attribute": """
from transformers import VisualBertModel
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"])
out = model(**VISUAL_INPUTS)
result = [out["pooler_output"], out.pooler_output is out["pooler_output"], out.attentions]
""",
    "asking for absent fields": """
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
out = model(**INPUTS)
result = ["loss" in out, out.loss is None, out.get("loss", "none"), hasattr(out, "loss"), len(out)]
""",
    "an absent field is a KeyError": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
out = model(**INPUTS)
try:
    out["loss"]
except KeyError as error:
    result = type(error).__name__
""",
    "the order of everything that LXMERT returns": """
from transformers import LxmertForQuestionAnswering
import torch
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
asked = dict(output_attentions=True, output_hidden_states=True, labels=torch.tensor([0, 1]))
result = list(model(**INPUTS, **asked))
""",
    "the order of everything that VisualBERT returns": """
from transformers import VisualBertForVisualReasoning
import torch
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
out = model(**VISUAL_INPUTS, output_attentions=True, output_hidden_states=True, labels=torch.tensor([0, 1]))
result = [(name, len(value) if isinstance(value, tuple) else list(value.shape)) for name, value in out.items()]
""",
    "the order of everything that pre-training returns": """
from transformers import LxmertForPreTraining
import torch
model = LxmertForPreTraining.from_pretrained(FOLDERS["LxmertForPreTraining"])
out = model(**INPUTS, matched_label=torch.tensor([0, 1]), output_attentions=True, output_hidden_states=True)
result = list(out), out[0]
""",
    "a plain dict of arrays": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
result = {name: value.detach().numpy() for name, value in dict(model(**INPUTS)).items()}
""",
    "an output as keywords": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
def head(pooled_output, language_output, **others):
    return pooled_output + language_output.sum(1)
result = head(**model(**INPUTS))
""",
    "an output is a mapping and a dataclass": """
from transformers import LxmertModel
import collections.abc, dataclasses
out = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])(**INPUTS)
result = [isinstance(out, kind) for kind in (dict, collections.abc.MutableMapping, tuple)]
result += [dataclasses.is_dataclass(out), type(out).__name__]
""",
    "assigning a field by attribute": """
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
out = model(**INPUTS)
out.loss = out.question_answering_score.square().mean()
result = [list(out), out["loss"], out.loss, out[1]]
""",
    "assigning a field by name": """
from transformers import VisualBertForQuestionAnswering
model = VisualBertForQuestionAnswering.from_pretrained(FOLDERS["VisualBertForQuestionAnswering"])
out = model(**{**VISUAL_INPUTS, "attention_mask": VISUAL_INPUTS["input_ids"] >= 0})
out["logits"] = out["logits"].softmax(-1)
result = [out.logits, out[0]]
""",
    "adding an entry of one's own": """
from transformers import LxmertModel
out = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])(**INPUTS)
out["mean"] = out.language_output.mean(1)
result = [list(out), out.mean, out[-1]]
""",
    "entries are not deleted": """
from transformers import LxmertModel
out = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])(**INPUTS)
result = []
for method in ("pop", "__delitem__", "setdefault"):
    try:
        getattr(out, method)("pooled_output")
    except Exception:
        result.append(len(out))
""",
    "pickling an output": """
from transformers import VisualBertModel
import pickle
out = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"])(**VISUAL_INPUTS, output_hidden_states=True)
again = pickle.loads(pickle.dumps(out))
result = [type(again) is type(out), list(again), again.pooler_output, len(again.hidden_states)]
""",
    "copying an output": """
from transformers import LxmertModel
import copy, torch
with torch.no_grad():
    out = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])(**INPUTS)
shallow, deep, third = copy.copy(out), copy.deepcopy(out), out.copy()
shallow.pooled_output = None
result = [shallow.pooled_output, list(deep), list(third), out.pooled_output, deep.pooled_output is out.pooled_output]
""",
    "gathering outputs as DataParallel does": """
from transformers import LxmertForQuestionAnswering
import torch
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
parts = [model(**{name: x[i : i + 1] for name, x in INPUTS.items()}) for i in range(2)]
out = type(parts[0])((name, torch.cat([part[name] for part in parts])) for name in parts[0])
result = [type(out).__name__, list(out), out.question_answering_score]
""",
    "gathering hidden states as DataParallel does": """
from transformers import VisualBertModel
import torch
from unittest import mock
from torch.nn.parallel import scatter_gather
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"], output_hidden_states=True)
parts = [model(**{name: x[i : i + 1] for name, x in VISUAL_INPUTS.items()}) for i in range(2)]
with mock.patch.object(scatter_gather.Gather, "apply", lambda device, dim, *parts: torch.cat(parts, dim)):
    out = scatter_gather.gather(parts, "cpu")
result = [type(out) is type(parts[0]), list(out), out.last_hidden_state, len(out.hidden_states)]
""",
    "mapping over an output as accelerate does": """
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
out = model(**INPUTS)
narrow = type(out)({name: value.bfloat16() for name, value in out.items()})
result = [str(narrow.question_answering_score.dtype), str(narrow[0].dtype), type(narrow).__name__, list(narrow)]
""",
    "mapping over an output as Lightning does": """
from transformers import LxmertModel
import torch
from lightning_utilities.core.apply_func import apply_to_collection
out = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])(**INPUTS)
detached = apply_to_collection(out, torch.Tensor, lambda x: x.detach())
result = [type(detached).__name__, list(detached), detached.pooled_output.requires_grad]
""",
    "a tree map over an output": """
from transformers import LxmertModel
from torch.utils._pytree import tree_map, tree_leaves
out = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])(**INPUTS, output_hidden_states=True)
doubled = tree_map(lambda x: x * 2, out)
result = [type(doubled).__name__, list(doubled), doubled.pooled_output, len(tree_leaves(out))]
""",
    "the leaves of an output and back": """
from transformers import VisualBertForVisualReasoning
import torch
from torch.utils._pytree import tree_flatten, tree_unflatten
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
leaves, form = tree_flatten(model(**VISUAL_INPUTS, labels=torch.tensor([0, 1]), output_attentions=True))
out = tree_unflatten(leaves, form)
result = [leaves[0], leaves[1], len(leaves), list(out), out.logits]
""",
    "shapes by a tree map": """
from transformers import LxmertForPreTraining
from torch.utils._pytree import tree_map
out = LxmertForPreTraining.from_pretrained(FOLDERS["LxmertForPreTraining"])(**INPUTS)
shapes = tree_map(lambda x: list(x.shape), out)
result = {name: shape for name, shape in shapes.items()}
""",
    "what the Trainer takes for predictions": """
from transformers import LxmertForQuestionAnswering
import torch
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
outputs = model(**INPUTS, labels=torch.tensor([3, 1]))
loss = outputs["loss"] if isinstance(outputs, dict) else outputs[0]
result = loss, tuple(value for name, value in outputs.items() if name not in ["loss"])
""",
    "a changed copy": """
from transformers import LxmertForQuestionAnswering
import dataclasses, torch
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
out = model(**INPUTS, labels=torch.tensor([3, 1]))
plain = dataclasses.replace(out, loss=None)
result = [list(out), plain.loss, plain.question_answering_score]
""",
    "an output that a user makes": """
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
given = model(**INPUTS)
scores = given.question_answering_score
out = type(given)(loss=scores.sum(), question_answering_score=scores)
result = [list(out), out.loss, out[1]]
""",
}
