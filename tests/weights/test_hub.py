"""Models by their name on a hub, against a real HTTP server on the loopback interface that speaks the hub's API."""

import json
import logging
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from huggingface_hub import constants

from lxmert import hub
from lxmert.common.config import LxmertConfig, VisualBertConfig, config_from_pretrained
from lxmert.common.tokenizer import LxmertTokenizer, LxmertTokenizerFast
from lxmert.hub import folder_with, looks_like_hub_id
from lxmert.utils.json_files import LARGEST_CONFIG
from lxmert.weights.download import download_weights
from lxmert.weights.formats import Selection

from .hub_server import TOKEN, running_hub

ROOT = Path(__file__).parents[2]
NAME = "owner/model"
CONFIG = LxmertConfig(l_layers=2, vocab_size=50).to_json_string().encode()
INDEX = "model.safetensors.index.json"
PARTS = {
    INDEX: json.dumps(
        {"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors", "c": "part-1.safetensors"}}
    ),
    "part-1.safetensors": "one",
    "part-2.safetensors": "two",
    "part-3.safetensors": "of another model",
}


def content(*names, **special):
    """Files of a repository, each with its own name as its content."""
    return {name: name.encode() for name in names} | special


def config_files(**others):
    return {"config.json": CONFIG, **others}


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A hub without models, with an empty cache and no token."""
    with running_hub(monkeypatch, tmp_path) as running:
        yield running


def held(folder):
    """What lies in a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def sentence(error):
    """The message of an error that was caught, which has to be ours: one line, and the library's error behind it."""
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith("there is no file or folder '")
    return text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("unc-nlp/lxmert-base-uncased", True),
        ("bert-base-uncased", True),
        ("owner/model.v2", True),
        ("_a/b_", True),
        ("", False),
        ("/owner/model", False),
        ("./owner/model", False),
        ("../model", False),
        ("~/model", False),
        ("owner/model/", False),
        ("owner/folder/model", False),
        ("owner\\model", False),
        ("C:/model", False),
        ("owner/.model", False),
        ("owner/model.", False),
        ("owner/-model", False),
        ("owner/two--parts", False),
        ("owner/two..parts", False),
        ("owner/a model", False),
        ("owner/modèle", False),
        ("owner/model\n", False),
        ("owner/" + "m" * 97, False),
        ("model.safetensors", False),
        ("owner/model.weights.h5", False),
        ("model.keras", False),
        ("pytorch_model.BIN", False),
        ("model_LXRT.pth", False),
        ("model.pt", False),
        ("model.th", False),
        ("config.json", False),
        ("vocab.txt", False),
        (Path("owner/model"), False),
        (None, False),
        (3, False),
    ],
)
def test_what_can_be_a_name_on_the_hub(source, expected):
    assert looks_like_hub_id(source) is expected


@pytest.mark.parametrize(
    ("there", "fetched"),
    [
        (
            ["config.json", "model.safetensors", "pytorch_model.bin", "tf_model.h5"],
            ["config.json", "model.safetensors"],
        ),
        (["config.json", "pytorch_model.bin", "tf_model.h5"], ["config.json", "pytorch_model.bin"]),
        (["config.json", "tf_model.h5"], ["config.json", "tf_model.h5"]),
        (["tf_model.h5"], ["tf_model.h5"]),
        (["BEST.pth", "training_args.bin"], ["BEST.pth"]),
    ],
)
def test_only_the_config_and_the_best_weights_are_fetched(server, there, fetched):
    server.add(NAME, content(*there, "README.md", "vocab.txt", "onnx/model.onnx", "old/model.safetensors"))
    folder = download_weights(NAME)
    assert held(folder) == content(*fetched)
    first, *others = fetched
    asked = ["GET info main", f"HEAD main/{first}", f"GET main/{first}"]
    for name in others:
        asked += [f"HEAD COMMIT/{name}", f"GET COMMIT/{name}"]
    assert all(request.authorization is None for request in server.requests)
    assert server.asked() == asked
    # What is there is not fetched again: the hub is asked which commit it is, no more.
    assert download_weights(NAME) == folder
    assert server.asked() == ["GET info main", f"HEAD main/{first}"]


