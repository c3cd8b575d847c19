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
}
