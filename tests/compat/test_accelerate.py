"""accelerate: prepared models, mixed precision, saved weights, checkpoints that are dispatched."""

import pytest
import torch

import lxmert.pt
from tests.compat.test_peft import tensors
from tests.small import small_config, small_inputs, small_labels

accelerate = pytest.importorskip("accelerate", reason="pip install -e '.[compat]'")
pytestmark = pytest.mark.full

NAMES = (
    "LxmertForPreTraining",
    "LxmertForQuestionAnswering",
    "VisualBertForPreTraining",
    "VisualBertForQuestionAnswering",
)


def small_model(name):
    """A small model of its first random weights, and its inputs with labels."""
    torch.manual_seed(0)
    return getattr(lxmert.pt, name)(small_config(name)), tensors({**small_inputs(name), **small_labels(name)})


@pytest.fixture(autouse=True)
def _fresh_state():
    """accelerate keeps one state for each process."""
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    yield
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("name", NAMES)
def test_a_loop(name, precision):
    model, given = small_model(name)
    accelerator = accelerate.Accelerator(cpu=True, mixed_precision=precision)
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    losses = []
    for _ in range(3):
        output = model(**given)
        assert output.loss.dtype == torch.float32
        accelerator.backward(output.loss)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(accelerator.gather(output.loss.detach()).item())
    assert losses[-1] < losses[0]
    assert set(accelerate.utils.recursively_apply(torch.clone, output)) == set(output)


@pytest.mark.parametrize("name", NAMES)
def test_weights_that_accelerate_saved(name, tmp_path):
    model, given = small_model(name)
    accelerator = accelerate.Accelerator(cpu=True)
    accelerator.save_model(accelerator.prepare(model), tmp_path)
    again = getattr(lxmert.pt, name).from_pretrained(tmp_path, config=model.config)
    torch.testing.assert_close(again(**given)[0], model.eval()(**given)[0])
    accelerator.save_state(tmp_path / "state")
    with torch.no_grad():
        next(model.parameters()).zero_()
    accelerator.load_state(tmp_path / "state")
    torch.testing.assert_close(again(**given)[0], model.eval()(**given)[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_is_dispatched(name, tmp_path):
    """With a device map, accelerate finds tensors by the names of the modules, as it saved them."""
    model, given = small_model(name)
    accelerate.Accelerator(cpu=True).save_model(model.eval(), tmp_path)
    with accelerate.init_empty_weights():
        empty = getattr(lxmert.pt, name)(model.config)
    assert all(p.is_meta for p in empty.parameters())
    loaded = accelerate.load_checkpoint_and_dispatch(empty, str(tmp_path), device_map={"": "cpu"}).eval()
    torch.testing.assert_close(loaded(**given)[0], model(**given)[0])
    other, _ = small_model(name)
    with torch.no_grad():
        next(other.parameters()).zero_()
    accelerate.load_checkpoint_in_model(other, str(tmp_path))
    torch.testing.assert_close(other.eval()(**given)[0], model(**given)[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_hugging_face_is_placed_by_a_device_map(name, tmp_path):
    model, given = small_model(name)
    model.eval().save_pretrained(tmp_path)
    for device_map in ("auto", {"": "cpu"}):
        placed = getattr(lxmert.pt, name).from_pretrained(tmp_path, device_map=device_map)
        torch.testing.assert_close(placed(**given)[0], model(**given)[0])
