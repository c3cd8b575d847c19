"""Bulk answering and matching: what the model says of each question alone, in both backends, with the least work."""

import gc
import weakref

import numpy as np
import pytest
import torch

import lxmert.inference.pt
import lxmert.inference.tf
import lxmert.pt
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.collate import pairs
from lxmert.data.datasets import Questions
from lxmert.data.features import RegionWriter, open_regions
from lxmert.inference.bulk import answer_questions, match
from tests.compare import assert_same
from tests.models import new_tf, pt_model, small, tf_model

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "what", "is", "?", "dog", "cat", "red", "blue"]
COUNTS = [2, 5, 3, 1, 4, 5, 5, 2, 3]
ANSWERS = [f"answer {number}" for number in range(6)]
CONFIG = small("2/2/1", vocab_size=len(WORDS))
TEXT_LENGTH = 8
BACKENDS = {"pt": lxmert.inference.pt, "tf": lxmert.inference.tf}


def write_store(folder, counts):
    draw = np.random.default_rng(1)
    with RegionWriter(folder, dtype="float32") as writer:
        for number, count in enumerate(counts):
            corner = draw.uniform(0, 50, (count, 2))
            boxes = np.concatenate([corner, corner + draw.uniform(1, 30, (count, 2))], 1).astype(np.float32)
            writer.add(f"image{number}", draw.standard_normal((count, 11)).astype(np.float32), boxes, size=(90, 100))
    return open_regions(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("stores") / "ragged", COUNTS)


@pytest.fixture(scope="module")
def even_store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("stores") / "even", [4] * len(COUNTS))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n")
    return LxmertTokenizer(str(path))


@pytest.fixture(scope="module")
def questions():
    """Pairs of image and question, of every length up to more than is read, in no order, some twice."""
    draw = np.random.default_rng(2)
    made = []
    for _ in range(40):
        length = int(draw.integers(0, TEXT_LENGTH + 2))
        text = " ".join(WORDS[i] for i in draw.integers(5, len(WORDS), length))
        made.append((f"image{draw.integers(len(COUNTS))}", text))
    return [*made, made[0], made[7]]


def models(name, dtype="float64"):
    return {"pt": pt_model(CONFIG, name, dtype), "tf": tf_model(CONFIG, name, dtype)}


def alone(model, tokenizer, store, question, **labels):
    """The outputs of the PyTorch model on one question alone."""
    image, text = question
    inputs = tokenizer([text], truncation=True, max_length=TEXT_LENGTH, return_tensors="np")
    regions = store.batch(store.places([image]))
    dtype = next(model.parameters()).dtype
    given = {**{name: inputs[name] for name in ("input_ids", "attention_mask", "token_type_ids")}, **regions}
    with torch.no_grad():
        tensors = {name: torch.from_numpy(x) for name, x in given.items()}
        return model(**{name: x.to(dtype) if x.is_floating_point() else x for name, x in tensors.items()})


def answer(model, tokenizer, questions, store, **options):
    return list(answer_questions(model, tokenizer, questions, store, ANSWERS, text_length=TEXT_LENGTH, **options))


@pytest.mark.parametrize(
    ("backend", "even"), [("pt", False), ("tf", False), ("pt", True)], ids=["ragged-pt", "ragged-tf", "even-pt"]
)
def test_the_answers_are_those_of_each_question_alone(
    backend, even, tokenizer, questions, store, even_store, monkeypatch
):
    monkeypatch.setattr(pairs.windows, "__defaults__", (4,))  # several windows
    store = even_store if even else store
    model = models("LxmertForQuestionAnswering")
    expected = [
        alone(model["pt"], tokenizer, store, question).question_answering_score[0].numpy() for question in questions
    ]
    for batch_size in (1, 3, 64):
        found = answer(model[backend], tokenizer, questions, store, batch_size=batch_size)
        assert [each.question for each in found] == list(range(len(questions)))
        assert [each.answer for each in found] == [ANSWERS[row.argmax()] for row in expected]
        assert_same(
            np.array([each.logit for each in found]), np.array([row.max() for row in expected]).astype(np.float64), 1e-5
        )
        likeliest = [1 / np.exp(row.astype(np.float64) - row.max()).sum() for row in expected]
        assert_same(np.array([each.score for each in found]), np.array(likeliest), 1e-5)


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_matching_is_the_head_on_every_pair(backend, tokenizer, store):
    sentences = ["a dog", "the cat is red", "a dog", "", "what is the blue dog ? a cat ?"]
    images = ["image5", "image0", "image3"]
    model = models("LxmertForPreTraining")
    found = match(model[backend], tokenizer, sentences, images, store, text_length=TEXT_LENGTH, batch_size=4)
    assert found.dtype == np.float32
    expected = [
        [
            alone(model["pt"], tokenizer, store, (image, sentence)).cross_relationship_score.softmax(-1)[0, 1].item()
            for image in images
        ]
        for sentence in sentences
    ]
    assert_same(found, np.array(expected, np.float32), 1e-6)
    assert (found[0] == found[2]).all()


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_every_text_and_image_is_encoded_once(backend, tokenizer, store, monkeypatch):
    model = models("LxmertForPreTraining")[backend]
    rows = {"encode_language": 0, "encode_vision": 0, "scores": 0}
    kind = BACKENDS[backend].SplitEncoder
    for name in rows:
        own = getattr(kind, name)

        def counted(self, first, *rest, own=own, name=name):
            rows[name] += (
                len(rest[0])
                if name == "scores"
                else len(next(iter(first.values())) if isinstance(first, dict) else first)
            )
            return own(self, first, *rest)

        monkeypatch.setattr(kind, name, counted)
    sentences = ["a dog", "the cat", "a dog", "a red cat"]
    match(model, tokenizer, sentences, ["image1", "image2", "image4"], store)
    assert rows == {"encode_language": 3, "encode_vision": 3, "scores": 12}