def test_weights_in_a_subfolder_or_of_a_variant(server):
    inside = {f"small/{name}": text.encode() for name, text in PARTS.items()}
    inside |= content("small/config.json", "small/old.h5", "model.safetensors", "model.fp16.safetensors")
    server.add(NAME, inside)
    folder = download_weights(NAME, selection=Selection("small"))
    names = {"config.json", INDEX, "part-1.safetensors", "part-2.safetensors"}
    assert {path.name for path in (folder / "small").iterdir()} == names
    assert [path.name for path in folder.iterdir()] == ["small"]
    assert download_weights(NAME, selection=Selection("small"), local_files_only=True) == folder
    server.asked()
    download_weights(NAME, selection=Selection(variant="fp16"))
    assert server.asked()[1:] == ["HEAD main/model.fp16.safetensors", "GET main/model.fp16.safetensors"]
    for selection, wanted in (
        (Selection("nowhere"), "no single other weight file in nowhere; it holds"),
        (Selection(use_safetensors=False), "has no pytorch_model.bin; it holds"),
        (Selection(variant="x"), "has no model.x.safetensors or pytorch_model.x.bin; it holds"),
    ):
        with pytest.raises(FileNotFoundError) as error:
            download_weights(NAME, selection=selection)
        assert wanted in sentence(error)


def test_files_are_downloaded_again_on_request(server):
    server.add(NAME, content("model.safetensors"))
    folder = download_weights(NAME)
    server.asked()
    assert download_weights(NAME, force_download=True) == folder
    assert "GET main/model.safetensors" in server.asked()


