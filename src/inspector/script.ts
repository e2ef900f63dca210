/**
 * The script of the page, as the browser runs it. What comes from a peer or a user becomes text nodes, never markup: the
 * script makes elements by name, and has no other way to make any.
 */
export const SCRIPT = String.raw`"use strict";
const $ = (id) => document.getElementById(id);
const ROWS = 500, POINTS = 60;
const COLUMNS = [
  ["id", (s) => s.id], ["state", (s) => s.state], ["class", (s) => s.name], ["thread", (s) => s.loop],
  ["local", (s) => address(s.local)], ["remote", (s) => address(s.remote)],
  ["TLS", (s) => s.tls ? (s.tls.version || "") + (s.tls.isSecure ? "" : " …") : ""],
  ["read", (s) => s.bytesRead, size], ["in/s", (s) => rateOf(s, "in"), size], ["written", (s) => s.bytesWritten, size],
  ["out/s", (s) => rateOf(s, "out"), size], ["reads", (s) => s.pendingReads], ["current read", (s) => words(s.reads[0])],
  ["due", (s) => due(s.reads[0]), duration], ["writes", (s) => s.pendingWrites], ["unread", (s) => s.unreadBytes, size],
  ["unsent", (s) => s.unsentBytes, size], ["open", (s) => s.openMs === null ? -1 : s.openMs, duration],
];
let data = null, receivedAt = 0, sortBy = 0, falling = false, selected = null, paused = false;
const history = new Map(), served = new Map();

function address(a) {
  if (!a) return "";
  if (a.family === "unix") return a.path || "unix";
  return (a.family === "IPv6" ? "[" + a.address + "]" : a.address) + ":" + a.port;
}
function size(n) {
  if (!(n > 0)) return "0";
  const unit = Math.min(4, Math.floor(Math.log(n) / Math.log(1024)));
  return unit === 0 ? String(Math.round(n)) : (n / 1024 ** unit).toFixed(1) + " " + ["", "KiB", "MiB", "GiB", "TiB"][unit];
}
function duration(ms) {
  if (ms === null || ms === undefined || ms < 0 || ms === Infinity) return "";
  if (ms < 1000) return Math.round(ms) + " ms";
  return ms < 120000 ? (ms / 1000).toFixed(1) + " s" : Math.round(ms / 60000) + " min";
}
function words(e) { return e ? e.kind + (e.tag === null ? "" : " " + e.tag) : ""; }
function due(e) { return e && e.dueInMs !== null ? e.dueInMs : Infinity; }
function keyOf(s) { return s.thread + "/" + s.id; }
function rateOf(s, way) { const h = history.get(keyOf(s)); return h ? h[way][h[way].length - 1] || 0 : 0; }

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}
/** Makes a list of children what it should be, keeps those with the same key, and so keeps the focus. */
function keyed(parent, items, key, make, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let before = null;
  for (const item of items) {
    const name = String(key(item));
    let child = old.get(name);
    old.delete(name);
    if (!child) { child = make(item); child.dataset.key = name; }
    update(child, item);
    const place = before ? before.nextSibling : parent.firstChild;
    if (child !== place) parent.insertBefore(child, place);
    before = child;
  }
  for (const child of old.values()) child.remove();
}
function setText(node, text) { if (node.textContent !== text) node.textContent = text; }
function cells(row, texts) {
  while (row.cells.length < texts.length) row.append(element("td"));
  texts.forEach((text, i) => setText(row.cells[i], String(text)));
}

function allSockets() {
  return data.loops.flatMap((loop) => loop.sockets.map((s) => ({ ...s, loop: loop.name, thread: loop.threadId })));
}
function remember(sockets, seconds) {
  const seen = new Set();
  for (const s of sockets) {
    const key = keyOf(s);
    seen.add(key);
    const h = history.get(key) || { read: s.bytesRead, written: s.bytesWritten, in: [], out: [] };
    h.in.push(Math.max(0, s.bytesRead - h.read) / seconds);
    h.out.push(Math.max(0, s.bytesWritten - h.written) / seconds);
    if (h.in.length > POINTS) { h.in.shift(); h.out.shift(); }
    h.read = s.bytesRead; h.written = s.bytesWritten;
    history.set(key, h);
  }
  for (const key of history.keys()) if (!seen.has(key)) history.delete(key);
}

function drawHead() {
  const row = $("sockets").tHead.rows[0];
  COLUMNS.forEach(([name], i) => {
    const head = element("th");
    head.scope = "col";
    const button = element("button", name);
    button.type = "button";
    button.addEventListener("click", () => { falling = sortBy === i && !falling; sortBy = i; draw(); });
    head.append(button);
    row.append(head);
  });
}
function drawSockets(sockets) {
  const wanted = $("filter").value.trim().toLowerCase();
  const found = wanted === "" ? sockets : sockets.filter((s) => textOf(s).includes(wanted));
  const [, value] = COLUMNS[sortBy];
  found.sort((a, b) => { const x = value(a), y = value(b); return (x < y ? -1 : x > y ? 1 : a.id - b.id) * (falling ? -1 : 1); });
  [...$("sockets").tHead.rows[0].cells].forEach((cell, i) =>
    i === sortBy ? cell.setAttribute("aria-sort", falling ? "descending" : "ascending") : cell.removeAttribute("aria-sort"));
  const total = data.loops.reduce((sum, loop) => sum + loop.total, 0);
  setText($("count"), Math.min(found.length, ROWS) + " of " + total);
  keyed($("sockets").tBodies[0], found.slice(0, ROWS), keyOf, makeRow, (row, s) => {
    COLUMNS.forEach(([, get, show], i) => {
      const text = show ? show(get(s)) : String(get(s));
      setText(i === 0 ? row.cells[0].firstChild : row.cells[i], text);
    });
    row.cells[13].className = due(s.reads[0]) < 1000 ? "late" : "";
    if (keyOf(s) === selected) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
  });
}
function makeRow(s) {
  const row = element("tr");
  const key = keyOf(s);
  COLUMNS.forEach(() => row.append(element("td")));
  const button = element("button");
  button.type = "button";
  button.title = "Show this socket";
  button.addEventListener("click", () => { selected = selected === key ? null : key; draw(); });
  row.cells[0].append(button);
  return row;
}
function textOf(s) {
  return [...COLUMNS.map(([, get]) => String(get(s))), s.transport, s.host, s.tls && s.tls.peer,
    ...[...s.reads, ...s.writes].map(words)].join(" ").toLowerCase();
}

function drawQueue(list, entries, pending, elapsed) {
  const items = entries.map((e) => ({ e, key: e.id }));
  if (pending > entries.length) items.push({ more: pending - entries.length, key: "more" });
  if (items.length === 0) items.push({ none: true, key: "none" });
  keyed(list, items, (item) => item.key, () => element("li"), (li, { e, more, none }) => {
    li.className = none || more ? "none" : e.state;
    if (none) return setText(li, "nothing queued");
    if (more) return setText(li, more + " more");
    if (li.children.length === 0)
      li.append(element("span", undefined, "kind"), element("span", undefined, "tag"), element("span"), element("progress"), element("span"));
    const [kind, tag, bytes, bar, time] = li.children;
    setText(kind, e.kind + (e.state === "current" ? " — current" : ""));
    setText(tag, e.tag === null ? "no tag" : e.tag);
    const most = e.bytesTotal === null ? e.maxLength : e.bytesTotal;
    setText(bytes, size(e.bytesDone) + (most === null ? "" : " of " + (e.bytesTotal === null ? "≤ " : "") + size(most)));
    bar.setAttribute("aria-label", "bytes of " + e.kind);
    if (most > 0) { bar.max = most; bar.value = Math.min(e.bytesDone, most); } else { bar.max = 1; bar.value = 0; }
    const left = e.dueInMs === null ? null : Math.max(0, e.dueInMs - elapsed);
    setText(time, left !== null ? "times out in " + duration(left) : e.state === "current" ? "no timeout, for " + duration(e.currentMs + elapsed) : "waits for " + duration(e.ageMs + elapsed));
    time.className = left !== null && left < 1000 ? "late" : "";
  });
}
function drawDetail(s, elapsed) {
  $("detail").hidden = !s;
  if (!s) return;
  setText($("detail-title"), s.name + " #" + s.id + ", " + s.state + ", on " + s.loop);
  const tls = s.tls;
  const facts = [["local", address(s.local)], ["remote", address(s.remote)], ["host", s.host], ["transport", s.transport],
    ["client behind the proxy", s.proxied && address(s.proxied.remote)],
    ["TLS", tls && [tls.version, tls.cipher, tls.alpn, tls.resumed ? "resumed" : "", tls.authorized ? "verified" : "not verified"].filter(Boolean).join(", ")],
    ["certificate", tls && tls.peer], ["peer has ended", s.peerEnded ? "yes" : ""], ["stream", s.isStream ? "yes" : ""],
    ["open", duration(s.openMs)], ["idle limit", duration(s.limits.idleMs)], ["closing", s.closeReason && (s.closeReason.message || s.closeReason.by)]]
    .filter(([, value]) => value);
  keyed($("facts"), facts, ([name]) => name, ([name]) => { const made = element("div"); made.append(element("dt", name), element("dd")); return made; },
    (div, [, value]) => setText(div.lastChild, String(value)));
  drawQueue($("reads"), s.reads, s.pendingReads, elapsed);
  drawQueue($("writes"), s.writes, s.pendingWrites, elapsed);
  for (const side of ["read", "write"]) {
    const last = served.get(s.id + side);
    setText($(side + "s-served"), s.thread === 0 && last ? last : "");
  }
  const limits = [["read ahead", s.limits.readAhead], ["write queue", s.limits.writeQueue], ["connections", s.limits.connections]].filter(([, l]) => l);
  keyed($("limits"), limits, ([name]) => name, () => { const made = element("label", undefined, "limit"); made.append(element("span"), element("meter")); return made; },
    (made, [name, { used, limit }]) => {
      const show = name === "connections" ? String : size;
      setText(made.firstChild, name + ": " + show(used) + (limit === null ? ", no limit" : " of " + show(limit)));
      const meter = made.lastChild;
      meter.hidden = limit === null;
      if (limit !== null) { meter.max = Math.max(limit, 1); meter.high = 0.8 * limit; meter.value = Math.min(used, limit); }
    });
  for (const way of ["in", "out"]) drawLine(way, (history.get(keyOf(s)) || { in: [], out: [] })[way]);
}
function drawLine(way, rates) {
  const most = Math.max(1, ...rates);
  const points = rates.map((rate, i) => (i + POINTS - rates.length) * 240 / (POINTS - 1) + "," + (46 - 44 * rate / most));
  $(way).firstElementChild.setAttribute("points", points.join(" "));
  const text = size(rates[rates.length - 1] || 0) + "/s, at most " + size(most) + "/s";
  setText($(way + "-rate"), text);
  $(way).setAttribute("aria-label", text);
}

function drawLoops() {
  keyed($("loops").tBodies[0], data.loops, (l) => l.threadId + l.name, () => element("tr"), (row, l) =>
    cells(row, [l.name, l.threadId, l.state, l.total, l.load === null ? "" : Math.round(l.load * 100) + " %", l.delayMs === null ? "no answer" : duration(l.delayMs)]));
}
function drawCloses() {
  keyed($("counts"), Object.entries(data.counts).sort((a, b) => b[1] - a[1]), ([reason]) => reason, () => element("li"), (li, [reason, n]) => setText(li, n + " × " + reason));
  keyed($("closes").tBodies[0], [...data.closes].reverse(), (c) => c.id + "/" + c.at, () => element("tr"), (row, c) =>
    cells(row, ["#" + c.id, duration(data.at - c.at), c.by, duration(c.openMs), size(c.bytesRead), size(c.bytesWritten), c.message || c.by]));
}
function draw() {
  if (!data) return;
  const sockets = allSockets();
  drawSockets(sockets);
  drawDetail(sockets.find((s) => keyOf(s) === selected), 0);
  drawLoops();
  drawCloses();
}
function noteServed() {
  const last = new Map();
  for (const e of data.served) {
    const key = e.id + e.side;
    const known = last.get(key) || { n: 0, e };
    last.set(key, { n: known.n + 1, e });
  }
  for (const key of [...served.keys()]) if (!data.loops.some((l) => l.sockets.some((s) => key.startsWith(s.id + "r") || key.startsWith(s.id + "w")))) served.delete(key);
  for (const [key, { n, e }] of last)
    served.set(key, n + " since the last look; last: " + e.kind + ", " + size(e.bytes) + " bytes, " + duration(e.ms) + (e.code ? ", " + e.code : ""));
}
function receive(text) {
  if (paused) return;
  const before = data;
  data = JSON.parse(text);
  receivedAt = performance.now();
  remember(allSockets(), before ? Math.max(0.05, (data.at - before.at) / 1000) : 1);
  noteServed();
  draw();
}

drawHead();
$("filter").addEventListener("input", draw);
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  setText($("pause"), paused ? "Go on" : "Pause");
  setText($("status"), paused ? "paused" : "live");
});
setInterval(() => {
  if (!data || paused || !selected) return;
  drawDetail(allSockets().find((s) => keyOf(s) === selected), performance.now() - receivedAt);
}, 100);
const events = new EventSource("events");
events.onopen = () => setText($("status"), paused ? "paused" : "live");
events.onerror = () => setText($("status"), "no connection to the program");
events.onmessage = (event) => receive(event.data);
`;