def test_questions_of_a_file_keep_their_ids(tokenizer, questions, store):
    asked = Questions(
        ids=[1000 + 7 * number for number in range(len(questions))],
        texts=[text for _, text in questions],
        images=[image for image, _ in questions],
        answers=None,
        files=(),
    )
    model = models("LxmertForQuestionAnswering", "float32")["pt"]
    by_file = answer(model, tokenizer, asked, store)
    assert [each.question for each in by_file] == asked.ids
    assert [each[1:] for each in by_file] == [each[1:] for each in answer(model, tokenizer, questions, store)]


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_nothing_asked(backend, tokenizer, store):
    model = models("LxmertForQuestionAnswering")[backend]
    assert answer(model, tokenizer, [], store) == []


def test_answers_come_before_everything_is_read(tokenizer, questions, store, monkeypatch):
    monkeypatch.setattr(pairs.windows, "__defaults__", (1,))
    asked = sorted(questions)
    found = answer_questions(
        models("LxmertForQuestionAnswering")["pt"], tokenizer, asked, store, ANSWERS, text_length=TEXT_LENGTH
    )
    read = []
    own = store.batch
    monkeypatch.setattr(
        type(store), "batch", lambda self, places, *rest: read.append(len(places)) or own(places, *rest)
    )
    assert next(found).question == 0
    assert read == [1]


def test_a_small_dtype(tokenizer, questions, store):
    exact = models("LxmertForQuestionAnswering", "float32")["pt"]
    rough = lxmert.pt.LxmertForQuestionAnswering(CONFIG)
    rough.load_state_dict(exact.state_dict())
    rough.bfloat16()
    found = answer(rough, tokenizer, questions, store)
    expected = answer(exact, tokenizer, questions, store)
    assert np.mean([a.answer == b.answer for a, b in zip(found, expected, strict=True)]) > 0.8
    assert_same(np.array([a.logit for a in found]), np.array([a.logit for a in expected]), 0.15)


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_refused(backend, tokenizer, questions, store):
    model = models("LxmertForQuestionAnswering")[backend]
    with pytest.raises(ValueError, match="answers must be as many as the model scores, 6; got 5"):
        answer_questions(model, tokenizer, questions, store, ANSWERS[:5])
    with pytest.raises(ValueError, match="batch_size must be at least 1; got 0"):
        answer_questions(model, tokenizer, questions, store, ANSWERS, batch_size=0)
    with pytest.raises(ValueError, match="image99"):
        answer_questions(model, tokenizer, [("image99", "a dog")], store, ANSWERS)
    with pytest.raises(TypeError, match=r"answers questions, with a head that is called answer; got (TF)?LxmertM"):
        answer_questions(models("LxmertModel")[backend], tokenizer, questions, store, ANSWERS)
    with pytest.raises(TypeError, match="LxmertForPreTraining, with a head that is called match; got"):
        match(model, tokenizer, ["a dog"], ["image0"], store)
    matching = models("LxmertForPreTraining")[backend]
    with pytest.raises(TypeError, match="sentences must be several texts; got one, 'a dog'"):
        match(matching, tokenizer, "a dog", ["image0"], store)


def test_questions_may_come_one_by_one(tokenizer, questions, store):
    model = models("LxmertForQuestionAnswering")["pt"]
    assert answer(model, tokenizer, iter(questions), store) == answer(model, tokenizer, questions, store)


def test_a_model_that_is_trained_between_two_answers(tokenizer, questions, store):
    model = lxmert.pt.LxmertForQuestionAnswering(CONFIG)
    expected = answer(model, tokenizer, questions, store, batch_size=1)
    found = []
    for each in answer_questions(
        model.train(), tokenizer, questions, store, ANSWERS, text_length=TEXT_LENGTH, batch_size=1
    ):
        found.append(each)
        model.train()
    assert found == expected


def test_keras_layers_that_were_replaced_are_seen(tokenizer, questions, store):
    """And the graphs of a model go with it."""
    model = new_tf(CONFIG, "LxmertForQuestionAnswering", "float32")
    questions = questions[:6]
    answer(model, tokenizer, questions, store)
    model.resize_num_qa_labels(8)
    bias = model.heads.answer.out.bias
    bias.assign(np.where(np.arange(8) == 7, 50.0, bias.numpy()))
    table = [*ANSWERS, "seventh", "eighth"]
    found = answer_questions(model, tokenizer, questions, store, table, text_length=TEXT_LENGTH)
    assert {each.answer for each in found} == {"eighth"}
    assert model in lxmert.inference.tf._GRAPHS
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
