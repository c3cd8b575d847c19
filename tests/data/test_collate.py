"""Batches for pre-training: what is hidden, what was there, and that all parts of a batch are cut from one whole."""

import pickle

import numpy as np
import pytest

from lxmert.common.specs import LOSS_NAMES
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.collate.masking import Masking
from lxmert.data.collate.pretraining import PretrainingData
from lxmert.data.datasets import Sentences
from lxmert.data.features import RegionWriter, open_regions

FEATURE = 4
REGIONS = [2, 5, 3, 1, 4, 5]  # of image0, image1, ...
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "what", "is", "?"]
WORDS += ["dog", "cat", "zebra", "##s", "red", "blue", "colour", "left", "runs", "sits"]
TABLE = ["red", "blue", "gray", "2"]
ALL = Masking(1, 1, 0, 1, 1, 0, 1)
NOTHING = Masking(word_rate=0, region_rate=0, mismatch_rate=0)
# (text, image, answers)
ROWS = [
    ("a red dog runs", "image0", None),
    ("what colour is the dog ?", "image0", {"red": 1.0}),
    ("the blue cat sits", "image1", None),
    ("what colour is the cat ?", "image1", {"blue": 0.3, "red": 0.9}),
    ("the dogs", "image2", {"purple": 1.0}),
    ("is the zebra left ?", "image3", {"Two": 0.6, "purple": 1.0}),
    ("", "image4", {}),
    ("a cat is left the dog sits what the zebra is red blue", "image5", None),
]
ROW_NUMBERS = np.arange(len(ROWS))


def write_store(folder, counts, labels=True):
    random = np.random.default_rng(1)
    with RegionWriter(folder, dtype="float32") as writer:
        for image, count in enumerate(counts):
            # The first number of a feature tells whose it is.
            features = random.uniform(1, 2, (count, FEATURE)).astype(np.float32)
            features[:, 0] = 100 * (image + 1) + np.arange(count)
            corner = random.uniform(0, 50, (count, 2))
            boxes = np.concatenate([corner, corner + random.uniform(1, 30, (count, 2))], 1).astype(np.float32)
            described = dict(
                object_ids=random.integers(6, size=count),
                object_confidence=random.uniform(0.1, 1, count).astype(np.float32),
                attribute_ids=random.integers(4, size=count),
                attribute_confidence=random.uniform(0.1, 1, count).astype(np.float32),
            )
            writer.add(f"image{image}", features, boxes, size=(90, 100), **(described if labels else {}))
    return open_regions(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("stores") / "ragged", REGIONS)


@pytest.fixture(scope="module")
def even_store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("stores") / "even", [3] * len(REGIONS))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return LxmertTokenizer(path)


def sentences(rows=ROWS):
    texts, images, answers = (list(column) for column in zip(*rows, strict=True))
    return Sentences(texts, images, ["made"] * len(texts), answers, ("made.json",))


@pytest.fixture
def make(store, tokenizer):
    def data(rows=ROWS, **options):
        options = {"store": store, "answers": TABLE, "text_length": 8, **options}
        return PretrainingData(sentences(rows), options.pop("store"), tokenizer, **options)

    return data


def batch(data, rows=ROW_NUMBERS, seed=0, part=slice(None)):
    return data.batch(np.asarray(rows), np.random.default_rng(seed), part)


def flat(inputs):
    """Every array by name."""
    labels = inputs.get("obj_labels", {})
    return {name: value for name, value in inputs.items() if name != "obj_labels"} | {
        f"{key}[{place}]": array for key, pair in labels.items() for place, array in enumerate(pair)
    }


def test_names_shapes_and_kinds(make):
    inputs, counts = batch(make())
    count, length, regions = len(ROWS), 8, 5
    found = {name: (array.dtype.name, array.shape) for name, array in flat(inputs).items()}
    assert found == {
        **{name: ("int64", (count, length)) for name in ("input_ids", "token_type_ids", "attention_mask", "labels")},
        "visual_feats": ("float32", (count, regions, FEATURE)),
        "visual_pos": ("float32", (count, regions, 4)),
        "visual_attention_mask": ("float32", (count, regions)),
        "matched_label": ("int64", (count,)),
        "ans": ("int64", (count,)),
        "obj[0]": ("int64", (count, regions)),
        "obj[1]": ("float32", (count, regions)),
        "attr[0]": ("int64", (count, regions)),
        "attr[1]": ("float32", (count, regions)),
        "feat[0]": ("float32", (count, regions, FEATURE)),
        "feat[1]": ("float32", (count, regions)),
    }
    assert set(counts) == set(LOSS_NAMES)
    assert all(type(value) is float for value in counts.values())


