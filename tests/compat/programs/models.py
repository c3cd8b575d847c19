"""Models: their properties and methods, and their calls."""

PROGRAMS = {
    "the parameters are counted": """
from transformers import LxmertForPreTraining
model = LxmertForPreTraining.from_pretrained(FOLDERS["LxmertForPreTraining"])
result = model.num_parameters()
""",
    "the parameters are counted without embeddings": """
from transformers import VisualBertForPreTraining
model = VisualBertForPreTraining.from_pretrained(FOLDERS["VisualBertForPreTraining"])
result = model.num_parameters(exclude_embeddings=True), model.num_parameters(only_trainable=True)
""",
    "where a model is": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
result = str(model.device), str(model.dtype), model.main_input_name, model.base_model_prefix, model.can_generate()
""",
    "the backbone of a model": """
from transformers import LxmertForQuestionAnswering, LxmertModel
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
backbone = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
result = isinstance(model.base_model, LxmertModel), backbone.base_model is backbone, model.base_model(**INPUTS)[2]
""",
    "the memory that a model takes": """
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
result = model.get_memory_footprint(), model.half().get_memory_footprint(return_buffers=False)
""",
    "the embeddings are tied": """
from transformers import VisualBertForPreTraining
model = VisualBertForPreTraining.from_pretrained(FOLDERS["VisualBertForPreTraining"])
model.tie_weights()
words, scores = model.get_input_embeddings(), model.get_output_embeddings()
result = words.weight is scores.weight, scores.weight.shape, scores.bias.shape
""",
    "a model without a word head has no output embeddings": """
from transformers import VisualBertForVisualReasoning
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
result = model.get_output_embeddings(), model.get_input_embeddings().weight
""",
    "words are added": """
from transformers import LxmertForPreTraining
model = LxmertForPreTraining.from_pretrained(FOLDERS["LxmertForPreTraining"])
before = model.get_input_embeddings().weight.detach().clone()
model.resize_token_embeddings(len(before) + 3)
table = model.get_input_embeddings().weight
result = table.shape, table[: len(before)] - before, table[len(before) :], model.config.vocab_size
""",
    "words are added and drawn as in a new model": """
from transformers import VisualBertModel
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"])
table = model.resize_token_embeddings(100, pad_to_multiple_of=64, mean_resizing=False)
result = table.weight.shape, model.config.vocab_size
""",
    "gradients reach frozen embeddings": """
from transformers import VisualBertForVisualReasoning
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
for parameter in model.parameters():
    parameter.requires_grad_(False)
model.enable_input_require_grads()
first = model(**VISUAL_INPUTS).logits.requires_grad
model.disable_input_require_grads()
result = first, model(**VISUAL_INPUTS).logits.requires_grad
""",
    "activations are recomputed": """
import torch
from transformers import VisualBertForVisualReasoning
model = VisualBertForVisualReasoning.from_pretrained(
    FOLDERS["VisualBertForVisualReasoning"], hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
model(**VISUAL_INPUTS, labels=torch.tensor([0, 1])).loss.backward()
states = model.is_gradient_checkpointing, model.supports_gradient_checkpointing
model.gradient_checkpointing_disable()
result = states, model.is_gradient_checkpointing, model.get_input_embeddings().weight.grad
""",
    "tags are added": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
model.add_model_tags(["vision", "language"])
model.add_model_tags("vision")
result = model.model_tags
""",
    "a model belongs to its family": """
from transformers import LxmertForPreTraining, LxmertModel, LxmertPreTrainedModel, VisualBertPreTrainedModel
model = LxmertForPreTraining.from_pretrained(FOLDERS["LxmertForPreTraining"])
result = isinstance(model, LxmertPreTrainedModel), issubclass(LxmertModel, VisualBertPreTrainedModel)
""",
    "a model of one's own computes": """
import torch
from transformers import VisualBertModel, VisualBertPreTrainedModel
class Scorer(VisualBertPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.visual_bert = VisualBertModel(config)
        self.post_init()
    def forward(self, **inputs):
        return self.visual_bert(**inputs).pooler_output.sum(-1)
result = Scorer.from_pretrained(FOLDERS["VisualBertModel"])(**VISUAL_INPUTS)
""",
    "a model of one's own initializes its layers": """
import torch
from transformers import LxmertConfig, LxmertModel, LxmertPreTrainedModel
class Own(LxmertPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.lxmert, self.more = LxmertModel(config), torch.nn.Linear(9, 500)
        self.post_init()
model = Own(LxmertConfig.from_pretrained(FOLDERS["LxmertModel"], initializer_range=0.5))
result = model.more.bias, abs(model.more.weight.std().item() - 0.5) < 0.05
""",
    "the class of the configuration": """
from transformers import VisualBertConfig, VisualBertForPreTraining
model = VisualBertForPreTraining.from_pretrained(FOLDERS["VisualBertForPreTraining"])
result = model.config_class is VisualBertConfig, model.config.model_type, model.config is model.base_model.config
""",
    "a backbone is frozen": """
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
for parameter in model.base_model.parameters():
    parameter.requires_grad = False
result = model.num_parameters(only_trainable=True)
""",
    "the loss of answers": """
from transformers import LxmertForQuestionAnswering
import torch
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
out = model(**INPUTS, labels=torch.tensor([3, 1]))
result = out.loss, out.question_answering_score.argmax(-1)
""",
    "labels of VisualBERT's answers with an axis of their own": """
from transformers import VisualBertForQuestionAnswering
import torch
model = VisualBertForQuestionAnswering.from_pretrained(FOLDERS["VisualBertForQuestionAnswering"])
one = {name: x[:1] for name, x in VISUAL_INPUTS.items()}
one["attention_mask"] = torch.ones_like(one["input_ids"])
labels = torch.tensor([[0.0, 1.0] + [0.0] * (model.config.num_labels - 2)]).unsqueeze(0)
result = model(**one, labels=labels).loss
""",
    "rows of labels of VisualBERT's answers": """
from transformers import VisualBertForQuestionAnswering
import torch
model = VisualBertForQuestionAnswering.from_pretrained(FOLDERS["VisualBertForQuestionAnswering"])
labels = torch.full((2, model.config.num_labels), 1 / model.config.num_labels)
inputs = {**VISUAL_INPUTS, "attention_mask": torch.ones_like(VISUAL_INPUTS["input_ids"])}
result = model(**inputs, labels=labels).loss
""",
    "visual reasoning with labels": """
from transformers import VisualBertForVisualReasoning
import torch
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
outputs = model(**VISUAL_INPUTS, labels=torch.tensor(1).unsqueeze(0).expand(2))
result = outputs.loss, outputs.logits
""",
    "multiple choice": """
from transformers import VisualBertForMultipleChoice
import torch
model = VisualBertForMultipleChoice.from_pretrained(FOLDERS["VisualBertForMultipleChoice"])
inputs = {name: x.unsqueeze(0) for name, x in VISUAL_INPUTS.items()}
outputs = model(**inputs, labels=torch.tensor(0).unsqueeze(0))
result = outputs.loss, outputs.logits
""",
    "regions of phrases": """
from transformers import VisualBertForRegionToPhraseAlignment
import torch
model = VisualBertForRegionToPhraseAlignment.from_pretrained(FOLDERS["VisualBertForRegionToPhraseAlignment"])
length = VISUAL_INPUTS["input_ids"].shape[1] + VISUAL_INPUTS["visual_embeds"].shape[1]
outputs = model(**VISUAL_INPUTS, region_to_phrase_position=torch.ones((2, length), dtype=torch.long))
result = outputs.logits
""",
    "pre-training VisualBERT": """
from transformers import VisualBertForPreTraining
import torch
model = VisualBertForPreTraining.from_pretrained(FOLDERS["VisualBertForPreTraining"])
visual_labels = torch.full(VISUAL_INPUTS["visual_embeds"].shape[:2], -100)
labels = torch.cat([VISUAL_INPUTS["input_ids"], visual_labels], dim=1)
outputs = model(**VISUAL_INPUTS, labels=labels, sentence_image_labels=torch.tensor([1, 0]))
result = outputs.loss, outputs.prediction_logits, outputs.seq_relationship_logits
""",
    "pre-training LXMERT": """
from transformers import LxmertForPreTraining
import torch
model = LxmertForPreTraining.from_pretrained(FOLDERS["LxmertForPreTraining"])
feats = INPUTS["visual_feats"]
ids, sure = torch.ones(feats.shape[:2], dtype=torch.long), torch.ones(feats.shape[:2])
objects = {"obj": (ids, sure), "attr": (ids, sure), "feat": (feats, sure)}
labels = dict(labels=INPUTS["input_ids"], matched_label=torch.tensor([1, 0]), ans=torch.tensor([3, 1]))
result = model(**INPUTS, obj_labels=objects, **labels).loss
""",
    "word vectors instead of ids": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
given = dict(INPUTS)
vectors = model.get_input_embeddings()(given.pop("input_ids"))
result = model(inputs_embeds=vectors, **given).pooled_output
""",
    "arguments by position": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
result = model(INPUTS["input_ids"], INPUTS["visual_feats"], INPUTS["visual_pos"]).language_output
""",
    "only what has to be given": """
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
result = model(**{name: INPUTS[name] for name in ("input_ids", "visual_feats", "visual_pos")})[0].softmax(-1)
""",
    "words without an image": """
from transformers import VisualBertModel
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"])
out = model(input_ids=VISUAL_INPUTS["input_ids"], attention_mask=VISUAL_INPUTS["attention_mask"])
result = out.last_hidden_state, out.pooler_output
""",
    "attention maps": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
out = model(**INPUTS, output_attentions=True)
result = out.language_attentions[0], out.vision_attentions[-1], out.cross_encoder_attentions[-1]
""",
    "hidden states": """
from transformers import VisualBertModel
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"])
result = model(**VISUAL_INPUTS, output_hidden_states=True, return_dict=True).hidden_states
""",
    "a model in double precision": """
from transformers import VisualBertForVisualReasoning
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"]).double()
given = {name: x.double() if x.is_floating_point() else x for name, x in VISUAL_INPUTS.items()}
result = str(model(**given).logits.dtype)
""",
    "forward is called directly": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
result = model.forward(**INPUTS).pooled_output
""",
    "a gradient of the words": """
from transformers import LxmertForQuestionAnswering
import torch
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
model(**INPUTS, labels=torch.tensor([3, 1])).loss.backward()
result = model.get_input_embeddings().weight.grad.norm()
""",
    "a step in mixed precision": """
from transformers import LxmertForQuestionAnswering
import torch
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"]).train()
with torch.autocast("cpu", dtype=torch.bfloat16):
    loss = model(**INPUTS, labels=torch.tensor([3, 1])).loss
loss.backward()
result = str(loss.dtype), str(model.get_input_embeddings().weight.grad.dtype)
""",
    "outputs widened as accelerate does in mixed precision": """
from transformers import VisualBertForVisualReasoning
import torch, types
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
forward = torch.autocast("cpu", dtype=torch.bfloat16)(model.forward.__func__)
def widened(self, *args, **kwargs):
    out = forward(self, *args, **kwargs)
    return type(out)({name: value.float() for name, value in out.items()})
model.forward = types.MethodType(widened, model)
result = str(model(**VISUAL_INPUTS, labels=torch.tensor([0, 1])).logits.dtype)
""",
    "a hook around forward as accelerate adds one": """
from transformers import LxmertModel
import functools, inspect
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
def forward(module, *args, **kwargs):
    return old(*args, **kwargs)
old = model.forward
model.forward = functools.update_wrapper(functools.partial(forward, model), old)
result = model(**INPUTS).pooled_output, "visual_feats" in inspect.signature(model.forward).parameters
""",
    "the columns that a model takes": """
from transformers import VisualBertForQuestionAnswering
import inspect
model = VisualBertForQuestionAnswering.from_pretrained(FOLDERS["VisualBertForQuestionAnswering"])
names = list(inspect.signature(model.forward).parameters)
result = [name for name in ("question", "labels", "visual_embeds", "input_ids") if name in names]
""",
    "the labels that a model takes": """
from transformers import LxmertForQuestionAnswering, LxmertForPreTraining, VisualBertForPreTraining
from transformers.utils.generic import find_labels
result = [find_labels(kind) for kind in (LxmertForQuestionAnswering, LxmertForPreTraining, VisualBertForPreTraining)]
""",
    "hooks see the output": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
seen = []
model.register_forward_hook(lambda module, args, out: seen.append(list(out)))
model(**INPUTS)
result = seen
""",
    "a gradient is differentiated": """
from transformers import VisualBertForVisualReasoning
import torch
model = VisualBertForVisualReasoning.from_pretrained(
    FOLDERS["VisualBertForVisualReasoning"], attn_implementation="eager")
images = VISUAL_INPUTS["visual_embeds"].clone().requires_grad_()
scores = model(**{**VISUAL_INPUTS, "visual_embeds": images}).logits
slope, = torch.autograd.grad(scores[:, 0].sum(), images, create_graph=True)
slope.pow(2).sum().backward()
result = slope, model.cls.weight.grad, images.grad
""",
    "a summary by torchinfo": """
from transformers import VisualBertForVisualReasoning
import torchinfo
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
summary = torchinfo.summary(model, input_data=dict(VISUAL_INPUTS), verbose=0)
result = summary.total_params, len(summary.summary_list) > 10
""",
    "a hook that changes the output": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
def only_pooled(module, args, out):
    return type(out)(pooled_output=out.pooled_output)
model.register_forward_hook(only_pooled)
result = list(model(**INPUTS))
""",
    "a head of one's own on the pooled output": """
from transformers import LxmertModel
import torch
backbone = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
head = torch.nn.Linear(backbone.config.hidden_size, 3)
loss = torch.nn.functional.cross_entropy(head(backbone(**INPUTS).pooled_output), torch.tensor([2, 0]))
loss.backward()
result = list(head.weight.grad.shape)
""",
    "a functional call": """
from transformers import LxmertModel
import torch
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
out = torch.func.functional_call(model, dict(model.named_parameters()), (), INPUTS)
result = out.pooled_output
""",
    "gradients for each example": """
from transformers import VisualBertForVisualReasoning
import torch
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
def loss(parameters, label, given):
    one = {name: x.unsqueeze(0) for name, x in given.items()}
    return torch.func.functional_call(model, parameters, (), {**one, "labels": label.unsqueeze(0)}).loss
every = dict(model.named_parameters())
found = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(every, torch.tensor([0, 1]), VISUAL_INPUTS)
result = sum(x.square().sum((*range(1, x.ndim),)) for x in found.values())
""",
    "a directional derivative": """
from transformers import LxmertModel
import torch
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
def pooled(visual_feats):
    return model(**{**INPUTS, "visual_feats": visual_feats}).pooled_output
feats = INPUTS["visual_feats"]
result = torch.func.jvp(pooled, (feats,), (torch.ones_like(feats),))[1]
""",
    "a copy of a model": """
from transformers import LxmertModel
import copy
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
result = copy.deepcopy(model)(**INPUTS).pooled_output
""",
    "inference mode": """
from transformers import VisualBertForPreTraining
import torch
model = VisualBertForPreTraining.from_pretrained(FOLDERS["VisualBertForPreTraining"]).eval()
with torch.inference_mode():
    result = model(**VISUAL_INPUTS).seq_relationship_logits.argmax(-1)
""",
    "a batch encoding with tensors added": """
from transformers import LxmertTokenizer, LxmertForQuestionAnswering
tokenizer = LxmertTokenizer.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
inputs = tokenizer(["where is the cat", "a dog"], padding=True, return_tensors="pt")
inputs.update({name: INPUTS[name] for name in ("visual_feats", "visual_pos")})
result = model(**inputs).question_answering_score
""",
    "question answering as it is documented": """
import torch
from transformers import BertTokenizer, VisualBertForQuestionAnswering
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertForQuestionAnswering"])
model = VisualBertForQuestionAnswering.from_pretrained(FOLDERS["VisualBertForQuestionAnswering"])
inputs, visual_embeds = tokenizer("what color is the cat?", return_tensors="pt"), VISUAL_INPUTS["visual_embeds"][:1]
inputs.update({"visual_embeds": visual_embeds, "visual_token_type_ids": torch.ones(visual_embeds.shape[:-1]).long(),
    "visual_attention_mask": torch.ones(visual_embeds.shape[:-1], dtype=torch.float)})
labels = torch.eye(model.config.num_labels)[3].reshape(1, 1, -1)
result = model(**inputs, labels=labels).loss, model(**inputs).logits
""",
    "visual reasoning as it is documented": """
import torch
from transformers import BertTokenizer, VisualBertForVisualReasoning
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
inputs, visual_embeds = tokenizer("the cat is blue", return_tensors="pt"), VISUAL_INPUTS["visual_embeds"][:1]
inputs.update({"visual_embeds": visual_embeds, "visual_token_type_ids": torch.ones(visual_embeds.shape[:-1]).long(),
    "visual_attention_mask": torch.ones(visual_embeds.shape[:-1], dtype=torch.float)})
outputs = model(**inputs, labels=torch.tensor(1).unsqueeze(0))
result = outputs.loss, outputs.logits
""",
    "multiple choice as it is documented": """
import torch
from transformers import BertTokenizer, VisualBertForMultipleChoice
name, prompt, choices = FOLDERS["VisualBertForMultipleChoice"], "where ?", ["on mat", "blue"]
model, visual_embeds = VisualBertForMultipleChoice.from_pretrained(name), VISUAL_INPUTS["visual_embeds"][:1]
visual_embeds = visual_embeds.expand(1, 2, *visual_embeds.shape[1:])
encoding = BertTokenizer.from_pretrained(name)([prompt, prompt], choices, return_tensors="pt", padding=True)
inputs = {k: v.unsqueeze(0) for k, v in encoding.items()} | {"visual_embeds": visual_embeds,
    "visual_attention_mask": torch.ones(visual_embeds.shape[:-1], dtype=torch.float)}
result = dict(model(**inputs, labels=torch.tensor(0).unsqueeze(0)))
""",
}
