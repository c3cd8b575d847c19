"""Tokenizers: text to ids and back, padding, offsets, added tokens, collators."""

PROGRAMS = {
    "a question and its answer are a pair": """
from transformers import LxmertTokenizerFast
tokenizer = LxmertTokenizerFast(VOCAB)
result = dict(tokenizer("what color is the cat?", "the cat is blue"))
""",
    "vocab is a dict": """
from transformers import BertTokenizer
vocab = {word: number for number, word in enumerate(open(VOCAB).read().split())}
tokenizer = BertTokenizer(vocab=vocab, do_lower_case=False)
result = [tokenizer.encode("What color is the cat ?"), len(tokenizer), tokenizer.is_fast]
""",
    "the documentation's question is truncated and padded": """
from transformers import LxmertTokenizer
tokenizer = LxmertTokenizer.from_pretrained(FOLDERS["LxmertModel"])
inputs = tokenizer(["what color is the cat?", "a dog"], padding="max_length", max_length=20, truncation=True,
    return_token_type_ids=True, return_attention_mask=True, add_special_tokens=True, return_tensors="pt")
result = [dict(inputs), str(inputs["input_ids"].dtype), tuple(inputs.input_ids.shape)]
""",
    "from_pretrained with every keyword that tools pass": """
from transformers import BertTokenizerFast
tokenizer = BertTokenizerFast.from_pretrained(pretrained_model_name_or_path=FOLDERS["VisualBertModel"], use_fast=True,
    trust_remote_code=False, cache_dir=None, local_files_only=True, revision="main", token=None, model_max_length=9)
result = [tokenizer.name_or_path == FOLDERS["VisualBertModel"], tokenizer.model_max_length, tokenizer.vocab_size]
""",
    "from_pretrained reads a vocabulary file": """
from transformers import BertTokenizer
tokenizer = BertTokenizer.from_pretrained(VOCAB, do_lower_case=False)
result = [tokenizer.tokenize("What color, is the cat?"), tokenizer("the cats")["input_ids"]]
""",
    "sides and lengths in the constructor": """
from transformers import BertTokenizerFast
tokenizer = BertTokenizerFast(VOCAB, padding_side="left", truncation_side="left", model_max_length=6,
    model_input_names=["input_ids", "attention_mask"])
result = [dict(tokenizer(["what color is the cat?", "a dog"], padding=True, truncation=True)),
    tokenizer.model_input_names, tokenizer.max_len_single_sentence, tokenizer.max_len_sentences_pair]
""",
    "sides and lengths are set later": """
from transformers import LxmertTokenizer
tokenizer = LxmertTokenizer.from_pretrained(FOLDERS["LxmertModel"])
tokenizer.padding_side, tokenizer.truncation_side, tokenizer.model_max_length = "left", "left", 5
tokenizer.model_input_names = ["input_ids"]
result = [dict(tokenizer(["what color is the cat?", "a"], padding="max_length", truncation=True)),
    tokenizer.padding_side, tokenizer.truncation_side, tokenizer.model_max_length]
""",
    "the padding side of one call": """
from transformers import LxmertTokenizer
tokenizer = LxmertTokenizer.from_pretrained(FOLDERS["LxmertModel"])
left = tokenizer(["a cat", "a"], padding=True, padding_side="left", pad_to_multiple_of=8, return_tensors="np")
result = [dict(left), tokenizer.padding_side, dict(tokenizer(["a cat", "a"], padding="longest"))]
""",
    "additional special tokens in the constructor": """
from transformers import BertTokenizer
tokenizer = BertTokenizer(VOCAB, additional_special_tokens=["<obj>", "<reg>"])
ids = tokenizer("a <obj> cat<reg>")["input_ids"]
result = [ids, tokenizer.decode(ids), tokenizer.decode(ids, skip_special_tokens=True), tokenizer.all_special_tokens,
    tokenizer.all_special_ids, tokenizer.special_tokens_map, tokenizer.extra_special_tokens, len(tokenizer)]
""",
    "add_tokens and resize": """
from transformers import LxmertTokenizer, LxmertModel
tokenizer = LxmertTokenizer.from_pretrained(FOLDERS["LxmertModel"])
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"])
counts = [tokenizer.add_tokens(["mouse", "cat", "mouse"]), tokenizer.add_tokens("tree"), tokenizer.add_tokens([])]
model.resize_token_embeddings(len(tokenizer))
result = [counts, tokenizer.tokenize("the Mouse, a treecat"), tokenizer.get_added_vocab(), len(tokenizer),
    tokenizer.vocab_size, tokenizer.get_vocab() == tokenizer.vocab, model.get_input_embeddings().num_embeddings]
""",
    "add_tokens with AddedToken": """
from tokenizers import AddedToken
from transformers import LxmertTokenizer
tokenizer = LxmertTokenizer.from_pretrained(FOLDERS["LxmertModel"])
count = tokenizer.add_tokens([AddedToken("dog house", lstrip=True), AddedToken("ca", single_word=True)])
special = tokenizer.add_tokens("<x>", special_tokens=True)
ids = tokenizer("a dog house <x> ca cat")["input_ids"]
result = [count, special, ids, tokenizer.decode(ids, skip_special_tokens=True), tokenizer.all_special_tokens]
""",
    "add_special_tokens by name": """
from transformers import BertTokenizer
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"])
special = {"additional_special_tokens": ["<a>", "<b>"], "bos_token": "<s>", "pad_token": "."}
count = tokenizer.add_special_tokens(special)
more = tokenizer.add_special_tokens({"additional_special_tokens": ["<c>", "<a>"]}, False)
result = [count, more, tokenizer.all_special_tokens, tokenizer.convert_tokens_to_ids(["<a>", "<s>", "<c>"]),
    tokenizer.bos_token, tokenizer.bos_token_id, tokenizer.eos_token, tokenizer.pad_token_id, len(tokenizer)]
""",
    "the padding token is set": """
from transformers import BertTokenizer
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"])
tokenizer.pad_token = tokenizer.sep_token
first = dict(tokenizer(["a cat", "a"], padding=True))
tokenizer.pad_token_id = 0
result = [first, tokenizer.pad_token, tokenizer.pad_token_type_id, dict(tokenizer(["a cat", "a"], padding=True))]
""",
    "words that are split already": """
from transformers import LxmertTokenizerFast
tokenizer = LxmertTokenizerFast.from_pretrained(FOLDERS["LxmertModel"])
one = tokenizer(["the", "cats", "playing"], is_split_into_words=True)
several = tokenizer([["the", "cats"], ["a"]], [["two"], ["mat", "?"]], is_split_into_words=True, padding=True)
result = [dict(one), one.word_ids(), dict(several), several.word_ids(0), several.word_ids(1)]
""",
    "labels are aligned with word pieces": """
from transformers import BertTokenizerFast
tokenizer = BertTokenizerFast.from_pretrained(FOLDERS["VisualBertModel"])
words, labels = [["the", "cats", "playing"], ["dogs"]], [[0, 3, 4], [5]]
encoding = tokenizer(words, truncation=True, is_split_into_words=True)
encoding["labels"] = [[-100 if word is None else row[word] for word in encoding.word_ids(batch_index=number)]
    for number, row in enumerate(labels)]
result = encoding.data
""",
    "a long context is read in windows": """
from transformers import BertTokenizerFast
tokenizer = BertTokenizerFast.from_pretrained(FOLDERS["VisualBertModel"])
contexts = ["the cat is on the mat .", "a dog is on a red mat , where two dogs play ."]
windows = tokenizer(["what color?", "where is the dog?"], contexts,
    truncation="only_second", max_length=12, stride=2, return_overflowing_tokens=True, return_offsets_mapping=True,
    padding="max_length")
result = [dict(windows), [windows.sequence_ids(i) for i in range(len(windows["input_ids"]))]]
""",
    "one text in windows": """
from transformers import BertTokenizerFast
tokenizer = BertTokenizerFast.from_pretrained(FOLDERS["VisualBertModel"])
windows = tokenizer("the cat is on the mat .", max_length=5, truncation=True, stride=1, return_overflowing_tokens=True,
    return_length=True)
result = [dict(windows), len(windows.encodings)]
""",
    "an answer is found by its characters": """
from transformers import BertTokenizerFast
tokenizer = BertTokenizerFast.from_pretrained(FOLDERS["VisualBertModel"])
question, context = "what color is the cat?", "the cat on the mat is blue."
encoding = tokenizer(question, context, return_offsets_mapping=True)
token = encoding.char_to_token(context.index("blue"), sequence_index=1)
start, end = encoding["offset_mapping"][token]
result = [token, context[start:end], encoding.char_to_token(0, 5), encoding.token_to_chars(token), encoding.n_sequences]
""",
    "places of words, tokens and characters": """
from transformers import BertTokenizerFast
tokenizer = BertTokenizerFast.from_pretrained(FOLDERS["VisualBertModel"])
encoding = tokenizer(["the cats , playing", "a"], ["two dogs", "mat"])
result = [encoding.tokens(), encoding.tokens(1), encoding.word_ids(), encoding.sequence_ids(1),
    encoding.token_to_word(3),
    encoding.token_to_word(1, 0), encoding.token_to_sequence(0, 8), encoding.word_to_tokens(1), encoding.is_fast,
    encoding.word_to_tokens(0, 1, sequence_index=1), encoding.word_to_chars(0, 1), encoding.char_to_word(0, 5),
    encoding.token_to_chars(0, 0), encoding[1].tokens, [part.ids for part in encoding[:2]], encoding.encodings[0].ids]
""",
    "an encoding is a mapping with attributes": """
from transformers import BertTokenizer
encoding = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"])("a cat")
names = [list(encoding.keys()), "input_ids" in encoding, len(encoding), encoding.get("labels"), [*encoding]]
removed = encoding.pop("token_type_ids")
encoding["labels"] = [1]
result = [names, removed, encoding.labels, {**encoding}, encoding.copy()["labels"], list(encoding.items())]
""",
    "an encoding moves to a device": """
from transformers import BertTokenizer
inputs = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"])("a cat", return_tensors="pt")
inputs["image_id"] = "17"
moved = inputs.to("cpu")
result = [moved is inputs, dict(moved), inputs.to("cpu", non_blocking=True)["input_ids"].device.type]
""",
    "an encoding is converted later": """
import torch
from transformers import BertTokenizer
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"])
one, two = tokenizer("a cat"), tokenizer(["a cat", "a dog"])
one["score"] = 0.5
one.convert_to_tensors("pt", prepend_batch_axis=True)
result = [dict(one), str(one["score"].dtype), dict(two.convert_to_tensors("np")), torch.is_tensor(one.input_ids)]
""",
    "pad collates encodings": """
from transformers import BertTokenizer
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"])
features = [tokenizer(text, return_special_tokens_mask=True) for text in ("the cat is blue", "a")]
for number, feature in enumerate(features):
    feature["labels"] = number
result = [dict(tokenizer.pad(features, return_tensors="pt")), dict(tokenizer.pad(features, pad_to_multiple_of=8)),
    dict(tokenizer.pad({"input_ids": [[5, 6], [7]]}, padding="max_length", max_length=4, padding_side="left"))]
""",
    "pad of one row and of tensors": """
import torch
from transformers import BertTokenizer
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"])
tensors = tokenizer.pad([{"input_ids": torch.tensor([2, 5, 3])}, {"input_ids": torch.tensor([2, 3])}])
result = [dict(tokenizer.pad({"input_ids": [2, 5, 3]}, padding="max_length", max_length=5)), dict(tensors),
    torch.is_tensor(tensors["attention_mask"]), dict(tokenizer.pad({"input_ids": [[2], [2, 3]]}, padding=False)),
    dict(tokenizer.pad({"input_ids": [[2], [2, 3]]}, return_attention_mask=False)),
    dict(tokenizer.pad({"input_ids": []}))]
""",
    "DataCollatorWithPadding": """
from torch.utils.data import DataLoader
from transformers import LxmertTokenizer
from transformers import DataCollatorWithPadding
tokenizer = LxmertTokenizer.from_pretrained(FOLDERS["LxmertModel"])
rows = [{**tokenizer(text), "label": number} for number, text in enumerate(["the cat", "a", "where is the dog ?"])]
loader = DataLoader(rows, batch_size=2, collate_fn=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=4))
result = [dict(batch) for batch in loader]
""",
    "DataCollatorForLanguageModeling": """
import torch
from transformers import LxmertTokenizer
from transformers import DataCollatorForLanguageModeling
tokenizer = LxmertTokenizer.from_pretrained(FOLDERS["LxmertModel"])
collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.5)
torch.manual_seed(3)
result = [dict(collate([tokenizer(text, return_special_tokens_mask=mask) for text in ("the cat is blue", "a dog")]))
    for mask in (True, False)]
""",
    "whole words are masked": """
from transformers import LxmertTokenizerFast
from transformers import DataCollatorForLanguageModeling
tokenizer = LxmertTokenizerFast.from_pretrained(FOLDERS["LxmertModel"])
collate = DataCollatorForLanguageModeling(tokenizer, whole_word_mask=True, mlm_probability=0.5, seed=1)
rows = [tokenizer(text, return_offsets_mapping=True) for text in ("cats playing", "dogs playing")]
result = dict(collate(rows))
""",
    "DataCollatorForTokenClassification": """
from transformers import BertTokenizerFast
from transformers import DataCollatorForTokenClassification
tokenizer = BertTokenizerFast.from_pretrained(FOLDERS["VisualBertModel"])
rows = [{**tokenizer("the cats"), "labels": [-100, 0, 1, 1, -100]}, {**tokenizer("a"), "labels": [-100, 2, -100]}]
result = dict(DataCollatorForTokenClassification(tokenizer)(rows))
""",
    "decoding one row, several, and a tensor": """
import torch
from transformers import BertTokenizerFast
tokenizer = BertTokenizerFast.from_pretrained(FOLDERS["VisualBertModel"])
rows = tokenizer(["the cats , playing", "a dog ?"], padding=True)["input_ids"]
result = [tokenizer.decode(rows[0]), tokenizer.decode(rows), tokenizer.decode(torch.tensor(rows)), tokenizer.decode(8),
    tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=True),
    tokenizer.batch_decode(rows[1]), tokenizer.decode(token_ids=torch.tensor(rows[0]), skip_special_tokens=True)]
""",
    "tokens, ids and strings": """
from transformers import BertTokenizer
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"])
tokens = tokenizer.tokenize("The cats, playing!")
ids = tokenizer.convert_tokens_to_ids(tokens)
result = [tokens, ids, tokenizer.convert_ids_to_tokens(ids), tokenizer.convert_tokens_to_string(tokens),
    tokenizer.tokenize("a cat", "a dog", add_special_tokens=True), tokenizer.convert_ids_to_tokens([2, 8, 3], True),
    tokenizer.convert_tokens_to_ids("cat"), tokenizer.convert_ids_to_tokens(8), tokenizer.encode("a", "cat", False)]
""",
    "encode with every usual option": """
from transformers import BertTokenizer
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"])
result = [tokenizer.encode("the cat", add_special_tokens=False), tokenizer.encode("the cat", "a dog", max_length=5),
    tokenizer.encode("the cat", return_tensors="pt"), tokenizer.encode("a", padding="max_length", max_length=5),
    tokenizer.encode(["a", "cat"], is_split_into_words=True),
    tokenizer.encode("a cat is", truncation=True, max_length=4)]
""",
    "special tokens and their ids": """
from transformers import BertTokenizer
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"])
result = [tokenizer.special_tokens_map, tokenizer.all_special_tokens, tokenizer.all_special_ids, tokenizer.mask_token,
    tokenizer.mask_token_id, tokenizer.unk_token_id, tokenizer.bos_token, tokenizer.eos_token_id,
    tokenizer.num_special_tokens_to_add(), tokenizer.num_special_tokens_to_add(pair=True), tokenizer.padding_side,
    tokenizer.get_special_tokens_mask([2, 8, 3, 0], already_has_special_tokens=True), tokenizer.added_tokens_encoder]
""",
    "special tokens in a text are split": """
from transformers import BertTokenizer
tokenizer = BertTokenizer(VOCAB, split_special_tokens=True)
plain = BertTokenizer(VOCAB)
result = [tokenizer("a [MASK]")["input_ids"], tokenizer.split_special_tokens, plain("a [MASK]")["input_ids"],
    plain("a [MASK]", split_special_tokens=True)["input_ids"], plain("a [MASK]")["input_ids"]]
""",
    "another mask token, with rules": """
from tokenizers import AddedToken
from transformers import BertTokenizerFast
tokenizer = BertTokenizerFast(VOCAB, mask_token=AddedToken("<mask>", lstrip=True), cls_token="a",
    extra_special_tokens=["<x>"])
tokenizer.add_special_tokens({"sep_token": "?"})
encoding = tokenizer("the <mask> cat", return_offsets_mapping=True)
result = [encoding["input_ids"][1:-1], encoding["offset_mapping"][1:-1], tokenizer.mask_token_id, tokenizer.cls_token]
""",
    "the tokenizers library below": """
from transformers import BertTokenizerFast
tokenizer = BertTokenizerFast.from_pretrained(FOLDERS["VisualBertModel"])
backend = tokenizer.backend_tokenizer
result = [backend.encode("the cats").tokens, backend.normalizer.normalize_str("The CAT"), type(backend).__name__,
    backend.pre_tokenizer.pre_tokenize_str("a cat?"), tokenizer.decoder.decode(["cat", "##s"])]
""",
    "a tokenizers.Tokenizer is wrapped": """
from tokenizers import Tokenizer
from transformers import BertTokenizerFast
backend = BertTokenizerFast(VOCAB).backend_tokenizer
tokenizer = BertTokenizerFast(tokenizer_object=Tokenizer.from_str(backend.to_str()), vocab=None)
result = tokenizer.convert_ids_to_tokens(backend.encode("a cat").ids)
""",
    "targets become labels": """
from transformers import BertTokenizer
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"])
result = [dict(tokenizer("a cat", text_target="the dog")), dict(tokenizer(text_target=["the dog", "a"], padding=True)),
    dict(tokenizer(["a"], text_target=["cat"], return_tensors="pt"))]
""",
    "a tokenizer is saved and loaded": """
from transformers import LxmertTokenizer
from transformers import AutoTokenizer
tokenizer = LxmertTokenizer.from_pretrained(FOLDERS["LxmertModel"], model_max_length=20, padding_side="left")
tokenizer.add_special_tokens({"additional_special_tokens": ["<reg>"]})
tokenizer.add_tokens(["mouse"])
tokenizer.save_pretrained("saved")
result = [[dict(each(["a mouse <reg>", "a"], padding=True)), each.all_special_tokens, each.model_max_length, len(each)]
    for each in (LxmertTokenizer.from_pretrained("saved"), AutoTokenizer.from_pretrained("saved"))]
""",
    "a tokenizer is pickled and copied": """
import copy, pickle
from transformers import LxmertTokenizer
tokenizer = LxmertTokenizer.from_pretrained(FOLDERS["LxmertModel"], do_lower_case=False)
tokenizer.add_tokens(["Mouse"])
encoding = tokenizer("a Mouse")
other = pickle.loads(pickle.dumps(tokenizer))
result = [copy.deepcopy(tokenizer)("The Mouse")["input_ids"], other("Mouse")["input_ids"],
    dict(copy.deepcopy(encoding)), pickle.loads(pickle.dumps(encoding)).tokens()]
""",
    "enumerations of transformers": """
from transformers.utils import PaddingStrategy, TensorType
from transformers.tokenization_utils_base import TruncationStrategy
from transformers import BertTokenizer
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"])
result = dict(tokenizer(["the cat is", "a"], padding=PaddingStrategy.MAX_LENGTH, max_length=4,
    truncation=TruncationStrategy.LONGEST_FIRST, return_tensors=TensorType.PYTORCH))
""",
    "a data set is tokenized with map's function": """
from transformers import LxmertTokenizerFast
tokenizer = LxmertTokenizerFast.from_pretrained(FOLDERS["LxmertModel"])
def tokenize(examples):
    return tokenizer(examples["question"], examples["sentence"], truncation=True, max_length=6, padding="max_length")
result = dict(tokenize({"question": ["what color ?", "where"], "sentence": ["the cat is blue", "on the mat"]}))
""",
    "a model takes what the tokenizer gives": """
from transformers import LxmertTokenizer, LxmertModel
tokenizer = LxmertTokenizer.from_pretrained(FOLDERS["LxmertModel"])
model = LxmertModel.from_pretrained(FOLDERS["LxmertModel"]).eval()
text = tokenizer(["what color is the cat?", "a dog"], padding=True, return_tensors="pt").to("cpu")
visual = {name: INPUTS[name] for name in ("visual_feats", "visual_pos")}
result = model(**text, **visual)["language_output"]
""",
    "never_split without basic tokenization": """
from transformers import BertTokenizer
tokenizer = BertTokenizer(VOCAB, do_basic_tokenize=False, never_split=["tree"])
result = tokenizer("a cat")["input_ids"]
""",
    "empty texts": """
from transformers import BertTokenizer
tokenizer = BertTokenizer(VOCAB)
result = [tokenizer("").input_ids, tokenizer(["", "a"], padding=True).input_ids, tokenizer("a", "").input_ids,
    tokenizer(["a"], [""]).input_ids, tokenizer.tokenize(""), tokenizer.encode(" ", add_special_tokens=False),
    tokenizer.decode([]), tokenizer.batch_decode([[], [5]])]
""",
    "odd characters and long words": """
from transformers import BertTokenizer
tokenizer = BertTokenizer(VOCAB)
texts = ["a" * 101, "cat" * 40, "\u00e9\u4e2d\uff21\u200b \u00a0a", "e\u0301", "\U0001f600", "Ca\u0308t"]
result = tokenizer(texts).input_ids, BertTokenizer(VOCAB, strip_accents=False).tokenize("c\u00e4t")
""",
    "a vocabulary without special tokens": """
from transformers import BertTokenizerFast
vocab = {word: number for number, word in enumerate("[UNK] the cat ##s".split())}
tokenizer = BertTokenizerFast(vocab=vocab)
ids = tokenizer("the cats [MASK]", padding="max_length", max_length=8)["input_ids"]
result = len(tokenizer), tokenizer.get_added_vocab(), ids
""",
    "a word is masked and found again": """
from transformers import BertTokenizer
tokenizer = BertTokenizer(VOCAB)
inputs = tokenizer("the [MASK] is blue", return_tensors="pt")
places = (inputs.input_ids == tokenizer.mask_token_id).nonzero(as_tuple=True)
result = [place.tolist() for place in places], tokenizer.tokenize("the [MASK]ed [mask]")
""",
    "every way to truncate a pair": """
from transformers import BertTokenizer
tokenizer = BertTokenizer(VOCAB)
result = [tokenizer("the cat is blue", "a dog on the mat", truncation=cut, max_length=length).input_ids
    for cut in (True, "longest_first", "only_first", "only_second") for length in (9, 10, 20)]
""",
    "an encoding is changed": """
import json
from transformers import BertTokenizer
tokenizer = BertTokenizer(VOCAB)
encoding = tokenizer("a cat")
encoding.update({"x": 1})
encoding.note = 3
del encoding["token_type_ids"]
result = json.dumps(dict(encoding)), encoding.setdefault("y", 2), encoding.note, encoding == tokenizer("a cat")
""",
    "default_data_collator": """
from transformers import default_data_collator
from transformers import BertTokenizer
tokenizer = BertTokenizer(VOCAB)
rows = [{**tokenizer(text, padding="max_length", max_length=5), "label": 1} for text in ("a cat", "the dog")]
result = dict(default_data_collator(rows))
""",
    "DataCollatorForSeq2Seq": """
from transformers import DataCollatorForSeq2Seq
from transformers import BertTokenizer
tokenizer = BertTokenizer(VOCAB)
rows = [tokenizer(text, text_target=text) for text in ("a cat", "the dog is")]
result = dict(DataCollatorForSeq2Seq(tokenizer)(rows))
""",
    "special tokens of a folder are overridden": """
from transformers import BertTokenizer
tokenizer = BertTokenizer.from_pretrained(FOLDERS["VisualBertModel"], cls_token="a", mask_token="cat",
    additional_special_tokens=["blue"])
result = tokenizer("the").input_ids, tokenizer.mask_token_id, tokenizer.all_special_tokens, tokenizer.cls_token
""",
}