def test_nothing_hidden_is_what_the_tokenizer_and_the_store_give(make, store, tokenizer):
    inputs, counts = batch(make(masking=NOTHING))
    text = tokenizer(
        [text for text, _, _ in ROWS], padding="max_length", truncation=True, max_length=8, return_tensors="np"
    )
    for name in ("input_ids", "token_type_ids", "attention_mask"):
        np.testing.assert_array_equal(inputs[name], text[name])
    found = store.batch(store.places([image for _, image, _ in ROWS]), 5, labels=True)
    for name in ("visual_feats", "visual_pos", "visual_attention_mask"):
        np.testing.assert_array_equal(inputs[name], found[name])
    assert (inputs["labels"] == -100).all()
    assert (inputs["matched_label"] == 1).all()
    assert (inputs["obj_labels"]["feat"][1] == 0).all()
    assert counts == {"words": 0, "match": 8, "objects": 40, "attributes": 40, "features": 40, "answers": 3}


def test_every_word_hidden_but_no_special_one(make, tokenizer):
    inputs, counts = batch(make(masking=Masking(word_rate=1, word_masked=1, word_random=0, mismatch_rate=0)))
    mask = tokenizer.mask_token_id
    for ids, labels, (text, _, _) in zip(inputs["input_ids"], inputs["labels"], ROWS, strict=True):
        pieces = tokenizer(text, add_special_tokens=False)["input_ids"][:6]
        padding = 6 - len(pieces)
        assert ids.tolist() == [2, *[mask] * len(pieces), 3, *[0] * padding]
        assert labels.tolist() == [-100, *pieces, -100, *[-100] * padding]
    assert counts["words"] == (inputs["labels"] != -100).sum() > 20


def test_an_image_keeps_its_boxes_objects_and_attributes_whatever_is_hidden(make, store):
    inputs, _ = batch(make(masking=ALL))
    found = store.batch(store.places([image for _, image, _ in ROWS]), 5, labels=True)
    np.testing.assert_array_equal(inputs["visual_pos"], found["visual_pos"])
    np.testing.assert_array_equal(inputs["visual_attention_mask"], found["visual_attention_mask"])
    labels = inputs["obj_labels"]
    np.testing.assert_array_equal(labels["obj"], (found["object_ids"], found["object_confidence"]))
    np.testing.assert_array_equal(labels["attr"], (found["attribute_ids"], found["attribute_confidence"]))
    # The label of a feature is what was there before it was hidden, and counts where there is a region.
    np.testing.assert_array_equal(labels["feat"][0], found["visual_feats"])
    np.testing.assert_array_equal(labels["feat"][1], found["visual_attention_mask"])
    assert (inputs["visual_feats"] == 0).all()
    padded = found["visual_attention_mask"] == 0
    assert padded.any()
    assert (labels["obj"][0][padded] == -100).all()
    assert (labels["obj"][1][padded] == 0).all()
    assert (labels["attr"][0][padded] == -100).all()
    assert (labels["attr"][1][padded] == 0).all()


def test_hidden_features_are_zeros_or_those_of_any_region(make, store):
    data = make()
    everything = store.batch(np.arange(len(REGIONS)), 5)
    real = everything["visual_feats"][everything["visual_attention_mask"] == 1]
    kinds = np.zeros(4, int)
    for seed in range(60):
        inputs, _ = batch(data, seed=seed)
        features, (label, selected) = inputs["visual_feats"], inputs["obj_labels"]["feat"]
        there = inputs["visual_attention_mask"] == 1
        zero, same = (features == 0).all(-1), (features == label).all(-1)
        lent = ~zero & ~same
        assert (selected[there & (zero | lent)] == 1).all()
        assert same[selected == 0].all()
        for feature in features[lent]:
            assert (real == feature).all(-1).any()
        kinds += [(selected == 1).sum(), (there & zero).sum(), lent.sum(), (there & (selected == 1) & same).sum()]
    assert kinds[0] == kinds[1:].sum()
    assert (kinds[1:] > 0).all()
    assert kinds[1] > kinds[2] + kinds[3]


def test_a_region_that_stands_in_is_that_of_a_random_sentence(make):
    # image1 has five regions and three of four sentences, image3 has one of both.
    rows = [("a dog", "image1", None)] * 3 + [("a cat", "image3", None)]
    data = make(rows, masking=Masking(region_rate=1, region_zeroed=0, region_random=1))
    inputs, _ = batch(data, np.tile(np.arange(4), 500))
    lenders, counts = np.unique(inputs["visual_feats"][inputs["visual_attention_mask"] == 1][:, 0], return_counts=True)
    assert lenders.tolist() == [200, 201, 202, 203, 204, 400]
    share = counts / counts.sum()
    np.testing.assert_allclose(share, [0.15, 0.15, 0.15, 0.15, 0.15, 0.25], atol=0.02)


