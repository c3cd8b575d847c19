"""Configurations: made, changed, compared, written and read."""

PROGRAMS = {
    "a field is assigned": """
from transformers import LxmertConfig
config = LxmertConfig()
config.num_qa_labels = 5
result = config.num_qa_labels, config.to_dict()["num_qa_labels"]
""",
    "sizes are assigned one after the other": """
from transformers import VisualBertConfig
config = VisualBertConfig()
config.hidden_size = 64
config.num_attention_heads = 4
config.num_hidden_layers = 2
result = config.hidden_size, config.num_attention_heads, config.num_hidden_layers
""",
    "update": """
from transformers import LxmertConfig
config = LxmertConfig()
config.update({"l_layers": 2, "hidden_dropout_prob": 0.0, "my_key": [1, 2]})
result = config.l_layers, config.hidden_dropout_prob, config.my_key, config.to_dict()["my_key"]
""",
    "an unknown keyword is an attribute": """
from transformers import LxmertConfig
config = LxmertConfig(my_key="value", another=3)
result = config.my_key, config.another, config.to_dict()["my_key"], hasattr(config, "not_there")
""",
    "an unknown attribute is written and read again": """
from transformers import VisualBertConfig
config = VisualBertConfig()
config.dataset = {"name": "vqa", "splits": ["train", "val"]}
config.save_pretrained("folder")
result = VisualBertConfig.from_pretrained("folder").dataset
""",
    "the number of labels": """
from transformers import VisualBertConfig
config = VisualBertConfig(num_labels=3)
result = config.num_labels, config.id2label, config.label2id
""",
    "names of labels": """
from transformers import VisualBertConfig
id2label = {0: "no", 1: "yes", 2: "maybe"}
config = VisualBertConfig(id2label=id2label, label2id={label: i for i, label in id2label.items()})
result = config.num_labels, config.id2label[2], config.label2id["yes"]
""",
    "names of labels are written and read again": """
from transformers import VisualBertConfig
config = VisualBertConfig(id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})
config.save_pretrained("folder")
config = VisualBertConfig.from_pretrained("folder")
result = config.id2label, config.label2id, config.num_labels
""",
    "names of labels are assigned": """
from transformers import VisualBertConfig
labels = ["red", "green", "blue"]
config = VisualBertConfig()
config.id2label = {i: label for i, label in enumerate(labels)}
config.label2id = {label: i for i, label in enumerate(labels)}
result = config.num_labels, config.id2label, config.label2id
""",
    "another number of labels drops their names": """
from transformers import VisualBertConfig
config = VisualBertConfig(id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})
config.num_labels = 3
result = config.id2label, config.label2id
""",
    "labels of LXMERT are not its answers": """
from transformers import LxmertConfig
config = LxmertConfig(num_qa_labels=9, num_labels=4)
result = config.num_labels, config.id2label, config.num_qa_labels, LxmertConfig().num_labels
""",
    "a dict makes the same configuration": """
from transformers import LxmertConfig
config = LxmertConfig(l_layers=2, x_layers=1, task_qa=False, my_key=3)
again = LxmertConfig(**config.to_dict())
result = again.l_layers, again.task_qa, again.my_key, again.num_hidden_layers
""",
    "from_dict with a dict of VisualBERT": """
from transformers import VisualBertConfig
config = VisualBertConfig(visual_embedding_dim=1024, num_labels=7)
again = VisualBertConfig.from_dict(config.to_dict(), hidden_act="relu")
result = again.visual_embedding_dim, again.num_labels, again.hidden_act
""",
    "from_dict returns what it did not use": """
from transformers import LxmertConfig
config, unused = LxmertConfig.from_dict({"l_layers": 2}, return_unused_kwargs=True, r_layers=3, foo=False)
result = config.l_layers, config.r_layers, unused, hasattr(config, "foo")
""",
    "from_pretrained returns what it did not use": """
from transformers import LxmertConfig
LxmertConfig(l_layers=2).save_pretrained("folder")
config, unused = LxmertConfig.from_pretrained("folder", output_attentions=True, foo=False, return_unused_kwargs=True)
result = config.l_layers, config.output_attentions, unused
""",
    "from_pretrained by keyword, with another field": """
from transformers import VisualBertConfig
config = VisualBertConfig.from_pretrained(pretrained_model_name_or_path=FOLDERS["VisualBertModel"], num_labels=5)
result = config.num_labels, len(config.id2label), config.hidden_size, config.visual_embedding_dim
""",
    "from_pretrained with the usual options": """
from transformers import LxmertConfig
options = dict(cache_dir=None, force_download=False, local_files_only=True, revision="main", trust_remote_code=False)
config = LxmertConfig.from_pretrained(FOLDERS["LxmertModel"], **options)
result = config.hidden_size, config.architectures, config.model_type
""",
    "the configuration in a subfolder": """
from transformers import LxmertConfig
LxmertConfig(x_layers=2).save_pretrained("folder/inner")
result = LxmertConfig.from_pretrained("folder", subfolder="inner").x_layers
""",
    "get_config_dict": """
from transformers import LxmertConfig
values, unused = LxmertConfig.get_config_dict(FOLDERS["LxmertModel"], foo=1)
result = values["hidden_size"], values["architectures"], values["model_type"], unused["foo"]
""",
    "a JSON file": """
from transformers import VisualBertConfig
VisualBertConfig(hidden_size=48, num_labels=3).to_json_file("mine.json")
config = VisualBertConfig.from_json_file("mine.json")
result = config.hidden_size, config.num_labels, config.id2label
""",
    "a JSON file of everything": """
import json
from transformers import LxmertConfig
LxmertConfig(l_layers=3).to_json_file("mine.json", use_diff=False)
values = json.load(open("mine.json"))
config = LxmertConfig.from_json_file("mine.json")
result = values["l_layers"], values["output_attentions"], values["id2label"], config.l_layers
""",
    "JSON text": """
import json
from transformers import LxmertConfig
config = LxmertConfig(output_hidden_states=True, num_attr_labels=3)
short, full = json.loads(config.to_json_string()), json.loads(config.to_json_string(use_diff=False))
names = ["output_hidden_states", "num_attr_labels", "return_dict", "id2label", "problem_type", "model_type"]
result = [[name in values for name in names] for values in (short, full)], full["return_dict"]
""",
    "to_diff_dict": """
from transformers import VisualBertConfig
plain = VisualBertConfig().to_diff_dict()
changed = VisualBertConfig(return_dict=False, id2label={0: "a"}).to_diff_dict()
names = ["return_dict", "id2label", "output_attentions", "hidden_size", "architectures", "_name_or_path", "model_type"]
result = [name in plain for name in names], changed["return_dict"], changed["id2label"], "label2id" in changed
""",
    "return_dict by its older name": """
from transformers import LxmertConfig
result = LxmertConfig().use_return_dict, LxmertConfig(return_dict=False).use_return_dict
""",
    "a dtype as text": """
import torch
from transformers import LxmertConfig
config = LxmertConfig(torch_dtype="float16")
result = config.dtype is torch.float16, config.torch_dtype is torch.float16, config.to_dict()["dtype"]
""",
    "a dtype": """
import torch
from transformers import VisualBertConfig
config = VisualBertConfig(dtype=torch.bfloat16)
config.save_pretrained("folder")
again = VisualBertConfig.from_pretrained("folder")
result = str(again.dtype), again.to_dict()["dtype"], VisualBertConfig().dtype
""",
    "where it came from": """
from transformers import LxmertConfig
config = LxmertConfig(name_or_path="unc-nlp/lxmert-base-uncased")
config.name_or_path = config.name_or_path + "-2"
result = config._name_or_path, "_name_or_path" in config.to_diff_dict(), LxmertConfig().name_or_path
""",
    "architectures and the kind of problem": """
from transformers import VisualBertConfig
config = VisualBertConfig(architectures=["VisualBertForPreTraining"], problem_type="multi_label_classification")
result = config.architectures, config.problem_type, config.to_dict()["architectures"], VisualBertConfig().problem_type
""",
    "keywords of every model": """
from transformers import LxmertConfig
config = LxmertConfig(is_encoder_decoder=False, chunk_size_feed_forward=0, tie_word_embeddings=True, pad_token_id=0)
result = config.is_encoder_decoder, config.chunk_size_feed_forward, config.pad_token_id, config.eos_token_id
""",
    "keywords of older versions": """
from transformers import VisualBertConfig
config = VisualBertConfig(torchscript=False, is_decoder=False, add_cross_attention=False, tokenizer_class="Bert")
result = config.torchscript, config.is_decoder, config.add_cross_attention, config.tokenizer_class
""",
    "another name of a field": """
from transformers import LxmertConfig
class MyConfig(LxmertConfig):
    attribute_map = {"num_classes": "num_qa_labels"}
config = MyConfig(num_classes=3)
config.num_classes += 1
result = config.num_qa_labels, config.num_classes, "num_classes" in config.to_dict()
""",
    "a subclass with a constructor": """
from transformers import VisualBertConfig
class MyConfig(VisualBertConfig):
    def __init__(self, width=3, **kwargs):
        super().__init__(**kwargs)
        self.width = width
MyConfig(width=5, hidden_size=48).save_pretrained("folder")
config = MyConfig.from_pretrained("folder")
result = config.width, config.hidden_size, MyConfig().width
""",
    "configurations are compared": """
from transformers import LxmertConfig
config, other = LxmertConfig(l_layers=2), LxmertConfig(l_layers=2)
equal = config == other
other.my_key = 1
result = equal, config == other, config == LxmertConfig(), config == config.to_dict()
""",
    "copies are independent": """
import copy, pickle
from transformers import VisualBertConfig
config = VisualBertConfig(num_labels=3, my_key=[1])
copies = [copy.deepcopy(config), pickle.loads(pickle.dumps(config))]
config.my_key.append(2)
result = [(other.my_key, other.num_labels, other.id2label) for other in copies]
""",
    "a name in a configuration": """
from transformers import LxmertConfig
config = LxmertConfig(my_key=1)
result = "hidden_size" in config, "my_key" in config, "num_layers" in config, getattr(config, "sub", None)
""",
    "the model keeps the object": """
from transformers import LxmertConfig, LxmertModel
config = LxmertConfig.from_pretrained(FOLDERS["LxmertModel"])
model = LxmertModel(config)
result = model.config is config, model.config.l_layers
""",
    "an output is switched on in the model's configuration": """
from transformers import LxmertModel
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
before = model(**INPUTS).language_hidden_states
model.config.output_hidden_states = True
model.config.output_attentions = True
output = model(**INPUTS)
result = before, len(output.language_hidden_states), output.cross_encoder_attentions[0].shape
""",
    "tuples are switched on in the model's configuration": """
from transformers import VisualBertModel
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"])
model.config.return_dict = False
result = type(model(**VISUAL_INPUTS)).__name__, model(**VISUAL_INPUTS)[1]
""",
    "a head shares the configuration with its backbone": """
from transformers import LxmertForQuestionAnswering
model = LxmertForQuestionAnswering.from_pretrained(FOLDERS["LxmertForQuestionAnswering"])
model.resize_num_qa_labels(4)
model.config.my_key = 1
result = model.config.num_qa_labels, model.lxmert.config is model.config
""",
    "a model of a changed configuration": """
from transformers import VisualBertConfig, VisualBertForQuestionAnswering
config = VisualBertConfig.from_pretrained(FOLDERS["VisualBertForQuestionAnswering"])
config.num_labels = 5
model = VisualBertForQuestionAnswering(config)
result = model(**VISUAL_INPUTS).logits.shape
""",
    "AutoConfig for loading": """
from transformers import AutoConfig
from transformers import LxmertModel
config = AutoConfig.from_pretrained(FOLDERS["LxmertModel"], output_hidden_states=True)
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"], config=config)
result = len(model(**INPUTS).vision_hidden_states), model.config.hidden_size
""",
    "AutoConfig for a new model": """
from transformers import AutoConfig
from transformers import VisualBertForVisualReasoning
config = AutoConfig.from_pretrained(FOLDERS["VisualBertModel"], num_labels=3)
model = VisualBertForVisualReasoning(config)
result = model(**VISUAL_INPUTS).logits.shape, model.config.to_dict()["id2label"], model.num_parameters()
""",
    "values in a text": """
from transformers import LxmertConfig
config = LxmertConfig()
config.update_from_string("hidden_size=96,task_qa=false,hidden_dropout_prob=0.2,hidden_act=relu")
result = config.hidden_size, config.task_qa, config.hidden_dropout_prob, config.hidden_act
""",
    "a shallow copy": """
import copy
from transformers import VisualBertConfig
config = VisualBertConfig(id2label={0: "x", 1: "y"}, my_key=[1])
other = copy.copy(config)
other.hidden_size, other.id2label = 24, {0: "z"}
result = config.hidden_size, config.id2label, other.id2label, other.my_key is config.my_key
""",
    "a number of labels that disagrees with their names": """
from transformers import VisualBertConfig
names = {0: "a", 1: "b", 2: "c"}
VisualBertConfig(num_labels=5).save_pretrained("folder")
config = VisualBertConfig.from_pretrained("folder", num_labels=3, id2label=names, label2id={"a": 0, "b": 1, "c": 2})
result = VisualBertConfig(num_labels=2, id2label=names).id2label, config.num_labels, config.id2label
""",
    "an unknown attribute is deleted": """
from transformers import LxmertConfig
config = LxmertConfig(my_key=1)
del config.my_key
result = hasattr(config, "my_key"), "my_key" in config.to_dict(), config.transformers_version
""",
    "hyperparameters of a search": """
import argparse
from transformers import VisualBertConfig
options = argparse.Namespace(hidden_dropout_prob=0.3, learning_rate=1e-4)
config = VisualBertConfig(**vars(options))
for name, value in dict(attention_probs_dropout_prob=0.2, num_hidden_layers=4, pad_token_id=None).items():
    setattr(config, name, value)
result = config.hidden_dropout_prob, config.learning_rate, config.num_hidden_layers, config.pad_token_id
""",
    "numbers that JSON does not have": """
from transformers import LxmertConfig
LxmertConfig(largest=float("inf"), smallest=float("-inf")).save_pretrained("folder")
config = LxmertConfig.from_pretrained("folder")
result = config.largest, config.smallest
""",
    "predictions by the names of labels": """
from transformers import VisualBertForVisualReasoning
model = VisualBertForVisualReasoning.from_pretrained(FOLDERS["VisualBertForVisualReasoning"])
result = [model.config.id2label[row.item()] for row in model(**VISUAL_INPUTS).logits.argmax(-1)]
""",
    "what a user noted is saved with the model": """
from transformers import VisualBertConfig, VisualBertModel
config = VisualBertConfig.from_pretrained(FOLDERS["VisualBertModel"])
config.my_key = {"a": [1]}
VisualBertModel(config).save_pretrained("folder")
again = VisualBertModel.from_pretrained("folder").config
result = again.my_key, VisualBertConfig.from_pretrained("folder").architectures
""",
    "the implementation of attention": """
from transformers import VisualBertConfig, VisualBertModel
model = VisualBertModel.from_pretrained(FOLDERS["VisualBertModel"], attn_implementation="eager")
config = VisualBertConfig(attn_implementation="sdpa")
names = [config._attn_implementation, model.config._attn_implementation]
config._attn_implementation = "eager"
result = names, config._attn_implementation, [name for name in config.to_dict() if "attn" in name]
""",
    "fine-tuning with other rates": """
import torch
from transformers import VisualBertConfig, VisualBertForQuestionAnswering
folder = FOLDERS["VisualBertForQuestionAnswering"]
config = VisualBertConfig.from_pretrained(folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
model = VisualBertForQuestionAnswering.from_pretrained(folder, config=config).train()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
model(**VISUAL_INPUTS, labels=torch.full((2, model.config.num_labels), 1 / 11)).loss.backward()
optimizer.step()
result = model(**VISUAL_INPUTS).logits, model.config.hidden_dropout_prob
""",
    "gradient checkpointing in the configuration": """
from transformers import VisualBertConfig, VisualBertModel
sizes = dict(hidden_size=24, num_attention_heads=3, num_hidden_layers=2, intermediate_size=31, vocab_size=29)
models = [VisualBertModel(VisualBertConfig(**sizes, gradient_checkpointing=on)) for on in (True, False)]
result = [model.is_gradient_checkpointing for model in models]
""",
    "the classes of models name their configuration": """
from transformers import LxmertConfig, LxmertModel, VisualBertModel
result = LxmertModel.config_class is LxmertConfig, VisualBertModel.config_class.__name__, LxmertConfig.model_type
""",
}