def test_weights_in_parts_come_with_the_parts_that_the_index_names(server):
    server.add(NAME, content("tf_model.h5", **{name: text.encode() for name, text in PARTS.items()}))
    folder = download_weights(NAME)
    assert set(held(folder)) == {INDEX, "part-1.safetensors", "part-2.safetensors"}
    assert server.asked() == [
        "GET info main",
        f"HEAD main/{INDEX}",
        f"GET main/{INDEX}",
        "HEAD COMMIT/part-1.safetensors",
        "GET COMMIT/part-1.safetensors",
        "HEAD COMMIT/part-2.safetensors",
        "GET COMMIT/part-2.safetensors",
    ]
    server.stop()
    assert download_weights(NAME, local_files_only=True) == folder
    (folder / "part-2.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"has no part-2\.safetensors of 'owner/model' \(but model\.") as error:
        download_weights(NAME, local_files_only=True)
    sentence(error)


@pytest.mark.parametrize(
    ("index", "kind", "message"),
    [
        ({"weight_map": {"a": "../secret.safetensors"}}, ValueError, "secret"),
        ({"weight_map": {"a": "/etc/passwd.bin"}}, ValueError, "passwd"),
        ({"weight_map": {"a": "folder\\part.bin"}}, ValueError, "part.bin"),
        ({"weight_map": {"a": "part.py"}}, ValueError, "'part.py'; only files ending in .safetensors or .bin"),
        ({"weight_map": {"a": ".part.safetensors"}}, ValueError, "'.part.safetensors'"),
        ({"weight_map": {"a": 3}}, ValueError, "3"),
        ({"weight_map": {}}, ValueError, "has no weight_map"),
        ({"weights": {}}, ValueError, "has no weight_map"),
        ([], ValueError, "must hold a JSON object"),
        ({"weight_map": {"a": "part-9.safetensors"}}, FileNotFoundError, "has no part-9.safetensors, which its"),
    ],
)
def test_a_bad_index_is_refused_before_a_part_is_asked_for(server, index, kind, message):
    server.add(NAME, content("part.py", **{INDEX: json.dumps(index).encode()}))
    with pytest.raises(kind) as error:
        download_weights(NAME)
    assert message in str(error.value)
    assert NAME in str(error.value)
    assert server.asked() == ["GET info main", f"HEAD main/{INDEX}", f"GET main/{INDEX}"]


def test_a_revision_is_a_branch_a_tag_a_commit_or_a_pull_request(server):
    others = {name: content(**{"model.safetensors": name.encode()}) for name in ("old", "v1.0", "refs/pr/3", "a/b")}
    repository = server.add(NAME, content("model.safetensors"), others=others)
    for name in others:
        assert held(download_weights(NAME, revision=name)) == {"model.safetensors": name.encode()}
    commit = repository.revisions["v1.0"]
    assert held(download_weights(NAME, revision=commit)) == {"model.safetensors": b"v1.0"}
    assert held(download_weights(NAME)) == content("model.safetensors")
    server.stop()
    for name in others:
        folder = download_weights(NAME, revision=name, local_files_only=True)
        assert held(folder) == {"model.safetensors": name.encode()}
    assert held(download_weights(NAME, revision=commit, local_files_only=True)) == {"model.safetensors": b"v1.0"}
    with pytest.raises(FileNotFoundError, match="has no 'owner/model' at revision 'new', and local_files_only=True"):
        download_weights(NAME, revision="new", local_files_only=True)


def test_a_new_commit_is_fetched_and_the_old_one_stays(server):
    repository = server.add(NAME, content(**{"model.safetensors": b"old"}))
    old = download_weights(NAME)
    repository.push("main", content(**{"model.safetensors": b"new"}))
    new = download_weights(NAME)
    assert (held(old), held(new)) == ({"model.safetensors": b"old"}, {"model.safetensors": b"new"})
    assert download_weights(NAME, local_files_only=True) == new


def test_a_branch_that_moves_between_the_requests_does_not_mix_two_commits(server):
    repository = server.add(NAME, config_files(**{"model.safetensors": b"old"}))
    server.after_lookup = lambda: repository.push("main", config_files(**{"model.safetensors": b"new"}))
    with pytest.raises(OSError, match="'owner/model' changed on the hub while it was read; run this again"):
        download_weights(NAME)
    assert held(download_weights(NAME))["model.safetensors"] == b"new"


def test_a_renamed_model_is_found_under_its_old_name(server):
    server.add(NAME, config_files(**{"model.safetensors": b"weights"}))
    server.add("old-name", {}, moved_to=NAME)
    assert held(download_weights("old-name"))["model.safetensors"] == b"weights"


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_token_opens_a_private_model_and_goes_to_the_hub_only(server, monkeypatch, by):
    server.add(NAME, config_files(**{"model.safetensors": b"weights"}), private=True, large=("model.safetensors",))
    with pytest.raises(
        FileNotFoundError, match=r"no model on the hub .*, or a private one, for which pass token="
    ) as e:
        download_weights(NAME)
    sentence(e)
    assert server.asked() == ["GET info main"]
    if by == "environment":
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        with pytest.raises(FileNotFoundError, match="private"):
            download_weights(NAME, token=False)
        assert [request.authorization for request in server.requests] == [None]
        server.asked()
    folder = download_weights(NAME, token=TOKEN if by == "argument" else None)
    assert held(folder)["model.safetensors"] == b"weights"
    sent = {str(request): request.authorization for request in server.requests}
    assert sent == {
        "GET info main": f"Bearer {TOKEN}",
        "HEAD main/config.json": f"Bearer {TOKEN}",
        "GET main/config.json": f"Bearer {TOKEN}",
        "HEAD COMMIT/model.safetensors": f"Bearer {TOKEN}",
        "GET store/model.safetensors": None,  # another address
    }


def test_a_gated_model_says_where_to_ask_for_access(server):
    server.add(NAME, config_files(**{"model.safetensors": b"weights"}), gated=True)
    with pytest.raises(PermissionError, match=f"is gated: ask for access on its page, {server.endpoint}/{NAME}") as e:
        download_weights(NAME)
    sentence(e)
    assert type(e.value.__cause__).__name__ == "GatedRepoError"
    assert held(download_weights(NAME, token=TOKEN))["model.safetensors"] == b"weights"


def test_a_wrong_token_is_said_and_not_shown(server):
    server.add(NAME, content("model.safetensors"))
    with pytest.raises(PermissionError, match=r"refuses access to 'owner/model' .*check the token") as error:
        download_weights(NAME, token="hf_a_wrong_one")
    assert "hf_a_wrong_one" not in sentence(error)
    with pytest.raises(ValueError, match="token=True uses the saved token, and none is saved"):
        download_weights(NAME, token=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"revision": ""}, "revision must be a branch, a tag, a commit or refs/pr/NUMBER; got ''"),
        ({"revision": 3}, "revision must be a branch, a tag, a commit or refs/pr/NUMBER; got 3"),
        ({"token": ""}, "token must be an access token, True for the saved one, or False for none"),
        ({"cache_dir": ""}, "cache_dir must be a path; got an empty string"),
    ],
)
def test_options_are_checked_before_anything_is_asked(server, options, message):
    with pytest.raises(ValueError, match=message):
        download_weights(NAME, **options)
    assert server.asked() == []


