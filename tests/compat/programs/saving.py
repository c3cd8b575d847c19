"""Loading and saving."""

PROGRAMS = {
    "a model is saved and loaded again": """
from transformers import VisualBertModel
VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"]).save_pretrained("saved")
model = VisualBertModel.from_pretrained("saved")
result = model(**VISUAL_INPUTS)[0]
""",
    "a head that the file lacks is new": """
from transformers import LxmertForQuestionAnswering
model, info = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertModel"], output_loading_info=True)
result = info, model(**INPUTS).question_answering_score.shape, model.lxmert(**INPUTS).pooled_output
""",
    "a backbone is taken out of a task model": """
from transformers import LxmertModel
model, info = LxmertModel.from_pretrained(FOLDERS["LxmertForPreTraining"], output_loading_info=True)
result = model(**INPUTS).pooled_output, info["missing_keys"], info["unexpected_keys"], info["mismatched_keys"]
""",
    "another number of answers, without an error": """
from transformers import LxmertForQuestionAnswering
model, info = LxmertForQuestionAnswering.from_pretrained(
    FOLDERS["LxmertForQuestionAnswering"], num_qa_labels=3, ignore_mismatched_sizes=True, output_loading_info=True)
mismatched = sorted((name, tuple(held), tuple(wanted)) for name, held, wanted in info["mismatched_keys"])
result = mismatched, info["missing_keys"], model(**INPUTS).question_answering_score.shape
""",
    "another number of labels, without an error": """
from transformers import VisualBertForVisualReasoning
model = VisualBertForVisualReasoning.from_pretrained(
    FOLDERS["VisualBertForVisualReasoning"], num_labels=7, ignore_mismatched_sizes=True)
result = model(**VISUAL_INPUTS).logits.shape, model.config.num_labels, model.visual_bert(**VISUAL_INPUTS).pooler_output
""",
    "another number of labels is an error": """
from transformers import VisualBertForVisualReasoning
try:
    VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"], num_labels=7)
except (RuntimeError, ValueError):
    result = "refused"
""",
    "a model is loaded in half precision": """
import torch
from transformers import VisualBertModel
first = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"], torch_dtype=torch.bfloat16)
second = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"], dtype="float16")
result = [str(model.dtype) for model in (first, second)], next(first.parameters()).float()
""",
    "a model is loaded in the dtype of its file": """
import torch
from transformers import LxmertModel
LxmertModel.from_pretrained(FOLDERS["LxmertModel"]).to(torch.bfloat16).save_pretrained("small")
model = LxmertModel.from_pretrained("small", dtype="auto")
result = str(model.dtype), str(LxmertModel.from_pretrained("small", torch_dtype="auto").dtype)
""",
    "the arguments of large models": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"], low_cpu_mem_usage=True, device_map="cpu")
other = LxmertModel.from_pretrained(FOLDERS["LxmertModel"], device_map={"": "cpu"}, trust_remote_code=False)
result = model(**INPUTS).pooled_output, other(**INPUTS).pooled_output, str(model.device)
""",
    "accelerate chooses the devices": """
from transformers import VisualBertForVisualReasoning
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"], device_map="auto")
result = model(**VISUAL_INPUTS).logits
""",
    "the source is a keyword": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(pretrained_model_name_or_path=FOLDERS["LxmertModel"], revision="main")
result = model(**INPUTS).pooled_output, model.training
""",
    "the configuration is given": """
from transformers import LxmertConfig, LxmertForQuestionAnswering
config = LxmertConfig.from_pretrained(FOLDERS["LxmertForQuestionAnswering"], output_hidden_states=True)
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"], config=config)
result = len(model(**INPUTS).language_hidden_states)
""",
    "the configuration is a path": """
from transformers import VisualBertModel
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertForPreTraining"], config=FOLDERS["VisualBertModel"])
result = model(**VISUAL_INPUTS).pooler_output
""",
    "a configuration of one's own with a field of one's own": """
from transformers import LxmertConfig, LxmertForQuestionAnswering
class Config(LxmertConfig):
    def __init__(self, margin=1.0, **values):
        super().__init__(**values)
        self.margin = margin
class Model(LxmertForQuestionAnswering):
    config_class = Config
Model.from_pretrained(FOLDERS["LxmertForQuestionAnswering"], margin=2.5).save_pretrained("saved")
result = Model.from_pretrained("saved").config.margin, Model.from_pretrained("saved", margin=3.0).config.margin
""",
    "a configuration tells the dtype of its model": """
from transformers import LxmertForQuestionAnswering
import torch
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"], dtype=torch.bfloat16)
result = str(model.config.dtype), str(model.dtype)
""",
    "a configuration field is a keyword": """
from transformers import VisualBertModel
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"], output_hidden_states=True, hidden_dropout_prob=0.3)
result = len(model(**VISUAL_INPUTS).hidden_states), model.config.hidden_dropout_prob
""",
    "the weights are a state dict": """
import torch
from transformers import LxmertConfig, LxmertModel
state = LxmertModel.from_pretrained(FOLDERS["LxmertModel"]).state_dict()
config = LxmertConfig.from_pretrained(FOLDERS["LxmertModel"])
result = LxmertModel.from_pretrained(None, config=config, state_dict=state)(**INPUTS).pooled_output
""",
    "weights are in a subfolder": """
from transformers import LxmertModel
LxmertModel.from_pretrained(FOLDERS["LxmertModel"]).save_pretrained("models/small")
result = LxmertModel.from_pretrained("models", subfolder="small")(**INPUTS).pooled_output
""",
    "weights have a variant": """
import os
from transformers import LxmertModel
LxmertModel.from_pretrained(FOLDERS["LxmertModel"]).half().save_pretrained("saved", variant="fp16")
names = sorted(name for name in os.listdir("saved") if name.startswith("model"))
result = names, LxmertModel.from_pretrained("saved", variant="fp16", dtype="float32")(**INPUTS).pooled_output
""",
    "only safetensors are read": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"], use_safetensors=True, attn_implementation="eager")
result = model(**INPUTS).pooled_output
""",
    "weights are divided": """
import os
from transformers import VisualBertForPreTraining
VisualBertForPreTraining.from_pretrained(FOLDERS["VisualBertForPreTraining"]).save_pretrained(
    "saved", max_shard_size="10KB")
result = len(os.listdir("saved")) > 3, VisualBertForPreTraining.from_pretrained("saved")(**VISUAL_INPUTS)[0]
""",
    "accelerate saves a model": """
from transformers import LxmertForQuestionAnswering
import accelerate
accelerator, name = accelerate.Accelerator(cpu=True), FOLDERS["LxmertForQuestionAnswering"]
model = accelerator.prepare(LxmertForQuestionAnswering.from_pretrained(name))
accelerator.unwrap_model(model).save_pretrained("saved", is_main_process=accelerator.is_main_process,
    save_function=accelerator.save, state_dict=accelerator.get_state_dict(model))
result = LxmertForQuestionAnswering.from_pretrained("saved")(**INPUTS)[0]
""",
    "other processes write nothing": """
import os
from transformers import LxmertModel
LxmertModel.from_pretrained(FOLDERS["LxmertModel"]).save_pretrained("saved", is_main_process=False)
result = os.path.exists("saved/model.safetensors")
""",
    "a model of one's own is saved and loaded": """
import torch
from transformers import LxmertModel, LxmertPreTrainedModel
class Classifier(LxmertPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.lxmert, self.classifier = LxmertModel(config), torch.nn.Linear(config.hidden_size, 3)
        self.post_init()
Classifier.from_pretrained(FOLDERS["LxmertModel"]).save_pretrained("saved")
model, info = Classifier.from_pretrained("saved", output_loading_info=True)
result = info["missing_keys"], info["unexpected_keys"], model.lxmert(**INPUTS)[2], model.classifier.weight.shape
""",
    "the layers of one's own come back": """
import torch
from transformers import VisualBertModel
class Classifier(VisualBertModel):
    def __init__(self, config):
        super().__init__(config)
        self.classifier = torch.nn.Linear(config.hidden_size, 3)
model = Classifier.from_pretrained(FOLDERS["VisualBertModel"])
model.save_pretrained("saved")
result = torch.equal(Classifier.from_pretrained("saved").classifier.weight, model.classifier.weight)
""",
    "a plain model reads what one's own has saved": """
import torch
from transformers import LxmertModel
class Classifier(LxmertModel):
    def __init__(self, config, labels=2):
        super().__init__(config)
        self.classifier = torch.nn.Linear(config.hidden_size, labels)
Classifier.from_pretrained(FOLDERS["LxmertModel"], labels=5).save_pretrained("saved")
model, info = LxmertModel.from_pretrained("saved", output_loading_info=True)
result = model(**INPUTS).pooled_output, info["unexpected_keys"]
""",
    "a state dict of published names is loaded": """
from transformers import LxmertConfig, LxmertForPreTraining
from safetensors.torch import load_file
model = LxmertForPreTraining(LxmertConfig.from_pretrained(FOLDERS["LxmertForPreTraining"]))
state = load_file(FOLDERS["LxmertForPreTraining"] + "/model.safetensors")
model.load_state_dict(state, strict=False)
result = model.eval()(**INPUTS).prediction_logits
""",
    "a state dict is loaded inside of another module": """
import torch
from transformers import VisualBertConfig, VisualBertModel
from safetensors.torch import load_file
net = torch.nn.ModuleDict({"encoder": VisualBertModel(VisualBertConfig.from_pretrained(FOLDERS["VisualBertModel"]))})
state = load_file(FOLDERS["VisualBertModel"] + "/model.safetensors")
report = net.load_state_dict({f"encoder.{name}": x for name, x in state.items()})
result = str(report), net["encoder"].eval()(**VISUAL_INPUTS).pooler_output
""",
    "a state dict is saved and loaded by PyTorch": """
import torch
from transformers import LxmertConfig, LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
torch.save(model.state_dict(), "state.pt")
other = LxmertForQuestionAnswering(LxmertConfig.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])).eval()
result = str(other.load_state_dict(torch.load("state.pt"))), other(**INPUTS)[0]
""",
    "alignment begins from pre-training": """
