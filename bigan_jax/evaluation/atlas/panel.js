// Beside the map: cards, neighbours, search, regions, the list to save; and all that one does.

const hint = [...$("detail").childNodes];

function element(tag, text, parent) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function small(name, i, size, parent) {
  const made = element("canvas", "", parent), {side} = data.sheets[name];
  const pixels = Math.max(side, Math.round(size * devicePixelRatio));
  made.width = made.height = side < 24 ? pixels - pixels % side : pixels;
  const context = made.getContext("2d");
  context.imageSmoothingEnabled = side >= 24;  // Pixels of tiny pictures are seen as such.
  context.imageSmoothingQuality = "high";
  stamp(context, name, i, 0, 0, made.width);
}

function pair(i) {  // a picture, its reconstruction, its name and class
  const made = document.createElement("div");
  made.className = "pair";
  const both = element("div", "", made);
  small("x", i, 144, both);
  small("back", i, 144, both);
  element("span", "picture", both);
  element("span", "reconstruction", both);
  element("b", data.names[i], made);
  if (data.classes[classOf[i]]) element("span", `class ${data.classes[classOf[i]]}`, made);
  return made;
}

function hover(i, x, y) {
  const card = $("card");
  if (i !== hovered) {
    hovered = i;
    card.hidden = i < 0;
    if (i >= 0) card.replaceChildren(pair(i));
    canvas.classList.toggle("pointing", i >= 0);
    ask();
  }
  if (i < 0) return;
  const [w, h] = [card.offsetWidth, card.offsetHeight];
  card.style.left = `${clamp(x + 20 + w > width ? x - 20 - w : x + 20, 0, width - w)}px`;
  card.style.top = `${clamp(y + 20 + h > height ? y - 20 - h : y + 20, 0, height - h)}px`;
}

function choose(i) {  // shows the neighbours of a picture
  chosen = i;
  ask();
  if (i < 0) return $("detail").replaceChildren(...hint);
  $("detail").replaceChildren(pair(i));
  const others = [...neighbours(i)], box = document.createElement("div");
  const alike = others.filter((j) => classOf[j] === classOf[i]).length;
  const told = data.classes.length > 1 ? `, ${alike} of ${others.length} of its class` : "";
  element("h2", `Nearest by features${told}`, $("detail"));
  box.id = "near";
  for (const j of others) {
    const button = element("button", "", box);
    button.title = data.names[j];
    button.style.borderColor = colours[classOf[j]];
    small("x", j, 44, button);
    button.onclick = () => { reveal(j); choose(j); };
  }
  $("detail").append(box);
  $("detail").scrollIntoView({block: "nearest"});
}

function reveal(i) {
  const [x, y] = [screenX(i), screenY(i)];
  if (x > 0 && y > 0 && x < width && y < height) return;
  Object.assign(view, {x: places[2 * i], y: places[2 * i + 1]});
}

function refresh() {  // what is found, and how much of it
  const words = $("search").value.trim().toLowerCase();
  let shown = 0;
  for (let i = 0; i < count; i++) shown += found[i] = !hidden(i) && lowered[i].includes(words);
  selectedCount = selected.reduce((sum, one, i) => sum + (one && found[i]), 0);
  faded = selectedCount > 0 || shown < count;
  const counted = (n) => n.toLocaleString("en");
  $("count").textContent = `${counted(shown)} of ${counted(count)} pictures` +
    (words ? " found" : " shown") + (selectedCount ? `, ${counted(selectedCount)} selected` : "");
  $("save").textContent = `Save list of ${counted(selectedCount || shown)}`;
  ask();
}

function inside([x, y], polygon) {  // even-odd rule
  return polygon.reduce((odd, [x1, y1], k) => {
    const [x2, y2] = polygon[(k + 1) % polygon.length];
    return (y1 > y) !== (y2 > y) && x < x1 + (y - y1) / (y2 - y1) * (x2 - x1) ? !odd : odd;
  }, false);
}

function cut(polygon) {  // adds a region to what is selected
  for (const i of all()) if (inside([screenX(i), screenY(i)], polygon)) selected[i] = 1;
  setCutting(false);
  refresh();
}

function setCutting(on) {
  cutting = on;
  $("region").setAttribute("aria-pressed", on);
  canvas.classList.toggle("cutting", on);
}

function clear() {
  selected.fill(0);
  lasso = null;
  setCutting(false);
  choose(-1);
  refresh();
}

