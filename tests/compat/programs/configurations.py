"""Configurations: made, changed, compared, written and read."""

PROGRAMS = {
    "a field is assigned": """
from transformers import LxmertConfig
config = LxmertConfig()
config.num_qa_labels = 5
result = config.num_qa_labels, config.to_dict()["num_qa_labels"]
""",
}