import torch
from transformers import VisualBertForRegionToPhraseAlignment
model, info = VisualBertForRegionToPhraseAlignment.from_pretrained(
    FOLDERS["VisualBertForPreTraining"], output_loading_info=True)
words, regions = VISUAL_INPUTS["input_ids"], VISUAL_INPUTS["visual_embeds"]
positions = torch.ones((len(words), words.shape[-1] + regions.shape[-2]))
labels = torch.ones((*positions.shape, regions.shape[-2]))
outputs = model(**VISUAL_INPUTS, region_to_phrase_position=positions.long(), labels=labels)
result = info["missing_keys"], outputs.logits.shape, outputs.loss.shape
""",
    "multiple choice begins from pre-training": """
import torch
from transformers import VisualBertForMultipleChoice
model, info = VisualBertForMultipleChoice.from_pretrained(
    FOLDERS["VisualBertForPreTraining"], output_loading_info=True)
inputs = {name: torch.stack([x, x], dim=1) for name, x in VISUAL_INPUTS.items()}
result = info["missing_keys"], model(**inputs, labels=torch.tensor([0, 1])).logits.shape
""",
    "a pooler that the file lacks is new": """
from transformers import VisualBertModel
VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"], add_pooling_layer=False).save_pretrained("saved")
model, info = VisualBertModel.from_pretrained("saved", output_loading_info=True)
result = info["missing_keys"], model(**VISUAL_INPUTS).last_hidden_state
""",
}
