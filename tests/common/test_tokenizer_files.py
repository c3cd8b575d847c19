"""A tokenizer's folder and files: written, read back, read by `transformers`, and read from what it writes."""

import dataclasses
import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer

from lxmert.common.tokenizer import LxmertTokenizer, LxmertTokenizerFast
from tests.common.tokenizers import CASED, CORPUS, TINY, hugging_face, same, write_vocab


@pytest.mark.parametrize("cls", [LxmertTokenizer, LxmertTokenizerFast])
def test_round_trip(vocab_file, tmp_path, cls):
    tokenizer = cls(vocab_file, do_lower_case=False, strip_accents=True, tokenize_chinese_chars=False)
    tokenizer.model_max_length = 20
    paths = tokenizer.save_pretrained(tmp_path / "new" / "folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(
        ["vocab.txt", "tokenizer.json", "tokenizer_config.json"]
    )
    assert all(Path(path).is_file() for path in paths)
    loaded = cls.from_pretrained(tmp_path / "new" / "folder")
    assert loaded.model_max_length == 20
    assert loaded.settings.do_lower_case is False
    assert loaded.decode(loaded.encode("it's")) == tokenizer.decode(tokenizer.encode("it's"))
    same(loaded, tokenizer, CORPUS, padding=True, truncation=True)
    assert (tmp_path / "new" / "folder" / "vocab.txt").read_bytes() == vocab_file.read_bytes()
    # Each of the two vocabulary files is enough.
    for name in ("tokenizer.json", "vocab.txt"):
        text = (tmp_path / "new" / "folder" / name).read_bytes()
        (tmp_path / "new" / "folder" / name).unlink()
        same(cls.from_pretrained(tmp_path / "new" / "folder"), tokenizer, CORPUS, padding=True)
        (tmp_path / "new" / "folder" / name).write_bytes(text)


def test_saving_after_a_call_keeps_its_lengths_out(tiny_file, tmp_path):
    tokenizer = LxmertTokenizer(tiny_file)
    tokenizer("low low low", truncation=True, max_length=3, padding="max_length")
    tokenizer.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    assert (content["truncation"], content["padding"]) == (None, None)


@pytest.mark.parametrize("name", ["AutoTokenizer", "BertTokenizerFast", "LxmertTokenizer"])
@pytest.mark.parametrize("options", [{}, {"do_lower_case": False}, {"strip_accents": False, "never_split": ["man"]}])
def test_transformers_reads_our_folder(vocab_file, tmp_path, name, options):
    import transformers

    tokenizer = LxmertTokenizer(vocab_file, **options)
    tokenizer.model_max_length = 20
    tokenizer.save_pretrained(tmp_path)
    loaded = getattr(transformers, name).from_pretrained(tmp_path)
    assert loaded.model_max_length == 20
    same(tokenizer, loaded, CORPUS, padding=True, truncation=True)
    row = tokenizer.encode("it's a man's world")
    assert tokenizer.decode(row) == loaded.decode(row)


@pytest.mark.parametrize("options", [{}, {"do_lower_case": False, "strip_accents": True, "model_max_length": 12}])
def test_we_read_the_folder_of_transformers(vocab_file, tmp_path, options):
    other = hugging_face(vocab_file, **options)
    other.add_tokens(["<obj>"])
    other.add_special_tokens({"additional_special_tokens": ["<reg>"]})
    other.save_pretrained(tmp_path)
    assert not (tmp_path / "vocab.txt").exists()
    loaded = LxmertTokenizer.from_pretrained(tmp_path)
    texts = [*CORPUS, "see <obj><reg>", "a <reg> b"]
    encoding = same(loaded, other, texts, padding=True, truncation=True, max_length=20)
    assert encoding.input_ids[-1][2] == 30523
    assert (len(loaded), loaded.vocab_size) == (30524, 30522)
    assert loaded.all_special_tokens == other.all_special_tokens
    assert loaded.decode(encoding.input_ids[-2], skip_special_tokens=True) == other.decode(
        encoding.input_ids[-2], skip_special_tokens=True
    )
    # And on to a folder of ours.
    loaded.save_pretrained(tmp_path / "again")
    same(LxmertTokenizer.from_pretrained(tmp_path / "again"), other, texts)


