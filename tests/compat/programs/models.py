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
}