@pytest.mark.parametrize("source", ["a/b/c", "./owner/model", "/owner/model", Path("owner/model"), "model.safetensors"])
def test_what_cannot_be_a_name_is_a_path_that_does_not_exist(server, source):
    for call in (download_weights, lambda place: folder_with(place, ["config.json"])):
        with pytest.raises(FileNotFoundError) as error:
            call(source)
        assert str(error.value).startswith(
            f"there is no file or folder {str(source)!r}; and a model on the hub is named"
        )
    assert server.asked() == []


def test_what_is_absent_is_said_with_what_is_there(server):
    server.add(NAME, content("README.md", "a.pth", "b.pth"))
    server.add("owner/empty", {})
    held_there = "it holds README.md, a.pth, b.pth"
    cases = [
        (lambda: download_weights("owner/none"), "'owner/none' is no model on the hub"),
        (lambda: download_weights("none"), "'none' is no model on the hub"),
        (
            lambda: download_weights(NAME, revision="v9"),
            "has no revision 'v9'; pass a branch, a tag, a commit's full hash",
        ),
        (
            lambda: download_weights(NAME),
            f"pytorch_model.bin or tf_model.h5, and no single other weight file; {held_there}",
        ),
        (lambda: download_weights("owner/empty"), "it holds nothing"),
        (lambda: folder_with(NAME, ["config.json"]), f"has no config.json; {held_there}"),
        (
            lambda: folder_with(NAME, ["tokenizer.json", "vocab.txt"]),
            f"has no tokenizer.json or vocab.txt; {held_there}",
        ),
        (lambda: LxmertConfig.from_pretrained(NAME), f"has no config.json; {held_there}"),
        (lambda: LxmertTokenizer.from_pretrained(NAME), "has no tokenizer.json or vocab.txt"),
    ]
    for call, message in cases:
        with pytest.raises(FileNotFoundError) as error:
            call()
        assert message in sentence(error)
        assert server.endpoint in str(error.value)


def test_a_download_that_breaks_off_goes_on_where_it_was(server, monkeypatch, caplog):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)  # what it writes at a time
    weights = bytes(range(256)) * 40
    server.add(NAME, {"model.safetensors": weights})
    server.cut["model.safetensors"] = 1
    with caplog.at_level(logging.ERROR, "huggingface_hub"):
        folder = download_weights(NAME)
    assert held(folder) == {"model.safetensors": weights}
    spans = [request.span for request in server.requests if str(request) == "GET main/model.safetensors"]
    assert spans == [None, f"bytes={len(weights) // 2}-"]


def test_a_download_of_another_size_is_an_error_and_leaves_nothing(server):
    server.add(NAME, config_files(**{"model.safetensors": b"weights"}))
    server.short.add("model.safetensors")
    with pytest.raises(OSError, match=r"model\.safetensors of 'owner/model' could not be downloaded: .* size") as error:
        download_weights(NAME)
    assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match=r"no single other weight file of 'owner/model' \(but config.json\)"):
        download_weights(NAME, local_files_only=True)
    server.add("owner/bare", content("model.safetensors"))  # whose first and only file it is
    with pytest.raises(OSError, match="size"):
        download_weights("owner/bare")
    with pytest.raises(FileNotFoundError, match=r"cache has no 'owner/bare', and local_files_only=True"):
        download_weights("owner/bare", local_files_only=True)
    server.short.clear()
    assert held(download_weights(NAME))["model.safetensors"] == b"weights"


