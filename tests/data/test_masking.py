"""The rates of masking by many draws, and its rules on cases made by hand."""

from math import sqrt

import numpy as np
import pytest

from lxmert.data.collate.masking import Masking, choose_regions, mask_words, mismatch, sample_answers

MASK, VOCABULARY = 3, 50


def close_to(share: float, rate: float, trials: int) -> bool:
    """Whether a share of trials is within five standard deviations of a rate: less than one in a million is not."""
    return abs(share - rate) <= 5 * sqrt(rate * (1 - rate) / trials)


class Fixed:
    """Stands for a generator, and gives what is written down."""

    def __init__(self, draws, integers=()):
        self.draws, self.drawn = list(draws), list(integers)

    def random(self, size):
        return np.array(self.draws.pop(0), float).reshape(size)

    def integers(self, high, size, dtype=np.int64):
        return np.array(self.drawn.pop(0), dtype).reshape(size)


def test_words_by_hand():
    ids = np.array([[10, 11, 12, 13, 14, 15, 16, 17]])
    # [CLS] and [SEP] at the ends. The rate is 0.15: below 0.12 [MASK], below 0.135 another piece, below 0.15 itself.
    selectable = np.array([[False, True, True, True, True, True, True, False]])
    random = Fixed([[0.0, 0.0, 0.119, 0.121, 0.134, 0.136, 0.151, 0.0]], [[20, 21, 22, 23, 24, 25, 26, 27]])
    hidden, labels = mask_words(ids, selectable, MASK, VOCABULARY, Masking(), random)
    assert hidden.tolist() == [[10, MASK, MASK, 23, 24, 15, 16, 17]]
    assert labels.tolist() == [[-100, 11, 12, 13, 14, 15, -100, -100]]
    assert ids.tolist() == [[10, 11, 12, 13, 14, 15, 16, 17]]  # what was given is as it was
    assert labels.dtype == np.int64


def test_regions_by_hand():
    mask = np.array([[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]])
    choice = choose_regions(mask, Masking(), Fixed([[0.0, 0.119, 0.121, 0.136, 0.151, 0.0]]))
    assert choice.selected.tolist() == [[True, True, True, True, False, False]]
    assert choice.zeroed.tolist() == [[True, True, False, False, False, False]]
    assert choice.replaced.tolist() == [[False, False, True, False, False, False]]


def test_rates_of_words():
    random = np.random.default_rng(0)
    ids = np.random.default_rng(1).integers(5, VOCABULARY, size=(2000, 40))
    selectable = np.ones(ids.shape, bool)
    selectable[:, [0, -1]] = False
    hidden, labels = mask_words(ids, selectable, MASK, VOCABULARY, Masking(), random)
    selected = labels != -100
    assert not selected[~selectable].any()
    assert (hidden[~selected] == ids[~selected]).all()
    assert (labels[selected] == ids[selected]).all()
    total, chosen = int(selectable.sum()), int(selected.sum())
    assert close_to(chosen / total, 0.15, total)
    masked = hidden[selected] == MASK
    kept = hidden[selected] == ids[selected]
    # A random piece is once in VOCABULARY times [MASK], and once the hidden one.
    assert close_to(masked.mean(), 0.8 + 0.1 / VOCABULARY, chosen)
    assert close_to(kept.mean(), 0.1 + 0.1 / VOCABULARY, chosen)
    others = hidden[selected][~masked & ~kept]
    # Every piece of the vocabulary occurs, special ones too, and none much more often than another.
    found = np.bincount(others, minlength=VOCABULARY)
    assert len(found) == VOCABULARY
    assert (found[np.arange(VOCABULARY) != MASK] > 0).all()
    assert found.max() < 3 * others.size / VOCABULARY


def test_rates_of_regions():
    mask = np.arange(36) < np.random.default_rng(1).integers(10, 37, size=(3000, 1))
    choice = choose_regions(mask, Masking(), np.random.default_rng(0))
    total, chosen = int(mask.sum()), int(choice.selected.sum())
    assert not choice.selected[~mask].any()
    assert close_to(chosen / total, 0.15, total)
    assert close_to(choice.zeroed.sum() / chosen, 0.8, chosen)
    assert close_to(choice.replaced.sum() / chosen, 0.1, chosen)
    assert not (choice.zeroed & choice.replaced).any()
    assert not ((choice.zeroed | choice.replaced) & ~choice.selected).any()


@pytest.mark.parametrize(
    ("masking", "share"), [(Masking(word_rate=0, region_rate=0), 0), (Masking(word_rate=1, region_rate=1), 1)]
)
def test_none_and_all(masking, share):
    ids = np.arange(12).reshape(2, 6)
    everywhere = np.ones((2, 6), bool)
    _, labels = mask_words(ids, everywhere, MASK, VOCABULARY, masking, np.random.default_rng(0))
    assert (labels != -100).mean() == share
    assert choose_regions(everywhere, masking, np.random.default_rng(0)).selected.mean() == share


