"""Parts of models: backbones and heads by their names in `transformers`, called, replaced, copied."""

PROGRAMS = {
    "the backbone is called alone": """
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
result = model.lxmert(**INPUTS).pooled_output
""",
    "the backbone is called alone, by its prefix": """
from transformers import VisualBertForPreTraining
model = VisualBertForPreTraining.from_pretrained(FOLDERS["VisualBertForPreTraining"])
result = getattr(model, model.base_model_prefix)(**VISUAL_INPUTS).last_hidden_state
""",
    "a backbone takes the weights of another": """
from transformers import LxmertForPreTraining, LxmertForQuestionAnswering
source = LxmertForPreTraining.from_pretrained(FOLDERS["LxmertForPreTraining"])
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
result = str(model.lxmert.load_state_dict(source.lxmert.state_dict()))
result = result, model.lxmert(**INPUTS).pooled_output - source.lxmert(**INPUTS).pooled_output
""",
    "a backbone is replaced": """
from transformers import VisualBertModel, VisualBertForVisualReasoning
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
model.visual_bert = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"])
result = model(**VISUAL_INPUTS).logits
""",
    "a classifier is replaced": """
import torch
from transformers import VisualBertForVisualReasoning
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
model.cls = torch.nn.Linear(model.config.hidden_size, 5)
torch.nn.init.constant_(model.cls.weight, 0.5), torch.nn.init.zeros_(model.cls.bias)
result = model(**VISUAL_INPUTS).logits
""",
    "a classifier of two layers": """
import torch
from transformers import VisualBertForQuestionAnswering
model = VisualBertForQuestionAnswering.from_pretrained(FOLDERS["VisualBertForQuestionAnswering"])
model.cls = torch.nn.Sequential(torch.nn.Linear(24, 7), torch.nn.ReLU(), torch.nn.Linear(7, 11))
[torch.nn.init.constant_(p, 0.1) for p in model.cls.parameters()]
result = model(**VISUAL_INPUTS).logits
""",
    "an answer head is replaced": """
import torch
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
model.answer_head = torch.nn.Linear(24, 3)
torch.nn.init.constant_(model.answer_head.weight, 0.5), torch.nn.init.zeros_(model.answer_head.bias)
result = model(**INPUTS).question_answering_score
""",
    "the answer head alone is trained": """
import torch
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"]).requires_grad_(False)
model.answer_head.requires_grad_(True)
optimizer = torch.optim.SGD(model.answer_head.parameters(), lr=0.1)
for _ in range(3):
    loss = model(**INPUTS, labels=torch.tensor([1, 2])).loss
    loss.backward(), optimizer.step(), optimizer.zero_grad()
result = loss
""",
    "a head of one's own on the backbone": """
import torch
from transformers import LxmertModel
backbone = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
head = torch.nn.Linear(backbone.config.hidden_size, 2)
[torch.nn.init.constant_(p, 0.1) for p in head.parameters()]
loss = torch.nn.functional.cross_entropy(head(backbone(**INPUTS).pooled_output), torch.tensor([0, 1]))
loss.backward()
result = loss, head.weight.grad
""",
    "a module of one's own holds the backbone": """
import torch
from transformers import VisualBertModel
class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"])
    def forward(self, **inputs):
        return self.encoder(**inputs).pooler_output.mean(-1)
result = Classifier()(**VISUAL_INPUTS)
""",
}
