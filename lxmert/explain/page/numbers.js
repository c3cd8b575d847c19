// What the numbers of the page are: shares of words and regions, and the links between words and regions.

const page = JSON.parse(document.getElementById("data").textContent);
const ATTENTION = "attention, layer by layer"; // beside the methods: shown where the model's maps are known
const unpackedArrays = new WeakMap();

function unpacked(array) {
  if (!unpackedArrays.has(array)) {
    const bytes = Uint8Array.from(atob(array.data), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    unpackedArrays.set(array, Float64Array.from({ length: bytes.length / 2 }, (_, i) => view.getInt16(2 * i, true) * array.scale));
  }
  return unpackedArrays.get(array);
}

// A matrix [words, regions] of an array whose last two axes these are.
function matrix(array, start = 0) {
  const [words, regions] = array.shape.slice(-2);
  const values = unpacked(array).subarray(start, start + words * regions);
  return {
    row: (word) => Array.from(values.subarray(word * regions, (word + 1) * regions)),
    column: (region) => Array.from({ length: words }, (_, word) => values[word * regions + region]),
  };
}

// The mean over the chosen layers and heads; -1 is all of them.
function meanAttention(array, layer, head) {
  const [layers, heads, words, regions] = array.shape;
  const values = unpacked(array), size = words * regions, mean = new Float64Array(size);
  const chosen = (count, one) => (one >= 0 && one < count ? [one] : Array.from({ length: count }, (_, i) => i));
  const maps = chosen(layers, layer).flatMap((l) => chosen(heads, head).map((h) => l * heads + h));
  for (const map of maps) for (let i = 0; i < size; i++) mean[i] += values[map * size + i] / maps.length;
  return {
    row: (word) => Array.from(mean.subarray(word * regions, (word + 1) * regions)),
    column: (region) => Array.from({ length: words }, (_, word) => mean[word * regions + region]),
    means: Array.from({ length: regions }, (_, r) => {
      let sum = 0;
      for (let word = 0; word < words; word++) sum += mean[word * regions + r];
      return sum / words;
    }),
  };
}

function shares(values) {
  const sum = values.reduce((total, value) => total + Math.abs(value), 0);
  return values.map((value) => (sum ? value / sum : 0));
}

// What speaks for one answer rather than another. Values with signs are parts of a score, so that their differences are
// parts of the difference of scores; other values are compared by their shares.
function contrast(one, other, signed) {
  if (signed) return shares(one.map((value, i) => value - other[i]));
  const [first, second] = [shares(one), shares(other)];
  return first.map((value, i) => value - second[i]);
}

// The method that is shown: the one that is chosen, or the first of those that explain the answer.
function methodOf(model, answer, chosen) {
  const names = Object.keys(model.answers[answer]?.methods ?? {});
  if (names.includes(chosen) || (chosen === ATTENTION && model.attention)) return chosen;
  return Object.keys(page.methods).find((name) => names.includes(name)) ?? (model.attention ? ATTENTION : null);
}

// The number of the answer that another is compared with: the first, and for the first the second.
const rivalOf = (answer) => (answer === 0 ? 1 : 0);

// Which of the maps of a model are shown, in words: "layer 2, mean of all heads".
function mapsOf(model, { layer, head }) {
  const [layers, heads] = model.attention.shape, one = [layer >= 0 && layer < layers, head >= 0 && head < heads];
  if (!one[0] && !one[1]) return `mean of all ${model.attentionLayers} and heads`;
  return `${one[0] ? `layer ${layer + 1}` : `mean of all ${model.attentionLayers}`}, ${one[1] ? `head ${head + 1}` : "mean of all heads"}`;
}

// What is shown for an answer: shares of words and regions, and of what a word and a region are linked with. `rival` is
// the answer that it can be compared with, `compared` whether it is.
function explanation(model, settings) {
  const name = methodOf(model, settings.answer, settings.method), plain = { signed: false, points: false };
  if (name === null) return { name, words: null, regions: null, ...plain, ofWord: () => null, ofRegion: () => null };
  if (name === ATTENTION) {
    const maps = meanAttention(model.attention, settings.layer, settings.head);
    return {
      name, words: null, regions: shares(maps.means), ...plain, links: "maps",
      ofWord: (word) => ({ values: shares(maps.row(word)), ...plain }),
      ofRegion: (region) => ({ values: shares(maps.column(region)), ...plain }),
    };
  }
  const view = model.answers[settings.answer].methods[name];
  const other = page.methods[name].dependsOnAnswer ? model.answers[rivalOf(settings.answer)] : undefined;
  const rival = settings.compare ? other?.methods[name] : undefined;
  const { signed } = page.methods[name];
  const kind = { signed: signed || Boolean(rival), points: Boolean(rival) && !signed };
  const combined = (values) => (rival ? contrast(values(view), values(rival), signed) : shares(values(view)));
  let links = null, linked = () => null;
  if (view.links) {
    links = "method";
    linked = (part) => ({ values: combined((of) => part(matrix(of.links))), ...kind });
  } else if (model.attention) {
    links = "attention";
    linked = (part) => ({ values: shares(part(meanAttention(model.attention, -1, -1))), ...plain });
  }
  return {
    name, words: combined((of) => of.words), regions: combined((of) => of.regions), ...kind, links,
    rival: other?.methods[name] && other.answer, compared: Boolean(rival),
    ofWord: (word) => linked((of) => of.row(word)),
    ofRegion: (region) => linked((of) => of.column(region)),
  };
}

function formatted(share, kind) {
  const percent = Math.abs(share) * 100;
  const digits = percent >= 9.95 ? percent.toFixed(0) : percent.toFixed(1);
  if (Number(digits) === 0) return kind.points ? "0" : "0%";
  const sign = kind.signed ? (share < 0 ? "−" : "+") : "";
  return sign + digits + (kind.points ? " pp" : "%");
}

function probability(value) {
  if (value > 0 && value < 0.0005) return "<0.1%";
  if (value >= 0.9995 && value < 1) return ">99.9%";
  const whole = (value >= 0.0995 && value < 0.995) || value === 0 || value === 1;
  return `${(value * 100).toFixed(whole ? 0 : 1)}%`;
}

// The largest first, by their size.
function strongest(values, count) {
  const order = values.map((_, i) => i).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a]) || a - b);
  return count === undefined ? order : order.slice(0, count);
}

// A text from right to left, so that what stands beside it in a sentence keeps its place.
const isolated = (text) => (/[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]/.test(text) ? `\u2068${text}\u2069` : text);

const isSpecial = (token) => /^\[(CLS|SEP|MASK|PAD)\]$/.test(token);
