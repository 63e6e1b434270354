// The map of the atlas: thumbnails on a canvas, the view of it, and which of them count.
// panel.js, in the same script, is what stands beside it, and hears mouse, fingers and keys.
"use strict";

const LARGEST = 96;  // pixels of a thumbnail, however far one zooms
const DOT = 8;  // pixels below which a thumbnail is drawn as a dot
const FURTHEST = 400;  // zoom
const COLOURS = ["#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1",
  "#ff9da7", "#9c755f", "#222a68"];
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const numbers = (text) => new Uint16Array(
  Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
const count = data.names.length;
const places = Float64Array.from(numbers(data.places), (step) => step / 65535);
const classOf = numbers(data.classOf), near = numbers(data.near);
const lowered = data.names.map((name) => name.toLowerCase());
const order = [...data.names.keys()].sort((i, j) => places[2 * i + 1] - places[2 * j + 1]);
const colours = data.classes.map((name, i) => name === "" ? "#b5b5b5" :
  COLOURS[i] || `hsl(${Math.round(i * 137.5) % 360} 60% 50%)`);

const canvas = document.querySelector("#map canvas"), pen = canvas.getContext("2d");
const view = {x: 0.5, y: 0.5, zoom: 1};  // which point is in the middle, and how large
const off = new Set();  // classes that the legend hides
const found = new Uint8Array(count).fill(1);  // by the search, of classes that are shown
const selected = new Uint8Array(count);
const pointers = new Map();  // {id: [x, y]} of fingers and buttons that are down
let width = 1, height = 1, hovered = -1, chosen = -1, selectedCount = 0, moved = 0;
let lasso = null, cutting = false, asked = false, faded = false;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const scale = () => 0.92 * Math.min(width, height) * view.zoom;
const thumb = () => Math.min(LARGEST, view.zoom ** 0.55 *
  clamp(0.92 * Math.min(width, height) * Math.sqrt(1 / count), 3, 64));
const screenX = (i) => (places[2 * i] - view.x) * scale() + width / 2;
const screenY = (i) => (places[2 * i + 1] - view.y) * scale() + height / 2;
const bright = (i) => found[i] && (!selectedCount || selected[i]);
const hidden = (i) => off.has(classOf[i]);
const all = () => order.filter((i) => found[i]);

function stamp(context, name, i, x, y, size) {
  const {image, side, cell} = data.sheets[name];
  const row = Math.floor(i / data.columns), column = i % data.columns;
  context.drawImage(image, column * cell, row * cell, side, side, x, y, size, size);
}

function ask() {
  if (!asked) requestAnimationFrame(draw);
  asked = true;
}

function draw() {
  asked = false;
  const size = thumb(), half = size / 2, far = half + 2, by = scale();
  const left = width / 2 - view.x * by, top = height / 2 - view.y * by;
  pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  pen.clearRect(0, 0, width, height);
  for (const second of faded ? [false, true] : [true]) {  // What counts lies above the rest.
    pen.globalAlpha = second ? 1 : 0.12;
    for (const i of order) {
      const x = left + places[2 * i] * by, y = top + places[2 * i + 1] * by;
      if (x < -far || y < -far || x > width + far || y > height + far) continue;
      if (Boolean(bright(i)) === second && !hidden(i)) drawOne(i, x, y, size);
    }
  }
  drawMarks(size);
}

function drawOne(i, x, y, size, edge = size > 24 ? 2 : 1, colour = colours[classOf[i]]) {
  const half = size / 2;
  pen.fillStyle = colour;
  if (size < DOT) return pen.fillRect(x - half, y - half, size, size);
  pen.fillRect(x - half - edge, y - half - edge, size + 2 * edge, size + 2 * edge);
  stamp(pen, "x", i, x - half, y - half, size);
}

function drawMarks(size) {
  const large = Math.max(1.3 * size, 24);
  if (chosen >= 0) {
    pen.lineWidth = 1;
    pen.strokeStyle = "#1a1a1a99";
    pen.beginPath();
    for (const j of neighbours(chosen)) {
      pen.moveTo(screenX(chosen), screenY(chosen));
      pen.lineTo(screenX(j), screenY(j));
    }
    pen.stroke();
    for (const j of neighbours(chosen)) drawOne(j, screenX(j), screenY(j), Math.max(size, 16));
    drawOne(chosen, screenX(chosen), screenY(chosen), large, 4, "#1a1a1a");
  }
  if (hovered >= 0) drawOne(hovered, screenX(hovered), screenY(hovered), large, 3);
  if (lasso) {
    pen.beginPath();
    for (const [x, y] of lasso) pen.lineTo(x, y);
    pen.closePath();
    pen.fillStyle = "#1a1a1a22";
    pen.fill();
    pen.lineWidth = 1.5;
    pen.strokeStyle = "#1a1a1a";
    pen.stroke();
  }
}

function neighbours(i) {
  return near.subarray(i * data.nearest, (i + 1) * data.nearest);
}

function pick(x, y) {
  const reach = Math.max(thumb() / 2, 5);
  for (let k = count - 1; k >= 0; k--) {
    const i = order[k];
    if (bright(i) && Math.abs(screenX(i) - x) < reach && Math.abs(screenY(i) - y) < reach) return i;
  }
  return -1;
}

function zoomAt(x, y, factor) {
  const before = scale();
  view.zoom = clamp(view.zoom * factor, 0.5, FURTHEST);
  const change = 1 / before - 1 / scale();
  view.x += (x - width / 2) * change;
  view.y += (y - height / 2) * change;
  ask();
}

function pan(x, y) {
  view.x = clamp(view.x - x / scale(), 0, 1);
  view.y = clamp(view.y - y / scale(), 0, 1);
  ask();
}

function frame(some) {  // moves so that these pictures fill the window
  const spread = (axis) => some.reduce(([low, high], i) => [
    Math.min(low, places[2 * i + axis]), Math.max(high, places[2 * i + axis])], [1, 0]);
  if (!some.length) return;
  const [x, y] = [spread(0), spread(1)];
  const span = Math.max(x[1] - x[0], y[1] - y[0], 0.05);
  Object.assign(view, {x: (x[0] + x[1]) / 2, y: (y[0] + y[1]) / 2, zoom: Math.max(1, 0.9 / span)});
  ask();
}
