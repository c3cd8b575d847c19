"""Models: their properties and methods, and their calls."""

PROGRAMS = {
    "the parameters are counted": """
from transformers import LxmertForPreTraining
model = LxmertForPreTraining.from_pretrained(FOLDERS["LxmertForPreTraining"])
result = model.num_parameters()
""",
}
