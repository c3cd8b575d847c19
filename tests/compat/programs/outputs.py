"""Outputs: dicts with attributes, and what libraries do with them."""

PROGRAMS = {
    "the names of an output are listed": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
result = list(model(**INPUTS).keys())
""",
}