@pytest.mark.parametrize("trouble", ["down", "503", "not a hub"])
def test_without_an_answer_the_cache_is_used_and_else_the_network_is_blamed(server, caplog, trouble):
    server.add(NAME, content("config.json", "model.safetensors"))
    server.add("owner/other", content("model.safetensors"))
    folder = download_weights(NAME)
    if trouble == "down":
        server.stop()
    else:
        server.status[""] = 503 if trouble == "503" else 200  # an empty page
    with caplog.at_level(logging.WARNING, hub.__name__):
        assert download_weights(NAME) == folder
    assert "the model hub did not list 'owner/model'" in caplog.text
    assert "the copy in the cache is used" in caplog.text
    with pytest.raises(ConnectionError) as error:
        download_weights("owner/other")
    text = sentence(error)
    assert f"the hub {server.endpoint} cannot be reached, or does not answer as it should (" in text
    assert f"; and the cache {constants.HF_HUB_CACHE} has no 'owner/other'." in text
    assert error.value.__cause__ is not None


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (403, PermissionError, "refuses access to 'owner/model' .*check the token"),
        (404, ConnectionError, "does not answer as it should .*; and the cache .* has no model.safetensors of 'owner"),
        (418, ConnectionError, "does not answer as it should .*; and the cache .* has no model.safetensors of 'owner"),
    ],
)
def test_a_hub_that_lists_a_file_and_does_not_give_it(server, status, kind, message):
    server.add(NAME, content("model.safetensors"))
    server.status["main/"] = status
    with pytest.raises(kind, match=message) as error:
        download_weights(NAME)
    sentence(error)


def test_offline_the_cache_alone_is_used(server, monkeypatch):
    server.add(NAME, content("config.json", "model.safetensors", "vocab.txt"))
    folder = download_weights(NAME)
    server.asked()
    for options in ({"local_files_only": True}, {}):
        if not options:
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        why = "local_files_only=True" if options else "HF_HUB_OFFLINE"
        assert download_weights(NAME, **options) == folder
        assert folder_with(NAME, ["config.json"], ["vocab.txt"], **options) == folder
        with pytest.raises(FileNotFoundError, match=f"has no 'owner/none', and {why} forbids asking the hub") as error:
            download_weights("owner/none", **options)
        sentence(error)
        with pytest.raises(FileNotFoundError, match=r"has no vocab.txt of 'owner/model' \(but config.json, model.saf"):
            folder_with(NAME, ["vocab.txt"], **options)
    assert server.asked() == []


def test_a_cache_of_ones_own(server, tmp_path):
    server.add(NAME, content("model.safetensors"))
    folder = download_weights(NAME, cache_dir=tmp_path / "mine")
    assert (tmp_path / "mine") in folder.parents
    assert not Path(constants.HF_HUB_CACHE).exists()
    with pytest.raises(FileNotFoundError, match="local_files_only=True"):
        download_weights(NAME, local_files_only=True)
    assert download_weights(NAME, cache_dir=tmp_path / "mine", local_files_only=True) == folder


# Configurations and tokenizers


def test_configurations_are_read_by_name(server):
    wanted = VisualBertConfig(num_hidden_layers=3, visual_embedding_dim=7)
    others = {"small": {"config.json": wanted.to_json_string().encode()}}
    server.add(NAME, config_files(**{"model.safetensors": b"weights"}), others=others)
    assert LxmertConfig.from_pretrained(NAME) == LxmertConfig(l_layers=2, vocab_size=50)
    assert server.asked() == ["GET info main", "HEAD main/config.json", "GET main/config.json"]
    assert LxmertConfig.from_pretrained(NAME, x_layers=1).x_layers == 1
    assert VisualBertConfig.from_pretrained(NAME, revision="small") == wanted
    assert config_from_pretrained(NAME, revision="small", token=False) == wanted
    assert config_from_pretrained(NAME, local_files_only=True) == LxmertConfig(l_layers=2, vocab_size=50)
    with pytest.raises(ValueError, match=r"config\.json: .*is the configuration of a 'lxmert' model"):
        VisualBertConfig.from_pretrained(NAME)
    for kind in (LxmertConfig, VisualBertConfig, LxmertTokenizer):
        with pytest.raises(TypeError, match=r"unexpected keyword 'revisoin'\. Did you mean 'revision'"):
            kind.from_pretrained(NAME, revisoin="small")


def test_a_configuration_far_too_large_is_refused(server):
    server.add(NAME, {"config.json": b'{"a": "' + b"x" * LARGEST_CONFIG + b'"}'})
    with pytest.raises(ValueError, match=r"config\.json is larger than 4194304 bytes"):
        LxmertConfig.from_pretrained(NAME)


VOCAB = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\ndog\n"


