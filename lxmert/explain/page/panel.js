// What stands beside a picture: answers, the choice of a method, words as chips, regions as bars, a table of numbers.

const FIRST = 8; // regions of the list before "all"

// A list of options with one tab stop, in which arrow keys move. `events`: hover, focus, choose.
function Choices(root, kind, events) {
  const options = () => [...root.querySelectorAll('[role="option"]')].filter((option) => !option.hidden);
  const numberOf = (target) => target.closest?.('[role="option"]')?.dataset.number;
  const on = (type, act) => root.addEventListener(type, (event) => {
    const number = numberOf(event.target);
    if (number !== undefined) act({ kind, number: Number(number) }, event);
  });
  on("pointerover", (one, event) => event.pointerType === "mouse" && events.hover(one));
  root.addEventListener("pointerleave", () => events.hover(null));
  on("click", (one) => events.choose(one));
  on("focusin", (one, event) => {
    stop(event.target);
    if (event.target.matches(":focus-visible")) events.focus(one);
  });
  root.addEventListener("focusout", () => events.focus(null));
  root.addEventListener("keydown", (event) => {
    const all = options(), place = all.indexOf(event.target.closest('[role="option"]'));
    if (place < 0) return;
    const steps = { ArrowRight: place + 1, ArrowDown: place + 1, ArrowLeft: place - 1, ArrowUp: place - 1, Home: 0, End: all.length - 1 };
    if (event.key in steps) {
      const next = all[Math.max(0, Math.min(steps[event.key], all.length - 1))];
      next.focus();
      events.focus({ kind, number: Number(next.dataset.number) });
    } else if (event.key === "Enter" || event.key === " ") {
      events.choose({ kind, number: Number(all[place].dataset.number) });
    } else return;
    event.preventDefault();
  });
  function stop(option) { // the one option that Tab reaches
    for (const other of root.querySelectorAll('[role="option"]')) other.tabIndex = other === option ? 0 : -1;
  }
  return { stop };
}

