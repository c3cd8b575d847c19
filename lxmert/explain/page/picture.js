// The large picture: in color where regions count, faded elsewhere, with outlines and names of the strongest regions.

const NAMED = 5; // regions with a name on the picture
const SVG = "http://www.w3.org/2000/svg";
let pictures = 0;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function Picture(image, events) {
  const ratio = image.width / image.height, width = 1000, height = 1000 / ratio, id = `mask-${pictures++}`;
  const places = image.boxes.map(([x1, y1, x2, y2]) => ({
    x: x1 * width, y: y1 * height, width: Math.max(x2 - x1, 0) * width, height: Math.max(y2 - y1, 0) * height,
  }));
  const areas = places.map((place) => place.width * place.height);
  // A region of the whole image says nothing of where in the image something is: it lights nothing, unless all do so.
  const whole = areas.map((area) => area >= page.whole * width * height), allWhole = whole.every(Boolean);
  const largestFirst = areas.map((_, i) => i).sort((a, b) => areas[b] - areas[a] || a - b);
  const rectangles = (kind) => places.map((place) => drawn("rect", { class: kind, ...place }));
  const lights = rectangles("light"), casings = rectangles("casing"), lines = rectangles("line");
  const targets = rectangles("target");
  const full = { width, height };
  const ground = drawn("rect", full), lit = drawn("g"), outlines = drawn("g");
  const svg = drawn(
    "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", preserveAspectRatio: "none" },
    drawn("mask", { id, maskUnits: "userSpaceOnUse", x: 0, y: 0, ...full }, ground, lit),
    drawn("image", { class: "faded", href: image.source, preserveAspectRatio: "none", ...full }),
    drawn("image", { href: image.source, preserveAspectRatio: "none", mask: `url(#${id})`, ...full }),
    outlines,
    drawn("g", {}, ...largestFirst.map((region) => targets[region])), // the smallest are hit first
  );
  const names = element("div", { class: "names", "aria-hidden": "true" });
  const root = element("div", { class: "picture" }, svg, names);
  root.style.setProperty("--ratio", ratio);
  if (Math.max(image.width, image.height) < 200) root.classList.add("small"); // its pixels are shown

  targets.forEach((target, region) => {
    target.dataset.region = region;
    target.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && events.hover(region));
  });
  svg.addEventListener("pointerleave", () => events.hover(null));
  svg.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse" && !event.target.dataset.region) events.hover(null);
  });
  svg.addEventListener("click", (event) => {
    const bounds = svg.getBoundingClientRect();
    const x = ((event.clientX - bounds.left) / bounds.width) * width;
    const y = ((event.clientY - bounds.top) / bounds.height) * height;
    const hit = (p) => x >= p.x && x <= p.x + p.width && y >= p.y && y <= p.y + p.height;
    events.choose([...largestFirst].reverse().filter((region) => hit(places[region])));
  });

  let drawnOrder = null;

  // Names where they hide least: in a corner of their region, or beside it, and apart from each other.
  function arrange() {
    const { clientWidth: across, clientHeight: down } = root, placed = [];
    for (const name of names.children) {
      const place = places[name.dataset.region];
      const [left, top] = [(place.x / width) * across, (place.y / height) * down];
      const [right, bottom] = [left + (place.width / width) * across, top + (place.height / height) * down];
      const [w, h] = [name.offsetWidth, name.offsetHeight];
      const columns = [left, right - w], rows = [top - h, top, bottom - h, bottom];
      const wanted = rows.flatMap((y) => columns.map((x) => [x, y]));
      for (let step = 1; step <= 4; step++) wanted.push([left, top + step * h], [left, top - h - step * h]);
      const fitting = wanted.map(([x, y]) => [Math.max(0, Math.min(x, across - w)), Math.max(0, Math.min(y, down - h))]);
      const hidden = ([x, y]) => placed.reduce((sum, other) => sum
        + Math.max(0, Math.min(x + w, other.x + other.w) - Math.max(x, other.x))
        * Math.max(0, Math.min(y + h, other.y + other.h) - Math.max(y, other.y)), 0);
      const [x, y] = fitting.reduce((best, place) => (hidden(place) < hidden(best) ? place : best));
      placed.push({ x, y, w, h });
      name.style.transform = `translate(${x}px, ${y}px)`;
    }
  }
  new ResizeObserver(arrange).observe(root);

  // Shade by shares [R] of a kind (with signs or not); `current` is the region that is chosen, or null.
  function show(values, kind, current, description) {
    const order = values ? strongest(values) : areas.map((_, i) => i);
    const largest = values?.length ? Math.abs(values[order[0]]) : 0;
    const strength = (region) => (largest ? Math.abs(values[region]) / largest : 0);
    const named = order.filter((region) => strength(region) > 0.02).slice(0, NAMED);
    if (current !== null && !named.includes(current)) named.unshift(current);
    const lighting = order.filter((region) => allWhole || !whole[region]);
    const brightest = values && lighting.length ? Math.abs(values[lighting[0]]) : 0;
    const gray = (region) => { // of the mask: black hides
      const level = brightest && lighting.includes(region) ? Math.round(255 * (Math.abs(values[region]) / brightest) ** 1.5) : 0;
      return level ? `rgb(${level},${level},${level})` : "none";
    };
    ground.setAttribute("fill", values ? "#000" : "#fff");
    const drawing = [...order].reverse(); // where regions overlap, the strongest is seen
    for (const region of drawing) lights[region].setAttribute("fill", gray(region));
    if (current !== null) drawing.push(current);
    if (drawing.join() !== drawnOrder) {
      drawnOrder = drawing.join();
      lit.append(...order.map((region) => lights[region]).reverse());
      outlines.append(...drawing.flatMap((region) => [casings[region], lines[region]]));
    }
    [casings, lines].flat().forEach((rectangle, i) => {
      const region = i % places.length;
      const sign = kind.signed && values?.[region] < 0 ? "against" : "for";
      const role = region === current ? "current" : current === null && named.includes(region) ? "strong"
        : named.includes(region) ? "named" : "weak";
      rectangle.setAttribute("class", `${i < places.length ? "casing" : "line"} ${role} ${sign}`);
    });
    names.replaceChildren(...named.map((region) => {
      const sign = kind.signed && values?.[region] < 0 ? "against" : "for";
      const number = values ? ` ${formatted(values[region], kind)}` : "";
      const name = element("span", { class: `name ${sign}` }, element("span", { dir: "auto" }, image.names[region]), element("b", {}, number));
      name.dataset.region = region;
      if (region === current) name.classList.add("current");
      return name;
    }));
    arrange();
    svg.setAttribute("aria-label", description);
  }

  return { root, show };
}