@pytest.mark.parametrize("kind", [LxmertTokenizer, LxmertTokenizerFast])
def test_tokenizers_are_read_by_name(server, tmp_path, kind):
    settings = {"tokenizer_config.json": b'{"do_lower_case": false}', "special_tokens_map.json": b"{}"}
    server.add(NAME, config_files(**{"vocab.txt": VOCAB, "model.safetensors": b"weights"}, **settings))
    tokenizer = kind.from_pretrained(NAME)
    assert tokenizer("a dog Dog")["input_ids"] == [2, 5, 6, 1, 3]
    assert {request.split("/")[-1] for request in server.asked()} == {"GET info main", "vocab.txt", *settings}
    assert kind.from_pretrained(NAME, local_files_only=True, do_lower_case=True)("Dog")["input_ids"] == [2, 6, 3]
    tokenizer.save_pretrained(tmp_path / "saved")
    server.add("owner/whole", held(tmp_path / "saved"))
    assert kind.from_pretrained("owner/whole")("a dog Dog")["input_ids"] == [2, 5, 6, 1, 3]
    names = {request.split("/")[-1] for request in server.asked()}
    assert names == {"GET info main", "tokenizer.json", "tokenizer_config.json"}, "vocab.txt is not needed beside it"


def test_a_tokenizer_in_a_subfolder(server):
    server.add(NAME, config_files(**{"words/vocab.txt": VOCAB, "words/tokenizer_config.json": b'{"max_len": 7}'}))
    tokenizer = LxmertTokenizer.from_pretrained(NAME, subfolder="words")
    assert (tokenizer("a dog")["input_ids"], tokenizer.model_max_length) == ([2, 5, 6, 3], 7)
    server.asked()
    LxmertTokenizer.from_pretrained(NAME, subfolder="words", force_download=True)
    assert {"vocab.txt", "tokenizer_config.json"} < {request.split("/")[-1] for request in server.asked()}
    with pytest.raises(FileNotFoundError, match=r"has no tokenizer.json or vocab.txt"):
        LxmertTokenizer.from_pretrained(NAME)


def test_a_local_path_wins(server, tmp_path, monkeypatch):
    server.add(NAME, config_files(**{"vocab.txt": VOCAB}))
    (tmp_path / NAME).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    LxmertConfig(l_layers=7).save_pretrained(NAME)
    (tmp_path / NAME / "vocab.txt").write_bytes(VOCAB + b"cat\n")
    assert LxmertConfig.from_pretrained(NAME).l_layers == 7
    assert config_from_pretrained(NAME).l_layers == 7
    assert LxmertTokenizer.from_pretrained(NAME).vocab_size == 8
    for path in ("./owner/none", tmp_path / "none", Path("owner/none"), "none.json"):
        with pytest.raises(FileNotFoundError, match="there is no file or folder"):
            LxmertConfig.from_pretrained(path)
        with pytest.raises(FileNotFoundError, match="there is no file or folder"):
            LxmertTokenizer.from_pretrained(path)
    assert server.asked() == []


# The library's own settings, which it reads when it is imported


def run(program, tmp_path, **environment):
    """Run a program in a fresh process; gives what it prints."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"} | environment
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_environment_variables_are_the_library_s(server, tmp_path):
    server.add(NAME, config_files(**{"model.safetensors": b"weights"}), private=True)
    settings = {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
    program = f"""
        from lxmert.common.config import LxmertConfig
        from lxmert.weights.download import download_weights
        print(download_weights({NAME!r}), LxmertConfig.from_pretrained({NAME!r}).l_layers)
    """
    printed = run(program, tmp_path, **settings)
    assert Path(printed.split()[0]).is_relative_to(tmp_path / "home" / "hub")
    assert printed.split()[1] == "2"
    assert {request.authorization for request in server.requests} == {f"Bearer {TOKEN}"}
    server.asked()
    assert run(program, tmp_path, HF_HUB_OFFLINE="1", **settings) == printed
    assert server.asked() == []
    server.stop()
    assert run(program, tmp_path, **settings) == printed


def test_the_library_is_imported_only_for_a_name_on_the_hub(tmp_path):
    LxmertConfig().save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_bytes(VOCAB)
    program = f"""
        import sys
        from lxmert import LxmertConfig, LxmertTokenizer
        LxmertConfig.from_pretrained({str(tmp_path)!r})
        LxmertTokenizer.from_pretrained({str(tmp_path)!r})
        print([name for name in sys.modules if name.partition(".")[0] in ("huggingface_hub", "httpx", "requests")])
    """
    assert run(program, tmp_path) == "[]"