def test_an_image_without_regions_lends_zeros(make, tmp_path):
    rows = [("a dog", "image0", None), ("a cat", "image1", None)]
    masking = Masking(region_rate=1, region_zeroed=0, region_random=1, mismatch_rate=0)
    data = make(rows, store=write_store(tmp_path / "empty", [0, 2]), masking=masking)
    inputs, _ = batch(data, np.tile([0, 1], 30))
    assert (inputs["visual_attention_mask"] == np.tile([[0.0, 0.0], [1.0, 1.0]], (30, 1))).all()
    assert (inputs["visual_feats"][::2] == 0).all()
    assert set(inputs["visual_feats"][1::2, :, 0].ravel().tolist()) == {0.0, 200.0, 201.0}


def test_a_mismatched_pair_has_the_words_of_another_image_and_no_answer(make, tokenizer):
    data = make(masking=Masking(word_rate=1, word_masked=1, word_random=0, region_rate=0))
    images_of = {}
    for text, image, _ in ROWS:
        pieces = tokenizer(text, add_special_tokens=False)["input_ids"][:6]
        images_of[tuple(pieces)] = image
    seen = set()
    for seed in range(30):
        inputs, counts = batch(data, seed=seed)
        for row, (_, image, _) in enumerate(ROWS):
            labels = inputs["labels"][row]
            owner = images_of[tuple(labels[labels != -100].tolist())]
            matched = inputs["matched_label"][row]
            assert (owner == image) == (matched == 1)
            # The image stays the example's own.
            assert inputs["visual_feats"][row, 0, 0] == 100 * (int(image[-1]) + 1)
            if not matched:
                assert inputs["ans"][row] == -100
            seen.add((row, int(matched)))
        assert counts["answers"] == (inputs["ans"] != -100).sum()
    assert len(seen) == 2 * len(ROWS)


def test_answers(make):
    data = make(masking=NOTHING)
    found = [set() for _ in ROWS]
    for seed in range(40):
        for row, answer in enumerate(batch(data, seed=seed)[0]["ans"].tolist()):
            found[row].add(answer)
    none = {-100}
    # "Two" is the table's "2"; "purple" is outside of it, alone or beside others.
    assert found == [none, {0}, none, {0, 1}, none, {3}, none, none]
    assert data.outside == 1


def test_answers_are_drawn_by_their_scores(make):
    data = make([*ROWS[3:4], *ROWS[:1]], masking=NOTHING)
    answers = batch(data, np.zeros(4000, int))[0]["ans"]
    assert set(answers.tolist()) == {0, 1}
    assert (answers == 0).mean() == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(
    "answers", [{"gray": 0.9, "grey": 0.3, "red": 0.3}, {"grey": 0.3, "red": 0.3, "gray": 0.9}], ids=["first", "last"]
)
def test_two_spellings_of_one_answer_count_as_in_the_original(make, answers):
    data = make([("what colour ?", "image0", answers), ROWS[2]], masking=NOTHING)
    found = batch(data, np.zeros(4000, int))[0]["ans"]
    assert (found == 2).mean() == pytest.approx(0.5, abs=0.04)


def test_parts_are_cut_from_one_whole(make):
    # Much is hidden, and mostly by other regions: the parts have to agree which.
    masking = Masking(0.5, 0.2, 0.5, 0.6, 0.2, 0.7)
    data, rows = make(masking=masking), np.array([7, 3, 3, 0, 5, 1, 6, 2, 4, 3])
    whole = batch(data, rows, seed=4)
    parts = [batch(data, rows, 4, part) for part in (slice(0, 3), slice(3, 7), slice(7, 10))]
    for name, array in flat(whole.inputs).items():
        joined = np.concatenate([flat(part.inputs)[name] for part in parts])
        np.testing.assert_array_equal(joined, array, err_msg=name)
    assert all(part.counts == whole.counts for part in parts)
    strided = batch(data, rows, 4, slice(1, None, 2))
    for name, array in flat(whole.inputs).items():
        np.testing.assert_array_equal(flat(strided.inputs)[name], array[1::2], err_msg=name)


def test_a_part_leaves_the_generator_where_the_whole_does(make):
    data = make()
    after = []
    for part in (slice(None), slice(0, 1)):
        random = np.random.default_rng(3)
        data.batch(ROW_NUMBERS, random, part)
        after.append(random.random())
    assert after[0] == after[1]