function csv() {  // of what is selected or, if nothing is, of all that is found
  const quoted = (text) => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const listed = [...data.names.keys()].filter((i) => found[i] && bright(i));
  const rows = listed.map((i) => [data.names[i], data.classes[classOf[i]]]);
  return [["file", "class"], ...rows].map((row) => `${row.map(quoted).join(",")}\r\n`).join("");
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], {type: "text/csv;charset=utf-8"}));
  link.download = "pictures.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function legend() {
  if (data.classes.length < 2) return;
  const head = element("h2", "Classes ", $("legend"));
  const buttons = data.classes.map((name, c) => {
    const button = element("button", "", $("legend"));
    element("i", "", button).style.background = colours[c];
    button.append(`${name || "(no class)"} ${classOf.reduce((sum, d) => sum + (d === c), 0)}`);
    button.onclick = () => show([c], off.has(c));
    return button;
  });
  const show = (some, on) => {
    for (const c of some) {
      on ? off.delete(c) : off.add(c);
      buttons[c].setAttribute("aria-pressed", on);
    }
    refresh();
  };
  const every = [...buttons.keys()];
  show(every, true);
  element("button", "all", head).onclick = () => show(every, true);
  head.append(" ");
  element("button", "none", head).onclick = () => show(every, false);
}

function press(event) {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
  lasso = null;
  hover(-1);
  if (pointers.size > 1) return;
  moved = 0;
  if (event.shiftKey || cutting) lasso = [[event.offsetX, event.offsetY]];
}

function move(event) {
  const at = [event.offsetX, event.offsetY], before = pointers.get(event.pointerId);
  if (!before) return hover(event.pointerType === "touch" ? -1 : pick(...at), ...at);
  const [x, y] = [at[0] - before[0], at[1] - before[1]];
  pointers.set(event.pointerId, at);
  moved += Math.hypot(x, y);
  if (lasso) lasso.push(at);
  if (lasso) return ask();
  const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
  if (!other) return pan(x, y);
  const apart = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
  pan(x / 2, y / 2);
  zoomAt((at[0] + other[0]) / 2, (at[1] + other[1]) / 2, apart(at) / apart(before));
}

function release(event) {
  pointers.delete(event.pointerId);
  const polygon = lasso;
  lasso = null;
  if (event.type === "pointerup" && moved < 5) choose(pick(event.offsetX, event.offsetY));
  else if (polygon && event.type === "pointerup") cut(polygon);
  ask();
}

function turn(event) {
  event.preventDefault();
  const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : event.ctrlKey ? 5 : 1;
  hover(-1);
  zoomAt(event.offsetX, event.offsetY, Math.exp(-lines * event.deltaY / 500));
}

function type(event) {
  const keys = {
    ArrowLeft: () => pan(60, 0), ArrowRight: () => pan(-60, 0), ArrowUp: () => pan(0, 60),
    ArrowDown: () => pan(0, -60), "+": () => zoomAt(width / 2, height / 2, 1.4),
    "-": () => zoomAt(width / 2, height / 2, 1 / 1.4), "0": () => frame(order),
  };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
}

function resize() {
  [width, height] = [$("map").clientWidth, $("map").clientHeight];
  canvas.width = Math.round(width * devicePixelRatio);
  canvas.height = Math.round(height * devicePixelRatio);
  ask();
}

async function start() {
  for (const [name, sheet] of Object.entries(data.sheets)) {
    await $(name).decode();
    sheet.image = await createImageBitmap($(name));
  }
  const hands = {pointerdown: press, pointermove: move, pointerup: release, pointercancel: release,
    pointerleave: () => hover(-1), wheel: turn, keydown: type};
  for (const [kind, act] of Object.entries(hands)) canvas.addEventListener(kind, act);
  const buttons = {region: () => setCutting(!cutting), clear, fit: () => frame(order), save};
  for (const [name, act] of Object.entries(buttons)) $(name).addEventListener("click", act);
  $("search").addEventListener("input", refresh);
  $("search").addEventListener("keydown", ({key}) => { if (key === "Enter") frame(all()); });
  window.addEventListener("keydown", ({key}) => { if (key === "Escape") clear(); });
  new ResizeObserver(resize).observe($("map"));
  resize();
  legend();
  refresh();
  window.atlas = {csv, at: (i) => [screenX(i), screenY(i)], view};  // for who drives the page
}

start();
