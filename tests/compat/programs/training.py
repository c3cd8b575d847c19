"""Training: loops that people write themselves."""

PROGRAMS = {
    "one step of a loop": """
import torch
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(**INPUTS, labels=torch.tensor([1, 2])).loss.backward()
optimizer.step()
result = model(**INPUTS, labels=torch.tensor([1, 2])).loss
""",
    "AdamW with a linear schedule": """
import torch
from transformers import get_linear_schedule_with_warmup
from transformers import VisualBertForVisualReasoning
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"]).train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
schedule, result = get_linear_schedule_with_warmup(optimizer, 1, 4), []
for _ in range(4):
    loss = model(**VISUAL_INPUTS, labels=torch.tensor([1, 0])).loss
    loss.backward(), optimizer.step(), schedule.step(), optimizer.zero_grad(), result.append(loss.item())
""",
    "gradients are clipped": """
import torch
from transformers import LxmertForPreTraining
model = LxmertForPreTraining.from_pretrained(FOLDERS["LxmertForPreTraining"])
outputs = model(**INPUTS, labels=INPUTS["input_ids"], matched_label=torch.tensor([0, 1]))
outputs.loss.backward()
result = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
""",
    "gradients are accumulated": """
import torch
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
for i in range(2):
    row = {name: x[i : i + 1] for name, x in INPUTS.items()}
    (model(**row, labels=torch.tensor([i])).loss / 2).backward()
result = model.get_input_embeddings().weight.grad
""",
    "the backbone is frozen": """
import torch
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
for parameter in model.lxmert.parameters():
    parameter.requires_grad = False
model(**INPUTS, labels=torch.tensor([1, 2])).loss.backward()
result = sum(p.numel() for p in model.parameters() if p.requires_grad), model.get_input_embeddings().weight.grad
""",
    "the backbone and the head have rates of their own": """
import torch
from transformers import VisualBertForQuestionAnswering
model = VisualBertForQuestionAnswering.from_pretrained(FOLDERS["VisualBertForQuestionAnswering"])
backbone = set(model.visual_bert.parameters())
head = [p for p in model.parameters() if p not in backbone]
optimizer = torch.optim.AdamW([{"params": list(backbone), "lr": 1e-5}, {"params": head, "lr": 1e-3}])
result = len(head), [group["lr"] for group in optimizer.param_groups]
""",
    "a loss of one's own on the scores of the answers": """
import torch
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
scores = model(**INPUTS)["question_answering_score"]
loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.full_like(scores, 0.3))
loss.backward()
result = loss, model.base_model.embeddings.parameters().__next__().grad is not None
""",
    "a loss with label smoothing": """
import torch
from transformers import VisualBertForVisualReasoning
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
logits = model(**VISUAL_INPUTS).logits
result = torch.nn.functional.cross_entropy(logits, torch.tensor([1, 0]), label_smoothing=0.1)
""",
    "the documentation's question answering with VisualBERT": """
import torch
from transformers import VisualBertForQuestionAnswering
model = VisualBertForQuestionAnswering.from_pretrained(FOLDERS["VisualBertForQuestionAnswering"])
labels = torch.full((2, model.config.num_labels), 1 / model.config.num_labels)
outputs = model(**VISUAL_INPUTS, labels=labels)
result = outputs.loss
""",
    "batches of a loader": """
import torch
from transformers import default_data_collator
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
rows = [{**{name: x[i] for name, x in INPUTS.items()}, "label": i} for i in range(2)]
loader = torch.utils.data.DataLoader(rows, batch_size=2, collate_fn=default_data_collator)
result = [model(**batch).loss for batch in loader]
""",
    "the state of a model is kept and restored": """
import torch
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
expected = model(**INPUTS).pooled_output
torch.save(model.state_dict(), "state.pt")
model.get_input_embeddings().weight.data.zero_()
result = str(model.load_state_dict(torch.load("state.pt", weights_only=True)))
result = result, model(**INPUTS).pooled_output - expected
""",
    "a moving average of the weights": """
import torch
from transformers import VisualBertModel
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"])
average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5))
average.update_parameters(model)
model.get_input_embeddings().weight.data.mul_(2)
average.update_parameters(model)
result = average(**VISUAL_INPUTS)[1]
""",
    "a copy is trained, and the first stays": """
import copy, torch
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
student = copy.deepcopy(model)
torch.optim.SGD(student.parameters(), lr=1.0).zero_grad()
student(**INPUTS, labels=torch.tensor([1, 2])).loss.backward()
result = model.get_input_embeddings().weight.grad, student.get_input_embeddings().weight.grad
""",
    "autocast to bfloat16": """
import torch
from transformers import VisualBertForVisualReasoning
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
with torch.autocast("cpu", dtype=torch.bfloat16):
    outputs = model(**VISUAL_INPUTS, labels=torch.tensor([1, 0]))
outputs.loss.backward()
result = str(outputs.logits.dtype), outputs.loss.isfinite()
""",
    "a model of two dtypes": """
import torch
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"]).to(torch.bfloat16)
outputs = model(**{name: x.bfloat16() if x.is_floating_point() else x for name, x in INPUTS.items()})
result = str(outputs.pooled_output.dtype), str(model.dtype), outputs.pooled_output.shape
""",
    "DataParallel without a GPU": """
import torch
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
model = torch.nn.DataParallel(model)
result = model(**INPUTS, labels=torch.tensor([1, 2])).loss.mean()
""",
    "training and evaluation mode": """
from transformers import VisualBertModel
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"])
result = [model.training, model.train().training, model.eval().training]
""",
    "gradients of the region features": """
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
features = INPUTS["visual_feats"].requires_grad_()
model(**INPUTS).question_answering_score[:, 3].sum().backward()
result = features.grad
""",
    "word vectors instead of ids": """
from transformers import VisualBertModel
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"])
vectors = model.get_input_embeddings()(VISUAL_INPUTS.pop("input_ids"))
result = model(inputs_embeds=vectors, **VISUAL_INPUTS).last_hidden_state
""",
    "new words are trained": """
import torch
from transformers import LxmertForPreTraining
model = LxmertForPreTraining.from_pretrained(FOLDERS["LxmertForPreTraining"])
model.resize_token_embeddings(40)
ids = torch.full_like(INPUTS.pop("input_ids"), 35)
model(input_ids=ids, **INPUTS, labels=ids).loss.backward()
gradient = model.get_input_embeddings().weight.grad
result = gradient.shape, gradient[35].abs().sum() > 0, model.config.vocab_size
""",
    "two steps of the learning rate finder": """
import torch
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 10**step)
for _ in range(2):
    loss = model(**INPUTS, labels=torch.tensor([1, 2])).loss
    loss.backward(), optimizer.step(), schedule.step(), optimizer.zero_grad()
result = loss, optimizer.param_groups[0]["lr"]
""",
}