def test_mismatch_is_another_image_and_every_sentence_of_one_is_as_likely():
    # Image 0 has one sentence, image 1 two, image 2 five.
    images = np.array([0, 1, 1, 2, 2, 2, 2, 2])
    rows = np.repeat([0, 3], 20000)
    sentences, matched = mismatch(images, rows, Masking(), np.random.default_rng(0))
    assert matched.dtype == np.int64
    assert close_to(matched.mean(), 0.5, len(rows))
    assert (sentences[matched == 1] == rows[matched == 1]).all()
    assert (images[sentences] != images[rows])[matched == 0].all()
    for row, others in ((0, [1, 2, 3, 4, 5, 6, 7]), (3, [0, 1, 2])):
        got = sentences[(rows == row) & (matched == 0)]
        for other in others:
            assert close_to((got == other).mean(), 1 / len(others), len(got)), (row, other)


def test_mismatch_where_nearly_all_sentences_are_about_one_image():
    images = np.zeros(100_000, np.int32)
    images[[7, 70_000]] = 1
    sentences, matched = mismatch(images, np.arange(10), Masking(mismatch_rate=1), np.random.default_rng(0))
    assert (matched == 0).all()
    assert set(sentences[[0, 1, 2, 3, 4, 5, 6, 8, 9]].tolist()) == {7, 70_000}
    assert images[sentences[7]] == 0


def test_mismatch_leaves_its_rows_as_they_are_and_can_be_off():
    rows = np.arange(4)
    sentences, matched = mismatch(np.arange(4), rows, Masking(mismatch_rate=0), np.random.default_rng(0))
    assert sentences.tolist() == rows.tolist()
    assert matched.tolist() == [1, 1, 1, 1]
    mismatch(np.arange(4), rows, Masking(mismatch_rate=1), np.random.default_rng(0))
    assert rows.tolist() == [0, 1, 2, 3]


def test_mismatch_needs_two_images():
    with pytest.raises(ValueError, match="the sentences must be about two images at least"):
        mismatch(np.zeros(5, int), np.arange(5), Masking(mismatch_rate=1), np.random.default_rng(0))


def test_answers_by_hand():
    # Three examples: scores 0.3 and 0.9; none; 1.
    sums = np.cumsum([0, 0.3, 0.9, 1.0])
    starts, stops = np.array([0, 0, 0, 2, 2, 2]), np.array([2, 2, 2, 2, 3, 3])
    random = Fixed([[0.0, 0.249, 0.251, 0.5, 0.0, 1.0]])  # 1.0 stands for a rounding up to the end
    assert sample_answers(sums, starts, stops, random).tolist() == [0, 0, 1, -1, 2, 2]


def test_rates_of_answers():
    sums = np.cumsum([0, 0.3, 0.6, 0.9])
    count = 30000
    drawn = sample_answers(sums, np.zeros(count, int), np.full(count, 3), np.random.default_rng(0))
    for place, rate in enumerate((1 / 6, 2 / 6, 3 / 6)):
        assert close_to((drawn == place).mean(), rate, count)


def test_equal_generators_decide_alike():
    def everything(seed):
        random = np.random.default_rng(seed)
        words = mask_words(np.ones((4, 9), int), np.ones((4, 9), bool), MASK, VOCABULARY, Masking(), random)
        regions = choose_regions(np.ones((4, 9)), Masking(), random)
        return [*words, *regions, *mismatch(np.arange(90), np.arange(40), Masking(), random)]

    first, again, other = everything(5), everything(5), everything(6)
    assert all((one == two).all() for one, two in zip(first, again, strict=True))
    assert any((one != two).any() for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"word_rate": 1.5}, "word_rate must be a probability from 0 to 1; got 1.5"),
        ({"mismatch_rate": -0.1}, "mismatch_rate must be a probability from 0 to 1; got -0.1"),
        ({"region_rate": float("nan")}, "region_rate must be a probability from 0 to 1; got nan"),
        ({"word_masked": 0.8, "word_random": 0.3}, "word_masked and word_random must be at most 1 together"),
        ({"region_zeroed": 0.95}, "region_zeroed and region_random must be at most 1 together; got 0.95 and 0.1"),
    ],
)
def test_wrong_rates(values, message):
    with pytest.raises(ValueError, match=message):
        Masking(**values)


def test_rates_that_are_one_together():
    assert Masking(word_masked=0.35, word_random=0.65).word_random == 0.65