def test_published_folder(vocab_file):
    """Written by an old version, with truncation and padding to 128 left in its tokenizer.json."""
    from transformers import AutoTokenizer

    loaded, other = (cls.from_pretrained(vocab_file.parent) for cls in (LxmertTokenizer, AutoTokenizer))
    assert loaded.model_max_length == other.model_max_length == 512
    same(loaded, other, CORPUS, truncation=True)
    same(loaded, other, CORPUS[0])


def test_older_folder(tmp_path):
    """vocab.txt with the files that transformers 4 wrote beside it for a slow tokenizer."""
    write_vocab(tmp_path / "vocab.txt", CASED)
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"mask_token": {"content": "Foo", "lstrip": False}}))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<obj>": len(CASED)}))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps(
            {"do_lower_case": False, "model_max_length": 1e30, "max_len": None, "name_or_path": "x", "kept": [1]}
        )
    )
    loaded = LxmertTokenizer.from_pretrained(tmp_path)
    assert loaded.tokenize("<obj>Foo foo") == ["<obj>", "Foo", "foo"]
    assert loaded.mask_token_id == CASED.index("Foo")
    assert loaded.convert_tokens_to_ids("<obj>") == len(CASED)
    loaded.save_pretrained(tmp_path / "again")
    config = json.loads((tmp_path / "again" / "tokenizer_config.json").read_text())
    assert config["kept"] == [1]
    assert "name_or_path" not in config


def test_settings_of_a_folder(cased_file, tmp_path):
    """tokenizer_config.json wins over tokenizer.json, an argument over both; a silent config leaves tokenizer.json."""
    LxmertTokenizer(cased_file, do_lower_case=False).save_pretrained(tmp_path)
    assert LxmertTokenizer.from_pretrained(tmp_path).tokenize("Foo") == ["Foo"]
    (tmp_path / "tokenizer_config.json").unlink()
    assert LxmertTokenizer.from_pretrained(tmp_path).tokenize("Foo") == ["Foo"]
    assert LxmertTokenizer.from_pretrained(tmp_path, do_lower_case=True).tokenize("Foo") == ["foo"]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    assert LxmertTokenizer.from_pretrained(tmp_path).tokenize("Foo") == ["foo"]
    with pytest.raises(
        TypeError, match=r"from_pretrained: unexpected keyword 'do_lowercase'. Did you mean 'do_lower_case'"
    ):
        LxmertTokenizer.from_pretrained(tmp_path, do_lowercase=True)


@pytest.mark.parametrize("options", [{"do_basic_tokenize": False}, {"never_split": ["Foo"]}])
def test_round_trip_of_our_own_options(cased_file, tmp_path, options):
    tokenizer = LxmertTokenizer(cased_file, **options)
    tokenizer.save_pretrained(tmp_path)
    text = "Foo foo, it's (Foo)"
    assert LxmertTokenizer.from_pretrained(tmp_path).tokenize(text) == tokenizer.tokenize(text)


