"""Loading and saving."""

PROGRAMS = {
    "a model is saved and loaded again": """
from transformers import VisualBertModel
VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"]).save_pretrained("saved")
model = VisualBertModel.from_pretrained("saved")
result = model(**VISUAL_INPUTS)[0]
""",
}
