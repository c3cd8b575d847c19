"""Lightning: a module whose step returns the whole output, trained, checkpointed and loaded."""

import pytest
import torch
from torch.utils.data import DataLoader

import lxmert.pt
from tests.compat.test_peft import tensors
from tests.small import small_config, small_inputs, small_labels

lightning = pytest.importorskip("lightning", reason="pip install -e '.[compat]'")
pytestmark = pytest.mark.full


class Answering(lightning.LightningModule):
    """A model as Lightning's users wrap it."""

    def __init__(self, name):
        super().__init__()
        self.save_hyperparameters()
        self.model = getattr(lxmert.pt, name)(small_config(name))

    def training_step(self, batch, index):
        output = self.model(**batch)
        self.log("loss", output.loss)
        return output

    def validation_step(self, batch, index):
        self.log("validation", self.model(**batch).loss)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-2)


@pytest.mark.filterwarnings("ignore")  # Lightning warns of few workers, of no logger, and of its own deprecations
@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForVisualReasoning"])
def test_a_module_is_trained_and_loaded(name, tmp_path):
    torch.manual_seed(0)
    given = tensors({**small_inputs(name), **small_labels(name)})
    batches = DataLoader([given] * 4, batch_size=None)
    options = dict(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=True)
    trainer = lightning.Trainer(max_epochs=2, default_root_dir=tmp_path, **options)
    module = Answering(name)
    trainer.fit(module, batches, batches)
    first = Answering(name).model.eval()(**given).loss
    assert trainer.callback_metrics["validation"] < first
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = Answering.load_from_checkpoint(tmp_path / "last.ckpt")
    for key, x in module.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], x)
    # Weights out of Lightning's checkpoint are read as they are.
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    torch.save(state, tmp_path / "state.pth")
    loaded = getattr(lxmert.pt, name).from_pretrained(tmp_path / "state.pth", config=module.model.config)
    torch.testing.assert_close(loaded(**given).loss, module.model.eval()(**given).loss)
