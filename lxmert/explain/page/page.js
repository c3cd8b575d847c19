// The sections of the page: one for each image, with its questions.

const settings = { method: null, layer: -1, head: -1 }; // of the whole page
const sections = [];

function Section(image, number) {
  const state = { question: 0, model: 0, answer: 0, compare: false };
  let hovered = null, focused = null, chosen = null;
  const picture = Picture(image, {
    hover: (region) => point(region === null ? null : { kind: "region", number: region }),
    choose: (regions) => { // again at the same place: the next larger region, at last none
      const place = chosen?.kind === "region" ? regions.indexOf(chosen.number) : -1;
      const next = regions[place + 1];
      hovered = focused = null;
      chosen = next === undefined ? null : { kind: "region", number: next };
      show();
    },
  });
  const panel = Panel(image, {
    hover: point,
    focus: (one) => {
      if (focused === one) return;
      focused = one;
      show();
    },
    choose: (one) => { chosen = same(chosen, one) ? null : one; focused = null; show(); },
    answer: (model, answer) => {
      if (model !== state.model) chosen = null;
      Object.assign(state, { model, answer });
      show();
    },
    compare: () => { state.compare = !state.compare; show(); },
    settings: (changed) => { Object.assign(settings, changed); sections.forEach((section) => section.show()); },
  });
  const same = (one, other) => one !== null && other !== null && one.kind === other.kind && one.number === other.number;
  const status = element("p", { class: "status", role: "status", "aria-live": "off" });
  const questions = image.questions.map((question, q) => Question(question, q));
  const title = element("h2", { id: `image-${number}` }, image.name);
  const size = element("p", { class: "quiet" }, `${image.width} × ${image.height} pixels, ${image.boxes.length} regions`);
  const root = element(
    "section", { "aria-labelledby": `image-${number}`, class: picture.root.classList.contains("small") ? "small" : "large" }, element("div", { class: "heading" }, title, size),
    element("div", { class: "view" }, picture.root, status),
    element("div", { class: "questions" }, ...questions.map((question) => question.root)),
  );
  // Only the section that is in use is read out, though a choice of method changes all of them.
  root.addEventListener("focusin", () => {
    for (const section of sections) section.status.setAttribute("aria-live", section.status === status ? "polite" : "off");
  });
  function clear() {
    if (!(hovered ?? focused ?? chosen)) return;
    hovered = focused = chosen = null;
    show();
  }

  function point(one) {
    if (hovered === one || same(hovered, one)) return;
    hovered = one;
    show();
  }

  function Question(question, place) {
    const name = element("span", { class: "text", dir: "auto" }, question.question);
    const told = element("span", { class: "told" }, ...question.models.flatMap((model) => {
      const first = model.answers[0];
      if (!first) return [];
      const verdict = verdictOf(question, first.answer, 0);
      return [element("span", {}, `${model.title}: `, element("b", {}, first.answer), ` ${probability(first.probability)} `,
        element("span", { class: `verdict ${verdict}` }, verdict))];
    }));
    const truth = question.truth === null ? [] : [element("span", { class: "truth" }, "true answer: ", element("b", {}, question.truth))];
    const button = element("button", { type: "button", class: "question" }, name, ...truth, told);
    const body = element("div", { class: "body" });
    button.addEventListener("click", () => open(place));
    return { root: element("div", { class: "item" }, element("h3", {}, button), body), button, body };
  }

  function open(place) {
    Object.assign(state, { question: place, model: 0, answer: 0, compare: false });
    chosen = focused = hovered = null;
    questions.forEach(({ button, body, root: item }, q) => {
      button.setAttribute("aria-expanded", String(q === place));
      item.classList.toggle("open", q === place);
      body.hidden = q !== place;
    });
    panel.open(image.questions[place]);
    questions[place].body.append(panel.root);
    show();
  }

  function listed(names, values, kind, count) {
    const found = strongest(values, count).filter((i) => formatted(values[i], kind).match(/[1-9]/));
    return found.map((i) => `${names(i)} (${formatted(values[i], kind)})`).join(", ") || "none";
  }

  function told(model, shown, seen, current) {
    const nameOf = (region) => isolated(image.names[region]), wordOf = (word) => `“${isolated(model.tokens[word])}”`;
    const maps = shown.name === ATTENTION ? mapsOf(model, settings) : "", by = maps && ` (${maps})`;
    if (current?.kind === "word") {
      if (!shown.links) return `${wordOf(current.number)}: this method does not say which regions it drew on.`;
      return `${wordOf(current.number)} drew on${by}: ${listed(nameOf, seen.regions.values, seen.regions, 4)}.`;
    }
    if (current?.kind === "region") {
      const own = seen.regions.values ? ` (${formatted(seen.regions.values[current.number], seen.regions)})` : "";
      if (!shown.links) return `“${nameOf(current.number)}”${own}: this method does not say which words drew on it.`;
      return `“${nameOf(current.number)}”${own}: the words that drew on it${by} are ${listed(wordOf, seen.words.values, seen.words, 4)}.`;
    }
    if (shown.regions === null) return "Nothing is known of why.";
    const answer = model.answers[state.answer];
    const lead = shown.name === ATTENTION || !answer ? `Attention, ${maps}`
      : shown.compared ? `“${isolated(answer.answer)}” rather than “${isolated(shown.rival)}”`
        : `“${isolated(answer.answer)}” by ${model.title}, ${probability(answer.probability)}`;
    const words = shown.words ? `; words: ${listed(wordOf, shown.words, shown, 3)}` : "";
    return `${lead}. Regions: ${listed(nameOf, shown.regions, shown, 3)}${words}.`;
  }

  function show() {
    const question = image.questions[state.question], model = question?.models[state.model];
    if (!model) {
      picture.show(null, { signed: false }, hovered?.number ?? null, `${image.name}, ${image.boxes.length} regions`);
      return;
    }
    const shared = { ...settings, ...state }, current = hovered ?? focused ?? chosen;
    const shown = explanation(model, shared), kind = { signed: shown.signed, points: shown.points };
    const seen = { words: { values: shown.words, ...kind }, regions: { values: shown.regions, ...kind } };
    if (current?.kind === "word") seen.regions = shown.ofWord(current.number) ?? seen.regions;
    if (current?.kind === "region") seen.words = shown.ofRegion(current.number) ?? seen.words;
    const text = told(model, shown, seen, current);
    picture.show(seen.regions.values, seen.regions, current?.kind === "region" ? current.number : null,
      `${image.name}, shaded by region. ${text}`);
    panel.show(question, shared, shown, seen, current);
    if (status.textContent !== text) status.textContent = text;
  }

  return { root, status, open, show, clear };
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") sections.forEach((section) => section.clear());
});
settings.method = Object.keys(page.methods)[0] ?? ATTENTION;
for (const [number, image] of page.images.entries()) {
  const section = Section(image, number);
  sections.push(section);
  document.getElementById("images").append(section.root);
  if (image.questions.length) section.open(0);
  else section.show();
}
