"""LoRA adapters of peft: trained, saved, loaded and merged; every adapter gets a gradient."""

import os
import subprocess
import sys

import pytest
import torch

import lxmert.pt
from tests.small import TASKS, small_config, small_inputs, small_labels

peft = pytest.importorskip("peft", reason="pip install -e '.[compat]'")
pytestmark = pytest.mark.full

CLASSES = [name for name in TASKS if hasattr(lxmert.pt, name)]


def tensors(given):
    """The same with tensors for arrays."""
    if isinstance(given, dict):
        return {name: tensors(x) for name, x in given.items()}
    return tuple(map(tensors, given)) if isinstance(given, tuple) else torch.as_tensor(given)


def adapted(name, folder, targets=("query", "value"), **options):
    """A small model with adapters, whose second factor is not zero; and its inputs with labels."""
    torch.manual_seed(0)
    getattr(lxmert.pt, name)(small_config(name)).save_pretrained(folder)
    model = getattr(lxmert.pt, name).from_pretrained(folder)
    adapters = peft.LoraConfig(r=2, target_modules=list(targets), init_lora_weights=False, **options)
    model = peft.get_peft_model(model, adapters)
    return model, tensors({**small_inputs(name), **small_labels(name)})


@pytest.mark.parametrize("name", CLASSES)
def test_every_adapter_gets_a_gradient(name, tmp_path):
    model, given = adapted(name, tmp_path)
    model.train()
    model(**given).loss.backward()
    trained = {key: p for key, p in model.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in key for key in trained)
    assert [key for key, p in trained.items() if p.grad is None] == []


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForQuestionAnswering"])
def test_adapters_are_merged(name, tmp_path):
    model, given = adapted(name, tmp_path / "base")
    model.eval()
    expected = model(**given).logits
    model.merge_adapter()
    torch.testing.assert_close(model(**given).logits, expected)
    model.unmerge_adapter()
    torch.testing.assert_close(model(**given).logits, expected)
    merged = model.merge_and_unload()
    torch.testing.assert_close(merged(**given).logits, expected)
    merged.save_pretrained(tmp_path / "merged")
    again = getattr(lxmert.pt, name).from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(again(**given).logits, expected)


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForQuestionAnswering"])
def test_adapters_are_saved_and_loaded(name, tmp_path):
    model, given = adapted(name, tmp_path / "base")
    model.eval()
    model.save_pretrained(tmp_path / "adapters")
    base = getattr(lxmert.pt, name).from_pretrained(tmp_path / "base")
    again = peft.PeftModel.from_pretrained(base, tmp_path / "adapters")
    torch.testing.assert_close(again(**given).logits, model(**given).logits)


def test_a_model_with_adapters_is_not_saved_as_if_it_were_plain(tmp_path):
    model, _ = adapted("LxmertForQuestionAnswering", tmp_path / "base")
    with pytest.raises(ValueError, match="merge_and_unload"):
        model.get_base_model().save_pretrained(tmp_path / "plain")
    assert not (tmp_path / "plain").exists()


@pytest.mark.parametrize(
    ("name", "head"), [("LxmertForQuestionAnswering", "answer"), ("VisualBertForQuestionAnswering", "classifier")]
)
def test_a_head_is_trained_beside_adapters(name, head, tmp_path):
    model, given = adapted(name, tmp_path / "base", modules_to_save=[head])
    model.train()
    model(**given).loss.backward()
    trained = [p for key, p in model.named_parameters() if p.requires_grad and "lora_" not in key]
    assert trained
    assert all(p.grad is not None for p in trained)
    with torch.no_grad():
        for p in trained:
            p.add_(0.5)
    model.save_pretrained(tmp_path / "adapters")
    base = getattr(lxmert.pt, name).from_pretrained(tmp_path / "base")
    again = peft.PeftModel.from_pretrained(base, tmp_path / "adapters")
    torch.testing.assert_close(again(**given).logits, model.eval()(**given).logits)


@pytest.mark.parametrize(
    ("name", "given", "here"),
    [
        ("LxmertForQuestionAnswering", "answer_head", "heads.answer"),
        ("VisualBertForVisualReasoning", "cls", "heads.classifier"),
        ("VisualBertForPreTraining", "cls", "heads.match"),
        ("LxmertForQuestionAnswering", "answers", "answer"),
        ("LxmertForQuestionAnswering", "nothing", "named_modules"),
    ],
)
def test_a_head_that_peft_would_not_find_is_refused(name, given, here, tmp_path):
    with pytest.raises(ValueError, match=f"'{given}'.*{here}"):
        adapted(name, tmp_path, modules_to_save=[given])


def test_a_model_without_adapters_has_no_configuration_of_them(tmp_path):
    model, _ = adapted("VisualBertForQuestionAnswering", tmp_path)
    assert "default" in model.get_base_model().peft_config
    assert not hasattr(model.unload(), "peft_config")
    assert not hasattr(lxmert.pt.LxmertModel(small_config("LxmertModel")), "peft_config")


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForRegionToPhraseAlignment"])
def test_adapters_train_under_ddp(name):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    command += ["--nproc-per-node", "2", "-m", "tests.compat.ddp_with_adapters", name]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    sums = [line for line in done.stdout.splitlines() if line.startswith("trained ")]
    assert len(sums) == 2
    assert sums[0] == sums[1]