function Panel(image, events) {
  const words = element("div", { role: "listbox", "aria-label": "Words", "aria-orientation": "horizontal", class: "words" });
  const regions = element("div", { role: "listbox", "aria-label": "Regions, the strongest first", class: "regions" });
  const models = element("div", { class: "models" });
  const method = element("select"), layer = element("select"), head = element("select");
  const labelled = (text, select, kind = "") => element("label", { class: kind }, element("span", {}, text), select);
  const heads = element("span", { class: "heads" }, labelled("Layer", layer), labelled("Head", head));
  const summary = element("p", { class: "quiet summary" }), links = element("p", { class: "quiet links" });
  const compare = element("button", { type: "button", class: "compare" });
  const legend = element("p", { class: "legend" });
  const more = element("button", { type: "button", class: "more" });
  const table = element("details", { class: "table" }, element("summary", {}, "All numbers as a table"));
  const choice = element("div", { class: "method" }, labelled("Method", method), heads, compare);
  const root = element(
    "div", { class: "panel" }, models, choice, summary,
    legend, element("h4", {}, "Words"), words, links, element("h4", {}, "Regions"), regions, more, table,
  );
  const wordChoices = Choices(words, "word", events), regionChoices = Choices(regions, "region", events);
  let chips = [], tokens = null, all = false, last = null, listedOrder = null;

  method.addEventListener("change", () => events.settings({ method: method.value }));
  layer.addEventListener("change", () => events.settings({ layer: Number(layer.value) }));
  head.addEventListener("change", () => events.settings({ head: Number(head.value) }));
  compare.addEventListener("click", () => events.compare());
  more.addEventListener("click", () => { all = !all; show(...last); });
  table.addEventListener("toggle", () => show(...last));

  const bars = image.boxes.map((_, region) => {
    const option = element("div", { role: "option", class: "region" });
    option.dataset.number = region;
    option.append(
      element("span", { class: "label", dir: "auto" }, image.names[region]),
      element("span", { class: "track" }, element("span", { class: "bar" })), element("span", { class: "share" }),
    );
    regions.append(option);
    return option;
  });

  function open(question) { // show another question
    models.replaceChildren(...question.models.map((model, m) => {
      const answers = model.answers.map((answer, a) => {
        const verdict = verdictOf(question, answer.answer, a);
        const button = element(
          "button", { type: "button", class: "answer" }, element("span", { class: "text", dir: "auto" }, answer.answer),
          element("span", { class: "track" }, element("span", { class: "bar" })),
          element("span", { class: "share" }, probability(answer.probability)),
          element("span", { class: `verdict ${verdict}` }, verdict),
        );
        button.querySelector(".bar").style.width = `${answer.probability * 100}%`;
        button.addEventListener("click", () => events.answer(m, a));
        return button;
      });
      const note = model.note ? [element("p", { class: "quiet" }, model.note)] : [];
      return element("div", { class: "model", role: "group", "aria-label": `Answers of ${model.title}` },
        element("h4", {}, model.title), element("div", { class: "answers" }, ...answers), ...note);
    }));
    tokens = null;
    all = false;
  }

  function read(model) { // chips of the words that a model read
    tokens = model.tokens;
    chips = tokens.map((token, word) => {
      const chip = element("span", { role: "option", class: isSpecial(token) ? "chip special" : "chip" },
        element("span", { class: "text" }, token), element("span", { class: "share" }));
      chip.dataset.number = word;
      return chip;
    });
    words.replaceChildren(...chips);
    const first = chips.findIndex((chip) => !chip.classList.contains("special"));
    if (chips.length) wordChoices.stop(chips[Math.max(first, 0)]);
  }

  function fill(select, options, chosen) {
    const text = JSON.stringify(options);
    if (select.dataset.options !== text) {
      select.dataset.options = text;
      select.replaceChildren(...options.map(([value, title]) => element("option", { value }, title)));
    }
    select.value = String(chosen);
  }

  function showMethod(model, settings, shown) {
    const has = new Set(model.answers.flatMap((answer) => Object.keys(answer.methods)));
    const names = Object.keys(page.methods).filter((name) => has.has(name));
    const options = names.map((name) => [name, page.methods[name].title]);
    if (model.attention) options.push([ATTENTION, "Attention, layer by layer"]);
    choice.hidden = shown.name === null;
    fill(method, options, shown.name);
    heads.hidden = shown.name !== ATTENTION;
    if (!heads.hidden) {
      const [layers, count] = model.attention.shape;
      const numbered = (n) => [[-1, "mean of all"], ...Array.from({ length: n }, (_, i) => [i, String(i + 1)])];
      fill(layer, numbered(layers), settings.layer < layers ? settings.layer : -1);
      fill(head, numbered(count), settings.head < count ? settings.head : -1);
    }
    const asked = page.methods[settings.method]?.title;
    const missing = shown.name !== settings.method && asked ? `${model.title} has no “${asked}”. ` : "";
    const same = shown.name === ATTENTION || page.methods[shown.name]?.dependsOnAnswer === false
      ? " It is the same for every answer." : "";
    const told = shown.name === ATTENTION ? `How much each word attends to each region in the ${model.attentionLayers}; regions: the mean over the words.`
      : page.methods[shown.name]?.summary ?? "Nothing is known of why.";
    summary.textContent = missing + told + same;
    compare.hidden = shown.rival === undefined;
    compare.textContent = `Compare with “${shown.rival}”`;
    compare.setAttribute("aria-pressed", String(settings.compare));
    links.textContent = {
      attention: "This method has no links between words and regions. A chosen word or region shows attention instead: the mean of all layers and heads.",
      maps: "Words have no numbers of their own here. Choose a word to see its attention.",
    }[shown.links] ?? (shown.links ? "" : "This method has no links between words and regions.");
    links.hidden = !links.textContent || shown.name === null;
  }

  function showLegend(answer, shown, kind) {
    legend.hidden = !kind.signed;
    if (!kind.signed) return;
    const against = shown.compared ? `− speaks for “${shown.rival}”` : `− speaks against “${answer.answer}”`;
    legend.replaceChildren(
      element("span", { class: "key for" }), `+ speaks for “${answer.answer}”`,
      element("span", { class: "key against" }), against,
    );
    if (kind.points) legend.append(" (differences of shares, in percentage points)");
  }

  function showOptions(options, names, values, kind, current) {
    const largest = values ? Math.max(...values.map(Math.abs), 0) : 0;
    options.forEach((option, i) => {
      const value = values?.[i] ?? 0, sign = kind.signed && value < 0 ? "against" : "for";
      const text = values ? formatted(value, kind) : "";
      option.classList.toggle("against", sign === "against");
      option.classList.toggle("signed", kind.signed);
      option.style.setProperty("--strength", largest ? Math.abs(value) / largest : 0);
      option.querySelector(".share").textContent = text;
      option.setAttribute("aria-selected", String(i === current));
      option.setAttribute("aria-label", text ? `${names[i]}, ${text}` : names[i]);
    });
  }

  function showTable(model, shown) {
    table.querySelector("table")?.remove();
    if (!table.open) return;
    const rows = (names, values) => names.map((name, i) =>
      element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, values ? formatted(values[i], shown) : "–")));
    const part = (title, ...body) => element("tbody", {},
      element("tr", {}, element("th", { scope: "colgroup", colspan: "2" }, title)), ...body);
    table.append(element("table", {},
      part("Words", ...rows(model.tokens, shown.words)),
      part("Regions", ...rows(image.names, shown.regions))));
  }

  // `words` and `regions` of `seen`: what is shown at this moment, {values, signed, points}.
  function show(question, settings, shown, seen, current) {
    last = [question, settings, shown, seen, current];
    const model = question.models[settings.model];
    if (tokens !== model.tokens) read(model);
    [...models.children].forEach((row, m) => [...row.querySelectorAll(".answer")].forEach((button, a) => {
      button.setAttribute("aria-pressed", String(m === settings.model && a === settings.answer));
    }));
    showMethod(model, settings, shown);
    showLegend(model.answers[settings.answer], shown, seen.words.signed ? seen.words : seen.regions);
    const word = current?.kind === "word" ? current.number : null, region = current?.kind === "region" ? current.number : null;
    showOptions(chips, model.tokens, seen.words.values, seen.words, word);
    showOptions(bars, image.names, seen.regions.values, seen.regions, region);
    if (!regions.querySelector(":focus-visible")) { // options that move would lose the focus
      const order = seen.regions.values ? strongest(seen.regions.values) : bars.map((_, i) => i);
      if (order.join() !== listedOrder) regions.append(...order.map((r) => bars[r]));
      listedOrder = order.join();
      [...regions.children].forEach((bar, place) => { bar.hidden = !all && place >= FIRST; });
      if (bars.length) regionChoices.stop(regions.firstElementChild);
    }
    more.hidden = bars.length <= FIRST;
    more.textContent = all ? `Show the strongest ${FIRST}` : `Show all ${bars.length} regions`;
    more.setAttribute("aria-expanded", String(all));
    showTable(model, shown);
  }

  return { root, open, show };
}

function verdictOf(question, answer, place) {
  if (question.truth === null) return "";
  return answer === question.truth ? "right" : place === 0 ? "wrong" : "";
}
