"""The page of explanations as a reader meets it: in Chromium, wide and on a phone."""

import re
import shutil

import numpy as np
import pytest

from lxmert.explain.page import write_page
from lxmert.explain.shares import formatted, probability_text
from lxmert.explain.views import AnswerView, ImageView, MethodView, ModelView, QuestionView

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
QUIET += " --disable-component-update --disable-sync"

TOKENS = ["[CLS]", "red", "cat", "?", "[SEP]"]
LABELS = ["room", "red cat", "", "lamp"]
# Region 1 lies within region 0, region 3 within region 2.
BOXES = np.array([[0, 0, 1, 1], [0.1, 0.1, 0.4, 0.4], [0.5, 0.2, 0.9, 0.9], [0.6, 0.5, 0.7, 0.6]])
LINKS = np.array([[1, 1, 1, 1], [0, 3, 1, 0], [6, 2, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0.0]])
IMAGE = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
ATTENTION = np.zeros((2, 2, 5, 4))
ATTENTION[..., 3] = 1
ATTENTION[1, 0] = [0.5, 0.5, 0, 0]


def answer_view(answer, probability, words, regions, signed):
    relevancy = MethodView(np.array(words), np.array(regions), LINKS)
    return AnswerView(
        answer,
        probability,
        {
            "relevancy": relevancy,
            "attention_rollout": MethodView(np.ones(5), np.ones(4), LINKS),
            "integrated_gradients": MethodView(np.array(signed[:5]), np.array(signed[5:])),
        },
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A page: an image with two questions, the first to two models."""
    yes = answer_view("yes", 0.75, [0, 6, 3, 1, 0.0], [1, 6, 3, 0.0], [0, 3, -1, 0, 0, 2, 1, -5, 0.0])
    no = answer_view("no", 0.2, [0, 1, 8, 1, 0.0], [1, 1, 2, 6.0], [0, 1, 1, 0, 0, 2, 2, 2, 2.0])
    other = AnswerView("no", 0.99996, {"attention_rollout": MethodView(np.ones(5), np.ones(4))})
    question = QuestionView(
        "Is the cat red?",
        [
            ModelView("LXMERT", TOKENS, [yes, no], ATTENTION, attention_layers="cross-modality layers"),
            ModelView("VisualBERT", TOKENS, [other]),
        ],
        "yes",
    )
    few = MethodView(np.ones(3), np.ones(4))
    where = [AnswerView("here", 0.5, {"relevancy": few}), AnswerView("there", 0.3, {})]
    second = QuestionView("Where is it?", [ModelView("LXMERT", ["[CLS]", "where", "[SEP]"], where)])
    path = tmp_path_factory.mktemp("page") / "page.html"
    image = ImageView("cat.jpg", IMAGE, BOXES, LABELS, [question, second])
    write_page(path, "Why", [image], lead="An example.", figures=[["", "LXMERT"], ["right", "90%"]])
    return path.as_uri()


@pytest.fixture(scope="module")
def hostile_url(tmp_path_factory):
    """A page all of whose texts are hostile."""
    bad = "</script><img src=x onerror='window.hit=1'><b>\u202e\x00" + "w" * 300
    view = MethodView(np.ones(1), np.ones(4), np.ones((1, 4)))
    question = QuestionView(bad, [ModelView(bad, [bad], [AnswerView(bad, 1.0, {bad: view})], None, bad)], bad)
    path = tmp_path_factory.mktemp("hostile") / "page.html"
    image = ImageView(bad, IMAGE, BOXES, [bad] * 4, [question])
    write_page(path, bad, [image], lead=bad, figures=[["", bad], [bad, bad]])
    return path.as_uri()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as engine:
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        yield chromium
        chromium.close()


@pytest.fixture(scope="module", params=["wide", "phone"])
def window(request, browser, url):
    """The page in a wide window and light colors, or on a phone in dark ones; it must not tell of any fault."""
    phone = request.param == "phone"
    context = browser.new_context(
        viewport={"width": 390 if phone else 1400, "height": 844},
        color_scheme="dark" if phone else "light",
        reduced_motion="reduce",
        has_touch=phone,
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.faults, page.requests, page.phone, page.changed = [], [], phone, False
    page.on("console", lambda message: page.faults.append(message.text))
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("request", lambda asked: page.requests.append(asked.url))
    page.goto(url)
    yield page
    context.close()
    assert page.faults == []


@pytest.fixture
def page(window, url):
    """The page as it is at first: loaded again if another test had it."""
    if window.changed:
        window.mouse.move(0, 0)
        window.goto(url)
    window.changed = True
    return window


def section(page):
    return page.locator("section").first


def choose(page, locator):
    """With the pointer, or a finger."""
    if page.phone:
        locator.tap()
    else:
        locator.hover()


def shares(page, kind):
    """What chips or bars say, by number."""
    options = (
        section(page)
        .locator(f"{kind}")
        .evaluate_all("all => all.map(one => [Number(one.dataset.number), one.querySelector('.share').textContent])")
    )
    return [text for _, text in sorted(options)]


def named(page):
    """The names on the picture."""
    return sorted(section(page).locator(".name").all_text_contents())


def lights(page):
    """How much of its colors each region keeps, from 0 to 1."""
    found = (
        section(page)
        .locator(".light")
        .evaluate_all("all => all.map(one => ['x', 'y', 'fill'].map(name => one.getAttribute(name)))")
    )
    levels = [0 if fill == "none" else int(re.findall(r"\d+", fill)[0]) for _, _, fill in found]
    by_corner = {
        (round(float(x)), round(float(y))): level / 255 for (x, y, _), level in zip(found, levels, strict=True)
    }
    return [by_corner[round(x1 * 1000), round(y1 * 750)] for x1, y1, _, _ in BOXES]


def status(page):
    return section(page).locator(".status").text_content()


def test_it_fits_loads_nothing_and_hostile_texts_do_nothing(page, url, hostile_url):
    for at in (url, hostile_url):
        if at != url:
            page.requests.clear()
            page.goto(at)
        assert page.evaluate("document.documentElement.scrollWidth") == (390 if page.phone else 1400)
        assert {asked for asked in page.requests if not asked.startswith("data:")} == {at}
    assert page.locator("h1").inner_text().startswith("</script><img src=x onerror='window.hit=1'><b>\\u202e\\x00www")
    assert page.evaluate("window.hit") is None
    assert page.locator("img, main section section").count() == 0


def test_the_first_answer_is_explained_at_first(page):
    assert shares(page, ".chip") == ["0%", "60%", "30%", "10%", "0%"]
    assert shares(page, ".region") == ["10%", "60%", "30%", "0%"]
    np.testing.assert_allclose(lights(page), (np.array([0, 6, 3, 0]) / 6) ** 1.5, atol=0.002)
    assert named(page) == ["red cat 60%", "region 2 30%", "room 10%"]
    assert section(page).locator(".region").first.get_attribute("data-number") == "1", "the strongest is first"
    assert section(page).locator(".answer").first.inner_text().split() == ["yes", "75%", "right"]
    assert section(page).locator(".answer").nth(2).inner_text().split() == ["no", ">99.9%", "wrong"]
    assert section(page).locator(".chip.special").all_inner_texts() == ["[CLS]\n0%", "[SEP]\n0%"]


def test_numbers_are_written_as_in_the_picture(window):
    values = [0, 0.0001, 0.0004, 0.034, 0.0996, 0.5, 0.994, 0.996, 0.9991, 0.9999, 1]
    assert window.evaluate("values => values.map(probability)", values) == [probability_text(value) for value in values]
    for signed in (False, True):
        shown = window.evaluate("([values, signed]) => values.map((one) => formatted(one, {signed}))", [values, signed])
        assert shown == [formatted(value, signed) for value in values]
    right_to_left = "\u0642\u0637\u0629"
    assert window.evaluate("texts => texts.map(isolated)", ["cat", right_to_left]) == [
        "cat",
        f"\u2068{right_to_left}\u2069",
    ]


def test_a_word_lights_the_regions_that_it_drew_on(page):
    choose(page, section(page).locator(".chip", has_text="cat"))
    assert shares(page, ".region") == ["60%", "20%", "10%", "10%"]
    assert status(page) == "“cat” drew on: room (60%), red cat (20%), region 2 (10%), lamp (10%)."
    np.testing.assert_allclose(lights(page), [0, 1, 0.5**1.5, 0.5**1.5], atol=0.002)
    assert shares(page, ".chip")[1] == "60%", "words keep their numbers"
    page.keyboard.press("Escape")
    assert shares(page, ".region") == ["10%", "60%", "30%", "0%"]
    choose(page, section(page).locator(".chip", has_text="[SEP]"))
    assert status(page) == "“[SEP]” drew on: none."


def test_a_region_of_the_picture_lights_the_words_that_drew_on_it(page):
    section(page).locator(".picture").scroll_into_view_if_needed()
    box = section(page).locator(".picture").bounding_box()
    x, y = box["x"] + 0.65 * box["width"], box["y"] + 0.55 * box["height"]
    press = page.touchscreen.tap if page.phone else page.mouse.click
    if not page.phone:
        page.mouse.move(x, y)
        assert section(page).locator(".name.current").text_content() == "lamp 0%", (
            "the smallest of those at the pointer"
        )
    told = []
    for _ in range(4):
        press(x, y)
        told.append(status(page))
    assert told[0] == "“lamp” (0%): the words that drew on it are “[CLS]” (50%), “cat” (50%)."
    assert told[1] == "“region 2” (30%): the words that drew on it are “[CLS]” (33%), “red” (33%), “cat” (33%)."
    assert told[2].startswith("“room” (10%): the words that drew on it are “cat” (75%), “[CLS]”")
    assert told[3].startswith("“yes” by LXMERT, 75%. Regions: red cat (60%)")
    choose(page, section(page).locator('.region[data-number="1"]'))
    assert shares(page, ".chip") == ["17%", "50%", "33%", "0%", "0%"]
    assert section(page).locator('.region[data-number="1"]').get_attribute("aria-selected") == "true"


def test_the_keyboard_reaches_everything(page):
    page.keyboard.press("Tab")
    seen = []
    for _ in range(10):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.className || document.activeElement.tagName"))
    assert seen == ["question", *["answer"] * 3, "SELECT", "compare", "chip", "region", "SUMMARY", "question"]
    chip = section(page).locator(".chip").nth(1)
    section(page).locator(".compare").focus()
    page.keyboard.press("Tab")
    assert chip.evaluate("chip => chip === document.activeElement"), "the first word that is not special"
    assert status(page) == "“red” drew on: red cat (75%), region 2 (25%)."
    assert chip.evaluate("chip => getComputedStyle(chip).outlineStyle") == "solid"
    page.keyboard.press("ArrowRight")
    assert status(page).startswith("“cat” drew on: room (60%)")
    page.keyboard.press("Escape")
    assert status(page).startswith("“yes” by LXMERT")
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    assert status(page).startswith("“[CLS]” drew on: room (25%)")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert status(page).startswith("“region 2” (30%): the words")
    section(page).locator("button.question").nth(1).focus()
    page.keyboard.press("Enter")
    assert section(page).locator(".chip .text").all_text_contents() == ["[CLS]", "where", "[SEP]"]
    assert status(page).startswith("“here” by LXMERT, 50%. Regions: room (25%)")
    assert not section(page).locator(".compare").is_visible()
    section(page).locator(".answer").nth(1).press("Enter")
    assert status(page) == "Nothing is known of why."
    assert not section(page).locator(".method, .links").filter(visible=True).count()
    np.testing.assert_array_equal(shares(page, ".chip"), "")


def test_answers_are_chosen_and_compared(page):
    section(page).locator(".answer").nth(1).click()
    assert shares(page, ".region") == ["10%", "10%", "20%", "60%"]
    section(page).locator(".compare").click()
    assert shares(page, ".region") == ["0", "\u221250 pp", "\u221210 pp", "+60 pp"]
    assert shares(page, ".chip") == ["0", "\u221250 pp", "+50 pp", "0", "0"]
    assert status(page).startswith("“no” rather than “yes”. Regions: lamp (+60 pp), red cat (\u221250 pp)")
    assert section(page).locator(".legend").inner_text().startswith("+ speaks for “no”\u2212 speaks for “yes”")
    section(page).locator("select").first.select_option("integrated_gradients")
    # Parts of the score of "no" less those of "yes": 0, 1, 7, 2.
    assert shares(page, ".region") == ["0%", "+10%", "+70%", "+20%"]


def test_methods_layers_and_heads_are_chosen(page):
    method, layer, head = (section(page).locator("select").nth(i) for i in range(3))
    assert not layer.is_visible()
    method.select_option("integrated_gradients")
    assert shares(page, ".region") == ["+25%", "+13%", "\u221263%", "0%"]
    assert shares(page, ".chip")[1:3] == ["+75%", "\u221225%"]
    assert section(page).locator(".name.against").all_text_contents() == ["region 2 \u221263%"]
    assert "shows attention instead" in section(page).locator(".links").inner_text()
    choose(page, section(page).locator(".chip", has_text="cat"))
    assert status(page) == "“cat” drew on: lamp (75%), room (13%), red cat (13%)."
    page.keyboard.press("Escape")
    method.select_option("attention, layer by layer")
    assert shares(page, ".region") == ["13%", "13%", "0%", "75%"]
    layer.select_option(label="2")
    head.select_option(label="1")
    assert shares(page, ".region") == ["50%", "50%", "0%", "0%"]
    assert status(page) == "Attention, layer 2, head 1. Regions: room (50%), red cat (50%)."
    head.select_option(label="mean of all")
    choose(page, section(page).locator(".chip", has_text="cat"))
    assert status(page) == "“cat” drew on (layer 2, mean of all heads): lamp (50%), room (25%), red cat (25%)."
    page.keyboard.press("Escape")
    layer.select_option(label="mean of all")
    assert status(page).startswith("Attention, mean of all cross-modality layers and heads. Regions: lamp (75%)")
    assert "in the cross-modality layers" in section(page).locator(".summary").inner_text()
    method.select_option("relevancy")
    section(page).locator(".answer").nth(2).click()
    assert section(page).locator(".summary").inner_text().startswith("VisualBERT has no “Relevancy”.")
    assert method.input_value() == "attention_rollout"
    assert not section(page).locator(".compare").is_visible()


def test_everything_has_a_role_and_a_name(page):
    snapshot = section(page).aria_snapshot()
    for told in (
        'heading "cat.jpg" [level=2]',
        'img "cat.jpg, shaded by region. “yes” by LXMERT, 75%',
        'button "Is the cat red? true answer: yes',
        'group "Answers of LXMERT"',
        'button "yes 75% ✓ right" [pressed]',
        'combobox "Method"',
        'button "Compare with “no”"',
        'option "red, 60%"',
        'option "red cat, 60%"',
    ):
        assert told in snapshot
    section(page).locator("summary").click()
    assert section(page).locator("details tr").all_inner_texts() == [
        "Words", "[CLS]\t0%", "red\t60%", "cat\t30%", "?\t10%", "[SEP]\t0%",
        "Regions", "room\t10%", "red cat\t60%", "region 2\t30%", "lamp\t0%",
    ]  # fmt: skip


CONTRAST = """all => {
  const pixel = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const color = (text, under) => {
    pixel.fillStyle = `rgb(${under})`; pixel.fillRect(0, 0, 1, 1);
    pixel.fillStyle = text; pixel.fillRect(0, 0, 1, 1);
    return [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const ground = (one) =>
    one ? color(getComputedStyle(one).backgroundColor, ground(one.parentElement)) : [255, 255, 255];
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const hasText = (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return all.filter((one) => one.checkVisibility() && hasText(one))
    .map((one) => {
      const under = ground(one), [a, b] = [light(color(getComputedStyle(one).color, under)), light(under)];
      return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), one.textContent.slice(0, 30)];
    });
}"""


def test_texts_are_easy_to_read(page):
    """WCAG AA: 4.5 to 1, on chips of all shades and on the names in the picture too."""
    for method in ("relevancy", "integrated_gradients"):
        section(page).locator("select").first.select_option(method)
        found = page.locator("body *:not(script)").evaluate_all(CONTRAST)
        assert len(found) > 50
        assert [one for one in found if one[0] < 4.5] == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(19, 21, 24)" if page.phone else "rgb(255, 255, 255)")


def test_a_small_window_keeps_the_picture_in_sight_and_hides_nothing_below_it(browser, url):
    """700 by 450 is a wide window at twice its size."""
    page = browser.new_page(viewport={"width": 700, "height": 450}, reduced_motion="reduce")
    try:
        page.goto(url)
        for place in (".chip >> nth=1", ".region >> nth=3", "summary"):
            one = section(page).locator(place)
            one.focus()
            one.scroll_into_view_if_needed()
            picture, view, box = (
                found.bounding_box() for found in (*map(section(page).locator, (".picture", ".view")), one)
            )
            assert 0 <= picture["y"] < 20
            assert view["y"] + view["height"] <= box["y"] <= 450 - box["height"]
            assert view["height"] < 450 / 2
    finally:
        page.close()
