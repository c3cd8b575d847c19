"""Models uploaded to a hub, a real HTTP server on the loopback interface, by both backends."""

import pytest
from huggingface_hub import ModelCard

from lxmert.weights.model_card import model_card
from tests.backends.backend import BACKENDS
from tests.compare import assert_same
from tests.small import small_config, small_inputs

from .hub_server import TOKEN, running_hub

NAME = "LxmertForQuestionAnswering"


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A hub without models."""
    with running_hub(monkeypatch, tmp_path) as running:
        yield running


@pytest.fixture(params=["pt", "tf"])
def backend(request):
    return BACKENDS[request.param]


def files_of(server, name, revision="main"):
    repository = server.repositories[name]
    return repository.commits[repository.revisions[revision]]


def test_a_model_is_uploaded_and_loaded(backend, server):
    model = backend.make(NAME)
    model.add_model_tags("my-tag")
    address = model.push_to_hub("owner/model", token=TOKEN, private=True, commit_message="First", tags=["other tag"])
    assert address.startswith(f"{server.endpoint}/owner/model/commit/")
    repository = server.repositories["owner/model"]
    assert repository.private
    assert repository.messages == ["First"]
    assert set(files_of(server, "owner/model")) == {".gitattributes", "config.json", "model.safetensors", "README.md"}
    again = backend.kind(NAME).from_pretrained("owner/model", token=TOKEN)
    assert_same(backend.run(again, small_inputs(NAME)), backend.run(model, small_inputs(NAME)), 0.0)
    card = ModelCard(files_of(server, "owner/model")["README.md"].decode())
    assert card.data.library_name == "lxmert"
    assert card.data.pipeline_tag == "visual-question-answering"
    assert card.data.tags == ["lxmert", "question-answering", "my-tag", "other tag"]
    assert card.data.license is None
    assert f'{NAME}.from_pretrained("owner/model")' in card.text


def test_saving_uploads_too(backend, server, tmp_path):
    model = backend.make("VisualBertModel")
    model.save_pretrained(tmp_path / "mine", push_to_hub=True, token=TOKEN, max_shard_size="10KB")
    held = files_of(server, "me/mine")
    local = {path.name for path in (tmp_path / "mine").iterdir()}
    assert set(held) == local | {".gitattributes"}
    assert {"README.md", "config.json", "model.safetensors.index.json"} < local
    assert sum(name.endswith(".safetensors") for name in local) > 1
    again = backend.kind("VisualBertModel").from_pretrained("me/mine", token=TOKEN)
    assert_same(
        backend.run(again, small_inputs("VisualBertModel")), backend.run(model, small_inputs("VisualBertModel")), 0.0
    )


def test_a_model_card_stays_and_a_branch_is_made(server, tmp_path):
    server.add("owner/model", {"README.md": b"mine"})
    model = BACKENDS["pt"].make("LxmertModel")
    model.push_to_hub("owner/model", token=TOKEN, revision="small", variant="fp16")
    assert files_of(server, "owner/model") == {"README.md": b"mine"}
    held = files_of(server, "owner/model", "small")
    assert held["README.md"] == b"mine"
    assert set(held) == {"README.md", "config.json", "model.fp16.safetensors"}
    (tmp_path / "README.md").write_text("my own")
    model.save_pretrained(tmp_path, push_to_hub=True, repo_id="owner/third", token=TOKEN)
    assert files_of(server, "owner/third")["README.md"] == b"my own"


def test_uploads_that_are_refused(server):
    model = BACKENDS["pt"].make("LxmertModel")
    with pytest.raises(PermissionError, match=r"does not let you write to 'owner/model'.*hf auth login"):
        model.push_to_hub("owner/model")
    with pytest.raises(ValueError, match=r"repo_id must be 'owner/name' or a name; got '\.\./model'"):
        model.push_to_hub("../model", token=TOKEN)
    server.status["repos/create"] = 500
    with pytest.raises(ConnectionError, match="'owner/model' was not uploaded to the hub"):
        model.push_to_hub("owner/model", token=TOKEN)
    assert server.repositories == {}


def test_tags_cannot_break_the_header_of_a_card():
    text = model_card(small_config(NAME), NAME, NAME, "owner/model", ["a: b\n---\nlicense: mit", "#x"])
    card = ModelCard(text)
    assert card.data.tags[-2:] == ["a: b\n---\nlicense: mit", "#x"]
    assert card.data.license is None
    assert "`hidden_size` | 24" in text
    own = model_card(small_config("LxmertModel"), "LxmertModel", "Mine", "me/mine")
    assert "from my_module import Mine" in own
    assert "Keras" not in own