def test_equal_seeds_give_equal_batches_in_another_process_too(make):
    data = make()
    first, other = batch(data, seed=8), batch(data, seed=9)
    copied = batch(pickle.loads(pickle.dumps(data)), seed=8)
    for name, array in flat(first.inputs).items():
        np.testing.assert_array_equal(flat(copied.inputs)[name], array, err_msg=name)
    assert any((array != flat(other.inputs)[name]).any() for name, array in flat(first.inputs).items())


@pytest.mark.parametrize("left_out", [loss for loss in LOSS_NAMES if loss != "match"])
def test_a_loss_left_out_takes_its_labels_away_and_nothing_else(make, left_out):
    whole = flat(batch(make())[0])
    inputs, counts = batch(make(losses=[loss for loss in LOSS_NAMES if loss != left_out]))
    names = {"words": "labels", "objects": "obj", "attributes": "attr", "features": "feat", "answers": "ans"}
    gone = {name for name in whole if name.split("[")[0] == names[left_out]}
    assert gone
    assert flat(inputs).keys() == whole.keys() - gone
    for name, array in flat(inputs).items():
        np.testing.assert_array_equal(array, whole[name], err_msg=name)
    assert left_out not in counts


def test_without_the_match_no_sentence_is_replaced(make):
    inputs, counts = batch(make(losses=("words", "answers"), masking=ALL))
    assert set(inputs) == {
        *("input_ids", "token_type_ids", "attention_mask", "labels"),
        *("visual_feats", "visual_pos", "visual_attention_mask", "ans"),
    }
    assert counts.keys() == {"words", "answers"}
    assert counts["answers"] == 3
    assert (inputs["ans"] != -100).tolist() == [False, True, False, True, False, True, False, False]


def test_equal_numbers_of_regions_need_no_mask(make, even_store):
    assert "visual_attention_mask" not in batch(make(store=even_store))[0]
    assert "visual_attention_mask" not in batch(make(store=even_store, regions=2))[0]
    assert "visual_attention_mask" in batch(make(store=even_store, regions=4))[0]


def test_fewer_regions_are_the_first_ones(make, store):
    inputs, counts = batch(make(regions=2, masking=NOTHING))
    assert inputs["visual_feats"].shape == (8, 2, FEATURE)
    assert inputs["visual_feats"][2, :, 0].tolist() == [200, 201]
    assert inputs["visual_feats"][5, :, 0].tolist() == [400, 0]
    assert counts["objects"] == 16


def test_a_store_without_objects_serves_the_other_losses(make, tmp_path):
    store = write_store(tmp_path / "plain", REGIONS, labels=False)
    inputs, _ = batch(make(store=store, losses=("words", "match", "features", "answers")))
    assert inputs["obj_labels"].keys() == {"feat"}
    for task in ("objects", "attributes"):
        with pytest.raises(ValueError, match="the region store has images without"):
            make(store=store, losses=("words", task))


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (ROWS, {"losses": ("words", "colour")}, "losses must be some of words, match, .* answers; got colour"),
        (ROWS, {"losses": ()}, "losses must be some of words, .*; got none"),
        ([*ROWS, ("a dog", "image9", None)], {}, "image9"),
        (ROWS, {"answers": ["green"]}, "no answer of made.json is in the table of 1 answers; the first one is 'red'"),
        (ROWS, {"text_length": 2}, "text_length must be at least 3, for .*; got 2"),
        (ROWS, {"regions": 0}, "regions must be 1 or more, .*; got 0"),
    ],
    ids=["unknown loss", "no loss", "missing image", "another table", "no room for words", "no region"],
)
def test_wrong_arguments(make, rows, options, message):
    with pytest.raises(ValueError, match=message):
        make(rows, **options)


def test_no_sentences(store, tokenizer):
    with pytest.raises(ValueError, match=r"empty\.json must have at least one sentence; got none"):
        PretrainingData(Sentences([], [], [], [], ("empty.json",)), store, tokenizer, TABLE)


def test_captions_alone_have_no_answers(make):
    inputs, counts = batch(make([row for row in ROWS if row[2] is None]), np.arange(3))
    assert (inputs["ans"] == -100).all()
    assert counts["answers"] == 0


def test_a_pretraining_model_takes_a_batch(make):
    torch = pytest.importorskip("torch")
    from lxmert.pt import LxmertForPreTraining
    from tests.small import small_config

    config = small_config(vocab_size=len(WORDS), num_qa_labels=len(TABLE), visual_feat_dim=FEATURE)
    inputs, _ = batch(make())

    def tensors(value):
        if isinstance(value, dict):
            return {name: tensors(part) for name, part in value.items()}
        return tuple(map(tensors, value)) if isinstance(value, tuple) else torch.as_tensor(value)

    loss = LxmertForPreTraining(config)(**tensors(inputs)).loss
    assert torch.isfinite(loss)