def test_tokenizer_file(cased_file, tmp_path):
    LxmertTokenizer(cased_file, do_lower_case=False).save_pretrained(tmp_path)
    file = tmp_path / "tokenizer.json"
    tokenizer = LxmertTokenizerFast(tokenizer_file=file, do_lower_case=False)
    assert tokenizer.tokenize("Foo") == ["Foo"]
    with pytest.raises(
        ValueError, match=r"do_lower_case must agree with .*, which has False; got True. Pass do_lower_c"
    ):
        LxmertTokenizerFast(tokenizer_file=file)
    # What is not passed is taken from the file, or from a tokenizer of `tokenizers`.
    LxmertTokenizer(cased_file, do_lower_case=False, tokenize_chinese_chars=False).save_pretrained(tmp_path)
    for cls in (LxmertTokenizer, LxmertTokenizerFast):
        for given in ({"tokenizer_file": file}, {"tokenizer_object": Tokenizer.from_file(str(file))}):
            assert cls(**given, do_lower_case=False).tokenize("Foo 中文") == ["Foo", "中", "##文"]
    with pytest.raises(ValueError, match="do_lower_case must agree with tokenizer_object, which has False; got True"):
        LxmertTokenizerFast(tokenizer_object=Tokenizer.from_file(str(file)))
    with pytest.raises(ValueError, match=r"needs one of .*; got vocab_file and tokenizer_file"):
        LxmertTokenizerFast(cased_file, file)
    with pytest.raises(ValueError, match=r"needs one of vocab_file .*, tokenizer_file .*; got none"):
        LxmertTokenizerFast()


def test_vocabulary_line_ends(tmp_path):
    for ending, tail in (("\n", ""), ("\n", "\n\n"), ("\r\n", "\r\n")):
        path = tmp_path / "vocab.txt"
        path.write_bytes(("\ufeff" + ending.join([*TINY, "\u2028"]) + tail).encode())
        assert LxmertTokenizer(path).vocab_size == len(TINY) + 1


def test_save_vocabulary(tiny_file, tmp_path):
    tokenizer = LxmertTokenizer(tiny_file)
    assert tokenizer.save_vocabulary(tmp_path / "a") == (str(tmp_path / "a" / "vocab.txt"),)
    assert tokenizer.save_vocabulary(tmp_path / "a", "my") == (str(tmp_path / "a" / "my-vocab.txt"),)
    assert (tmp_path / "a" / "vocab.txt").read_bytes() == tiny_file.read_bytes()
    with pytest.raises(NotADirectoryError, match=r"tiny.txt is a file; pass a folder to write vocab.txt in"):
        tokenizer.save_pretrained(tiny_file)


def test_options_of_saving(tiny_file, tmp_path):
    tokenizer = LxmertTokenizer(tiny_file)
    paths = tokenizer.save_pretrained(tmp_path / "a", legacy_format=True, filename_prefix="my")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(Path(path).name for path in paths)
    assert {Path(path).name for path in paths} == {"my-vocab.txt", "my-tokenizer.json", "my-tokenizer_config.json"}
    for file in ("my-vocab.txt", "my-tokenizer.json"):
        loaded = LxmertTokenizer.from_pretrained(tmp_path / "a" / file)
        same(loaded, tokenizer, "UNwanted, [MASK] low")
        assert loaded.name_or_path == str(tmp_path / "a" / file)
    tokenizer.save_pretrained(tmp_path / "b" / "c")
    none = {"trust_remote_code": False, "force_download": False, "proxies": None, "use_fast": False}
    none |= {"_from_auto": True, "resume_download": None, "from_slow": False}
    same(LxmertTokenizer.from_pretrained(tmp_path / "b", subfolder="c", **none), tokenizer, "UNwanted, [MASK] low")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"trust_remote_code": True}, ValueError, "trust_remote_code must be None or False: no code from a repo"),
        ({"proxies": {"https": "a"}}, ValueError, "proxies must be None: set HTTPS_PROXY in the environment"),
        ({"subfolder": "../a"}, ValueError, "subfolder must be the relative path of a folder; got '../a'"),
        ({"subfolder": "/a"}, ValueError, "subfolder must be the relative path"),
        ({"subfolder": "b"}, FileNotFoundError, "there is no file or folder '.*b'"),
        ({"sub_folder": "b"}, TypeError, "Did you mean 'subfolder'"),
    ],
)
def test_wrong_options_of_loading(tiny_file, tmp_path, options, error, message):
    LxmertTokenizer(tiny_file).save_pretrained(tmp_path / "a")
    with pytest.raises(error, match=message):
        LxmertTokenizer.from_pretrained(tmp_path / "a", **options)


def test_pushing_is_refused(tiny_file, tmp_path):
    with pytest.raises(ValueError, match="push_to_hub must be False: save the folder, then upload it with `hf upload`"):
        LxmertTokenizer(tiny_file).save_pretrained(tmp_path / "a", push_to_hub=True)
    assert not (tmp_path / "a").exists()


def test_everything_set_is_saved(cased_file, tmp_path):
    """And nothing of the machine: a folder gives the tokenizer that was saved, with and without its tokenizer.json."""
    tokenizer = LxmertTokenizer(cased_file, additional_special_tokens=["<a>"], name_or_path="/home/me")
    tokenizer.add_tokens(["<b>", AddedToken("Foo f", lstrip=True)])
    tokenizer.add_special_tokens({"mask_token": AddedToken("[MASK]", lstrip=True), "bos_token": "<s>"})
    tokenizer.do_lower_case, tokenizer.padding_side, tokenizer.model_max_length = False, "left", 7
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    tokenizer.split_special_tokens = True
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["additional_special_tokens"] == ["<a>"], "transformers 4 reads no list of extra_special_tokens"
    assert "/home/me" not in config.values()
    texts = ["Foo [MASK]<a><b>", "Foo f, it's unwanted <s>"]
    loaded = LxmertTokenizer.from_pretrained(tmp_path)
    assert loaded.settings == tokenizer.settings
    assert loaded.get_vocab() == tokenizer.get_vocab()
    same(loaded, tokenizer, texts, padding=True, truncation=True)
    same(loaded, tokenizer, texts, split_special_tokens=False, return_offsets_mapping=True)
    ids = tokenizer(texts[0], split_special_tokens=False)["input_ids"]
    assert loaded.decode(ids, True) == tokenizer.decode(ids, True) == "Foo <b>"


def test_special_tokens_of_older_folders(tmp_path):
    """Transformers 4 wrote matching rules and further special tokens into special_tokens_map.json."""
    write_vocab(tmp_path / "vocab.txt", CASED)
    token = {"content": "<m>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
    special = {"mask_token": token, "additional_special_tokens": [token | {"content": "<a>"}]}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(special))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<a>": len(CASED), "<b>": len(CASED) + 1}))
    loaded = LxmertTokenizer.from_pretrained(tmp_path)
    assert loaded.all_special_tokens == ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "<m>", "<a>"]
    encoding = loaded("low <m><a><b>", return_offsets_mapping=True)
    assert encoding.tokens() == ["[CLS]", "low", " <m>", "<a>", "<b>", "[SEP]"]
    assert encoding["offset_mapping"][2] == (3, 7), "the rules match the space before it"
    assert loaded.decode(encoding["input_ids"], True) == "low <b>"


def test_the_constructor_of_a_users_class_is_called(tiny_file, tmp_path):
    class Mine(LxmertTokenizerFast):
        def __init__(self, vocab_file, number=3, **options):
            super().__init__(vocab_file, **options)
            self.number = number
            self.add_tokens([f"extra{number}"])

    made = Mine(tiny_file, number=4, do_lower_case=False, padding_side="left", additional_special_tokens=["<x>"])
    made.save_pretrained(tmp_path / "mine")
    loaded = Mine.from_pretrained(tmp_path / "mine", number=5, truncation_side="left")
    assert (type(loaded), loaded.number, loaded.name_or_path) == (Mine, 5, str(tmp_path / "mine"))
    assert loaded.settings == dataclasses.replace(made.settings, truncation_side="left")
    assert loaded.get_added_vocab() == {**made.get_added_vocab(), "extra5": len(made)}
    assert loaded.tokenize("<x> extra4 extra5") == ["<x>", "extra4", "extra5"]
    assert Mine.from_pretrained(tmp_path / "mine").number == 3
    assert Mine.from_pretrained(tiny_file).number == 3
    with pytest.raises(TypeError, match=r"unexpected keyword 'numbr'\. Did you mean 'number'"):
        Mine.from_pretrained(tmp_path / "mine", numbr=5)
