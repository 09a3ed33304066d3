const LABELS = 190, LANE = 22, GAP = 5, AXIS = 34, RIGHT = 12;
const view = document.getElementById("view"), tip = document.getElementById("tip"), story = document.getElementById("story");
const threads = Object.values(data.threads), tasks = Object.values(data.tasks);

// Words.
const name = pid => data.tasks[pid]?.name || (pid === 1 ? "init" : pid ? `pid ${pid}` : "the kernel");
const twins = pid => tasks.filter(task => name(task.pid) === name(pid)).length > 1;
const who = pid => twins(pid) ? `${name(pid)} (pid ${pid})` : name(pid);
const pidOf = thread => data.threads[thread]?.pid ?? 0;
const span = nanos => nanos < 1e6 ? `${Math.round(nanos / 1e3).toLocaleString("en")} µs` : nanos < 1e9 ? `${(nanos / 1e6).toLocaleString("en", { maximumFractionDigits: 2 })} ms`
  : `${(nanos / 1e9).toLocaleString("en", { maximumFractionDigits: 2 })} s`;
const at = time => `${((time - data.from) / 1e6).toLocaleString("en", { minimumFractionDigits: 3, maximumFractionDigits: 3 })} ms`;
const voucherName = place => `voucher v${data.vouchers[place].number}`;

// Time. The view shows a range of places, `from` to `to`. Places are times without idle time: where no thread runs for
// long, a short piece stands for the whole.
let folded = true, stops = [], from, to;
function warp() {
  const runs = threads.flatMap(thread => thread.runs).sort((a, b) => a.from - b.from), idle = [];
  let busy = 0, end = data.from;
  for (const run of runs) {
    if (run.from > end) idle.push([end, run.from]);
    busy += Math.max(0, run.to - Math.max(run.from, end));
    end = Math.max(end, run.to);
  }
  const piece = Math.max(busy * .015, 1000);
  stops = [{ time: data.from, place: 0, gap: false }];
  const add = (time, length, gap) => stops.push({ time, place: stops.at(-1).place + length, gap });
  for (const [begin, stop] of folded ? idle.filter(([begin, stop]) => stop - begin > 4 * piece) : []) {
    add(begin, begin - stops.at(-1).time, false);
    add(stop, piece, true);
  }
  add(Math.max(data.to, data.from + 1), Math.max(data.to, data.from + 1) - stops.at(-1).time, false);
}
/** Maps a value from one field of the stops to the other, in a straight line between two stops. */
function between(value, key, other) {
  let low = 0, high = stops.length - 1;
  while (high - low > 1) { const middle = (low + high) >> 1; if (stops[middle][key] <= value) low = middle; else high = middle; }
  const a = stops[low], b = stops[high], part = b[key] > a[key] ? (value - a[key]) / (b[key] - a[key]) : 0;
  return a[other] + part * (b[other] - a[other]);
}
const placeOf = time => between(time, "time", "place"), timeOf = place => between(place, "place", "time");
const width = () => view.clientWidth || 900;
const px = place => LABELS + (place - from) / (to - from) * (width() - LABELS - RIGHT);
const x = time => px(placeOf(time));
const left = time => Math.max(x(time), LABELS);
const seen = (a, b) => placeOf(b) >= from && placeOf(a) <= to;

// Tasks that belong to no boost and do no work for others are folded: one lane, no messages.
const open = new Set();
for (const boost of data.boosts) {
  open.add(boost.pid);
  if (boost.message !== null) open.add(pidOf(data.messages[boost.message].sender));
}
for (const work of data.work) open.add(work.pid);
for (const charge of data.charges) if (charge.holder !== charge.merchant) { open.add(charge.holder); open.add(charge.merchant); }
if (!open.size) tasks.forEach(task => open.add(task.pid));

let chosen = null;
/** The colour of a priority: from blue (0) over green to red (63 and above). */
const colour = priority => `hsl(${220 - Math.min(priority, 63) / 63 * 220} 60% 48%)`;

function make(tag, attributes, parent = view, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}
/** Gives a drawing the words that are shown while the pointer is on it. */
function tell(node, words) { node.words = words; return node; }
/** Lanes for intervals so that those of one lane do not overlap. */
function pack(intervals) {
  const ends = [];
  return intervals.map(([begin, end]) => {
    let lane = ends.findIndex(last => last < begin);
    if (lane < 0) lane = ends.push(0) - 1;
    ends[lane] = end;
    return lane;
  });
}

// What is drawn: the tasks of the story with their threads and boosts, vouchers, accounts, then the folded tasks.
const vouchers = data.vouchers.map((voucher, place) => ({ ...voucher, place, end: voucher.to ?? data.to })).filter(voucher => voucher.end > voucher.from);
const voucherLanes = pack(vouchers.map(voucher => [voucher.from, voucher.end]));
// A row for each queue with work, in which pieces of work that overlap lie below each other.
const queues = new Map(), labels = new Map(data.queues.map(queue => [`${queue.pid} ${queue.number}`, queue.label]));
data.work.forEach((work, place) => {
  const key = `${work.pid} ${work.queue}`;
  if (!queues.has(key)) queues.set(key, { pid: work.pid, label: labels.get(key) ?? `queue ${work.queue}`, works: [] });
  queues.get(key).works.push({ ...work, place, end: work.ended ?? data.to });
});
for (const queue of queues.values()) queue.lanes = pack(queue.works.map(work => [work.submitted, work.end]));
const accounts = new Map();
for (const charge of data.charges) {
  const key = `${charge.holder} ${charge.merchant}`;
  if (!accounts.has(key)) accounts.set(key, { holder: charge.holder, merchant: charge.merchant, charges: [], all: 0 });
  accounts.get(key).charges.push(charge);
  accounts.get(key).all += charge.nanos;
}
function rows() {
  const list = [], owned = pid => threads.filter(thread => thread.pid === pid);
  const order = [...tasks].sort((a, b) => open.has(b.pid) - open.has(a.pid) || a.pid - b.pid);
  const own = ({ pid }) => {
    const lanes = owned(pid), isOpen = open.has(pid);
    list.push({ kind: "task", pid, lanes: isOpen && lanes.length > 1 ? [] : lanes, isOpen, high: LANE });
    if (!isOpen) return;
    if (lanes.length > 1) for (const thread of lanes) list.push({ kind: "thread", thread, high: LANE - 4 });
    for (const queue of queues.values()) if (queue.pid === pid) list.push({ kind: "queue", queue, high: 15 * (Math.max(...queue.lanes) + 1) + 4 });
    if (data.boosts.some(boost => boost.pid === pid)) list.push({ kind: "boosts", pid, high: 30 });
  };
  order.filter(task => open.has(task.pid)).forEach(own);
  for (const thread of threads.filter(thread => !data.tasks[thread.pid])) list.push({ kind: "thread", thread, high: LANE - 4 });
  if (vouchers.length) list.push({ kind: "vouchers", high: 18 * (Math.max(...voucherLanes) + 1) + 4 });
  for (const account of [...accounts.values()].sort((a, b) => b.all - a.all)) list.push({ kind: "account", account, high: 30 });
  order.filter(task => !open.has(task.pid)).forEach(own);
  let y = AXIS;
  for (const row of list) { y += ["boosts", "thread", "queue"].includes(row.kind) ? 0 : GAP; row.y = y; y += row.high + 1; }
  return [list, y + GAP];
}

function draw() {
  view.replaceChildren();
  const [list, high] = rows(), lane = new Map();
  view.setAttribute("height", high + 10);
  view.classList.toggle("dim", chosen !== null);
  const definitions = make("defs", {});
  for (const id of ["arrow", "boosting", "marked"])
    make("path", { d: "M 0 0 L 7 3 L 0 6 z" }, make("marker", { id, viewBox: "0 0 7 6", refX: 7, refY: 3, markerWidth: 7, markerHeight: 6, markerUnits: "userSpaceOnUse", orient: "auto" }, definitions));
  make("path", { d: "M -2 8 L 8 -2 M 2 12 L 12 2" }, make("pattern", { id: "hatch", width: 8, height: 8, patternUnits: "userSpaceOnUse" }, definitions));
  for (const row of list) make("rect", { class: "lane", x: LABELS, y: row.y, width: width() - LABELS, height: row.high });
  axis(high);
  for (const row of list) {
    if (row.kind === "thread") lane.set(row.thread.number, row.y + row.high / 2);
    if (row.kind === "task" && row.isOpen) for (const thread of row.lanes) lane.set(thread.number, row.y + row.high / 2);
    ({ task: drawTask, thread: drawThread, queue: drawQueue, boosts: drawBoosts, vouchers: drawVouchers, account: drawAccount })[row.kind](row);
  }
  data.messages.forEach((message, place) => drawMessage(message, place, lane));
  for (const row of list) if (row.kind === "boosts") drawSteps(row);
  make("line", { class: "cursor", id: "cursor", y1: AXIS - 4, y2: high, visibility: "hidden" });
  make("text", { class: "soft", id: "now", y: 10, visibility: "hidden" });
}

function axis(high) {
  const raw = (to - from) / Math.max(3, (width() - LABELS) / 120), base = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(n => n * base).find(n => n >= raw);
  let last = -Infinity;
  for (let n = 1; n < stops.length; n++) {
    const a = stops[n - 1], b = stops[n];
    if (b.place < from || a.place > to) continue;
    if (b.gap) {
      const begin = Math.max(px(a.place), LABELS), wide = px(b.place) - begin;
      if (wide < 1) continue;
      tell(make("rect", { class: "gap", x: begin, y: AXIS, width: wide, height: high - AXIS }), `Nothing runs for ${span(b.time - a.time)}\nfrom ${at(a.time)}`);
      make("text", { class: "soft", x: begin + wide / 2, y: AXIS - 16, "text-anchor": "middle" }, view, `${span(b.time - a.time)} idle`);
      continue;
    }
    const begin = Math.max(a.time, timeOf(from)), end = Math.min(b.time, timeOf(to));
    for (let time = data.from + Math.ceil((begin - data.from) / step) * step; time <= end; time += step) {
      const place = x(time);
      make("line", { class: "rule", x1: place, x2: place, y1: AXIS - 6, y2: high });
      if (place - last < 70 || place > width() - 40) continue;
      make("text", { class: "soft", x: place + 3, y: AXIS - 9 }, view, step < 1e6 ? `${Math.round((time - data.from) / 1e3).toLocaleString("en")} µs` : `${Math.round((time - data.from) / 1e6).toLocaleString("en")} ms`);
      last = place;
    }
  }
}
function drawTask(row) {
  const task = data.tasks[row.pid];
  const label = make("text", { class: row.isOpen ? "name" : "soft", x: 8, y: row.y + 15, style: "cursor: pointer" }, view, `${row.isOpen ? "▾" : "▸"} ${name(row.pid)}`);
  make("tspan", { class: "soft", style: "font-weight: 400; font-size: 11px; fill: var(--soft)" }, label, `  pid ${row.pid}`);
  label.toggle = row.pid;
  tell(label, `${name(row.pid)}, pid ${row.pid}, child of ${who(task.parent)}\nbegan at ${at(task.begun)}` + (task.ended ? `, ended at ${at(task.ended)}` : "")
    + `\nclick to ${row.isOpen ? "fold: its messages are hidden then" : "unfold"}`);
  for (const thread of row.lanes) drawRuns(thread, row);
  if (task.ended && seen(task.ended, task.ended)) make("text", { class: "soft", x: x(task.ended) + 3, y: row.y + 15 }, view, "✕ ended");
}
function drawThread(row) {
  make("text", { class: "soft", x: 30, y: row.y + 13 }, view, `thread ${row.thread.number}`);
  drawRuns(row.thread, row);
}
function drawRuns(thread, row) {
  const y = row.y + row.high / 2;
  for (const [begin, end] of thread.ready) if (seen(begin, end)) {
    const a = left(begin), b = Math.min(x(end), width());
    if (b - a < 1.5) continue;
    tell(make("path", { class: "ready", d: `M ${a} ${y} H ${b}` }), `${who(thread.pid)} waits for the processor\nfor ${span(end - begin)}, from ${at(begin)}`);
  }
  let drawn = -1;
  for (const run of thread.runs) if (seen(run.from, run.to)) {
    const a = left(run.from), wide = Math.max(Math.min(x(run.to), width()) - a, 1.2);
    if (a + wide < drawn + .7) continue;
    drawn = a + wide;
    const bar = make("rect", { class: "run", x: a, y: row.y + 3, width: wide, height: row.high - 6, rx: Math.min(2, wide / 3), fill: colour(run.priority) });
    tell(bar, `${who(thread.pid)} runs at priority ${run.priority}\nfor ${span(run.to - run.from)}, from ${at(run.from)}\nthread ${thread.number}`);
    if (chosen?.pids.has(thread.pid)) bar.classList.add("chosen");
    if (wide > 18) make("text", { class: "inside", x: a + 3, y: y + 3.5 }, view, run.priority);
  }
}
/** The work of a queue: pale while it waits, full while it runs. It is chosen with the voucher that it holds. */
function drawQueue(row) {
  const { queue } = row;
  make("text", { class: "soft", x: 30, y: row.y + 14 }, view, queue.label);
  queue.works.forEach((work, n) => {
    if (!seen(work.submitted, work.end)) return;
    const y = row.y + 15 * queue.lanes[n] + 3, place = time => Math.max(Math.min(x(time), width()), LABELS), begun = work.begun ?? work.end;
    const group = tell(make("g", { class: "work", id: `work-${work.place}` }), workStory(work, queue));
    if (chosen && work.voucher !== null && chosen.vouchers.has(work.voucher)) group.classList.add("chosen");
    make("rect", { class: "waits", x: place(work.submitted), y: y + 3, width: Math.max(place(begun) - place(work.submitted), 1), height: 7 }, group);
    if (work.begun === null) return;
    const wide = Math.max(place(work.end) - place(begun), 2);
    make("rect", { class: "works", x: place(begun), y, width: wide, height: 13, rx: Math.min(2, wide / 3) }, group);
    const words = work.voucher === null ? "no voucher" : `v${data.vouchers[work.voucher].number}`;
    if (wide > 7 * words.length) make("text", { class: "inside", x: place(begun) + 4, y: y + 10 }, group, words);
  });
}
function levels(row) {
  const changes = data.boosts.map((boost, place) => ({ ...boost, place })).filter(boost => boost.pid === row.pid);
  const most = Math.max(1, ...changes.map(boost => boost.boosts));
  return [changes, most, count => row.y + row.high - 6 - count / most * (row.high - 13)];
}
function drawBoosts(row) {
  const [changes, most, level] = levels(row);
  make("text", { class: "soft", x: 30, y: row.y + 19 }, view, most > 1 ? `boosts, up to ${most}` : "boosts");
  const begun = changes.findLast(boost => placeOf(boost.time) < from)?.boosts ?? 0;
  let path = `M ${LABELS} ${level(begun)}`;
  for (const boost of changes) if (seen(boost.time, boost.time)) path += ` H ${x(boost.time)} V ${level(boost.boosts)}`;
  make("path", { class: "area", d: `${path} H ${width()} V ${level(0)} Z` });
  make("path", { class: "boost", d: `${path} H ${width()}` });
}
function drawSteps(row) {
  const [changes, , level] = levels(row), dots = [];
  for (const boost of changes) if (seen(boost.time, boost.time)) {
    const dot = make("circle", { class: "step", id: `boost-${boost.place}`, cx: x(boost.time), cy: level(boost.boosts), r: boost.change === "moved" ? 3.5 : 5, tabindex: 0 });
    dot.boost = boost.place;
    tell(dot, `${boostStory(boost)}\n${at(boost.time)} · ${boost.boosts} now, ${boost.external} of them held by vouchers\nclick for the cause`);
    if (chosen?.boosts.has(boost.place)) dots.push(dot);
  }
  for (const dot of dots) { dot.classList.add("chosen"); view.append(dot); }
}
function drawVouchers(row) {
  make("text", { x: 8, y: row.y + 15, "font-weight": 600 }, view, "vouchers");
  vouchers.forEach((voucher, n) => {
    if (!seen(voucher.from, voucher.end)) return;
    const y = row.y + 18 * voucherLanes[n] + 2, a = left(voucher.from), wide = Math.max(Math.min(x(voucher.end), width()) - a, 2);
    const band = make("rect", { class: "voucher", id: `voucher-${voucher.place}`, x: a, y: y + 2, width: wide, height: 13, rx: Math.min(3, wide / 3) });
    band.classList.toggle("boosting", voucher.boosts > 0);
    if (chosen?.vouchers.has(voucher.place)) band.classList.add("chosen");
    tell(band, `${voucherName(voucher.place)}${voucher.boosts ? ` holds a boost of ${who(voucher.boosts)}` : ""}\nmade in a step of ${who(pidOf(voucher.maker))}\nfrom ${at(voucher.from)}`
      + (voucher.to === null ? ", still alive" : ` to ${at(voucher.to)}, when its last reference went`) + voucher.adopted.map(([thread, begin]) => `\nadopted by ${who(pidOf(thread))} at ${at(begin)}`).join("")
      + [...queues.values()].flatMap(queue => queue.works.filter(work => work.voucher === voucher.place).map(work => `\nheld by work on ${queue.label} of ${who(work.pid)}, ${at(work.submitted)} to ${at(work.end)}`)).join(""));
    for (const [, begin, stop] of voucher.adopted) {
      const b = left(begin), long = Math.min(x(stop ?? voucher.end), width()) - b;
      if (long > 0) make("rect", { class: "adopted", x: b, y: y + 12, width: Math.max(long, 1), height: 3, "pointer-events": "none" });
    }
    const words = `v${voucher.number}` + (voucher.boosts ? ` · boost of ${name(voucher.boosts)}` : "");
    if (wide > 7 * words.length) make("text", { class: voucher.boosts ? "inside" : "inside pale", x: a + 4, y: y + 11.5 }, view, words);
  });
}
function drawAccount(row) {
  const { holder, merchant, charges, all } = row.account;
  make("text", { x: 8, y: row.y + 13 }, view, holder === merchant ? `${who(holder)} pays itself` : `${who(holder)} pays`);
  if (holder !== merchant) make("text", { class: "soft", x: 30, y: row.y + 26 }, view, `for ${who(merchant)}`);
  const level = sum => row.y + row.high - 4 - sum / all * (row.high - 9);
  let sum = charges.filter(charge => placeOf(charge.time) < from).reduce((sum, charge) => sum + charge.nanos, 0), path = `M ${LABELS} ${level(sum)}`;
  for (const charge of charges) if (seen(charge.time, charge.time)) {
    path += ` H ${left(charge.time - charge.nanos)} `;
    sum += charge.nanos;
    path += `L ${left(charge.time)} ${level(sum)}`;
  }
  tell(make("path", { class: "bill", d: path + ` H ${width()}` }), `${who(merchant)} worked ${span(all)} on the account of ${who(holder)}\nin ${charges.length} charges`);
  make("text", { class: "bill", x: LABELS - 6, y: row.y + 26, "text-anchor": "end" }, view, span(all));
}
function drawMessage(message, place, lane) {
  const y1 = message.sender ? lane.get(message.sender) : lane.get(message.receiver) - 14, y2 = lane.get(message.receiver);
  const end = message.ended ?? message.sent;
  if (!(y1 >= 0) || (message.receiver !== null && y2 === undefined) || !seen(message.sent, end)) return;
  const a = x(message.sent), b = x(end);
  if (Math.max(a, b) < LABELS) return;
  const line = { x1: Math.max(a, LABELS), y1, x2: Math.max(b, a + .1), y2: y2 ?? y1 + 9 };
  const arrow = make("line", { class: "message" + (message.raised ? " raised" : ""), id: `message-${place}`, ...line });
  if (chosen?.messages.has(place)) arrow.classList.add("chosen");
  tell(make("line", { class: "catch", ...line }), messageStory(message));
}

// Stories.
function messageStory(message) {
  const ended = message.ended === null ? "" : span(message.ended - message.sent);
  let words = `${who(pidOf(message.sender))} sends message ${message.id}`;
  words += message.receiver === null ? "" : ` to ${who(pidOf(message.receiver))}`;
  words += `\non port p${message.port} at ${at(message.sent)}`;
  words += message.fate ? `\n${message.fate} after ${ended}` : "\nstill on its way at the end";
  if (message.voucher_sent) words += `\nsent with voucher v${message.voucher_sent}`;
  if (message.voucher_received) words += `\nreceived with voucher v${message.voucher_received}`;
  return words + (message.raised ? "\nIt boosts its receiver." : message.linked ? "\nIt would boost its receiver if its sender were a donor." : "");
}
function workStory(work, queue) {
  let words = `${who(work.pid)}: work on queue ${queue.label}` + (work.class ? `, ${work.class}` : "") + `\nsubmitted at ${at(work.submitted)} by ${who(pidOf(work.submitter))}, thread ${work.submitter}`;
  if (work.begun !== null) words += `\nbegun ${span(work.begun - work.submitted)} later on thread ${work.worker}`;
  words += work.ended === null ? "\nnot done at the end" : work.dropped ? `\ndropped at ${at(work.ended)}` : `\ndone at ${at(work.ended)}`;
  return words + (work.voucher === null ? "\nIt holds no voucher." : `\nIt holds ${voucherName(work.voucher)}` + (data.vouchers[work.voucher].boosts ? `, and so a boost of ${who(data.vouchers[work.voucher].boosts)}.` : "."));
}
/** One sentence on a change of boosts. */
function boostStory(boost) {
  const me = who(boost.pid), message = data.messages[boost.message ?? -1], sender = message ? who(pidOf(message.sender)) : "somebody";
  const held = boost.voucher === null ? "a voucher" : voucherName(boost.voucher);
  const ended = message && data.tasks[pidOf(message.sender)]?.ended <= boost.time;
  return {
    sent: `${me} gets a boost: ${sender} sends message ${message?.id} to port p${message?.port}` + (message?.voucher_sent ? `, with voucher v${message.voucher_sent}` : ""),
    received: `${me} receives message ${message?.id}: the boost belongs to ${held} now`,
    donor: boost.voucher === null ? `${me} gets a boost: ${sender} has become a donor while its message ${message?.id} waits on port p${message?.port}`
      : `${me} gets its boost back: ${sender} is a donor again, and ${held} is still alive`,
    voucher: `${me} loses a boost: the last reference to ${held} is gone`,
    "no donor": `${me} loses a boost: ${sender}, through whom it came, ${ended ? "has ended" : "is no donor any more"}`,
    message: `${me} loses a boost: message ${message?.id} is gone, and no voucher holds the boost`,
    delayed: `${me} has no boost any more, and keeps its policy for a while`,
    other: `${me}: boosts ${boost.change}`,
  }[boost.why];
}
/** All that a change of boosts follows from, and what is drawn of it. */
function chain(place) {
  const found = { place, boosts: new Set(), messages: new Set(), vouchers: new Set(), pids: new Set() }, todo = [place];
  while (todo.length) {
    const next = todo.pop();
    if (next === null || found.boosts.has(next)) continue;
    found.boosts.add(next);
    const boost = data.boosts[next];
    found.pids.add(boost.pid);
    if (boost.message !== null) { found.messages.add(boost.message); found.pids.add(pidOf(data.messages[boost.message].sender)); }
    if (boost.voucher !== null) found.vouchers.add(boost.voucher);
    todo.push(boost.origin, boost.source);
  }
  return found;
}
const sorted = set => [...set].sort((a, b) => a - b);
function choose(place, zooms) {
  chosen = place === null || !data.boosts[place] ? null : chain(place);
  if (chosen && zooms) {
    const times = sorted(chosen.boosts).flatMap(n => [data.boosts[n].time, ...(data.boosts[n].message === null ? [] : [data.messages[data.boosts[n].message].sent])]);
    for (const n of chosen.vouchers) if (data.vouchers[n].to !== null) times.push(data.vouchers[n].to);
    const a = placeOf(Math.min(...times)), b = placeOf(Math.max(...times)), margin = Math.max((b - a) * .12, 2000);
    [from, to] = [a - margin, b + margin];
  }
  tellStory();
  draw();
}
function add(tag, text, parent = story, kind) {
  const node = document.createElement(tag);
  node.textContent = text;
  if (kind) node.className = kind;
  parent.append(node);
  return node;
}
/** A line of text that chooses a change of boosts. */
function link(text, place, parent) {
  const node = add("a", text, parent);
  node.tabIndex = 0;
  node.onclick = () => choose(place, true);
  return node;
}
/** The chain as a path: who sent what to whom, through which port, and which voucher holds it. */
function path(found) {
  const hops = sorted(found.messages).map(n => [n, data.messages[n]]).filter(([, message]) => message.raised);
  const words = [];
  for (const [n, message] of hops) {
    const boost = data.boosts.find(boost => boost.message === n), holder = data.boosts.find(boost => boost.message === n && boost.voucher !== null);
    if (words.at(-1) !== who(pidOf(message.sender))) words.push(who(pidOf(message.sender)));
    words.push(`message ${message.id}`, `port p${message.port}`);
    if (holder) words.push(voucherName(holder.voucher));
    words.push(who(boost.pid));
  }
  return words;
}
function tellStory() {
  story.replaceChildren();
  if (!chosen) return tellLegend();
  const last = data.boosts[chosen.place];
  add("h2", "Why");
  add("p", boostStory(last) + ".");
  add("h2", "The chain");
  const way = add("p", "", story, "path");
  path(chosen).forEach((words, n) => { if (n) way.append(" → "); add("span", words, way); });
  add("h2", "Step by step");
  const list = add("ol", "");
  const first = data.boosts[sorted(chosen.boosts)[0]];
  if (first.message !== null && first.why !== "donor") add("li", `${who(pidOf(data.messages[first.message].sender))} is a donor by itself.`, list);
  for (const n of sorted(chosen.boosts)) link(`${at(data.boosts[n].time)}  ${boostStory(data.boosts[n])}.`, n, add("li", "", list));
  const after = data.boosts.map((boost, n) => [boost, n]).filter(([boost, n]) => !chosen.boosts.has(n) && (chosen.boosts.has(boost.source) || chosen.boosts.has(boost.origin)));
  if (after.length) {
    add("h2", "What follows");
    const follows = add("ul", "");
    for (const [boost, n] of after) link(`${at(boost.time)}  ${boostStory(boost)}.`, n, add("li", "", follows));
  }
  add("p", "Escape or a click beside everything leads back.", story, "hint");
}
function tellLegend() {
  add("h2", "What is shown");
  const list = add("ul", "");
  list.style = "list-style: none; padding: 0";
  for (const [kind, line] of [["run", "a thread has the processor; the colour is its priority, from 0 (blue) to 63 (red)"], ["ready", "it waits for the processor"],
    ["message", "a message, from its sender when sent to its receiver when received"], ["raised", "a message that boosts its receiver"], ["boost", "how many boosts a task has; each ● is a change"],
    ["voucher", "a voucher, from creation to last reference; strong if it holds a boost, underlined while adopted"], ["work", "work on a queue: pale while it waits, full while it runs, with the voucher that it holds"], ["bill", "processor time that one task works on the account of another"]]) {
    const item = add("li", "", list);
    add("span", "", item, `key ${kind}`);
    item.append(line);
  }
  add("h2", "Boosts");
  const roots = data.boosts.map((boost, n) => [boost, n]).filter(([boost]) => boost.change === "added");
  const begun = add("ul", "");
  for (const [boost, n] of roots.slice(0, 200)) link(`${at(boost.time)}  ${path(chain(n)).filter(words => !/^(port|message|voucher) /.test(words)).join(" → ") || who(boost.pid)}`, n, add("li", "", begun));
  if (!roots.length) add("p", "No task was boosted.");
  if (roots.length > 200) add("p", `and ${roots.length - 200} more`);
  const total = Object.values(data.counts).reduce((a, b) => a + b, 0), short = data.vouchers.length - vouchers.length;
  add("h2", "In numbers");
  add("p", `${total} events, ${data.messages.length} messages, ${data.vouchers.length} vouchers (${short} of them lived within one step and are not drawn), ${data.boosts.length} changes of boosts`
    + (data.lost ? `; ${data.lost} events were lost: parts of the story are missing` : ""));
  add("p", "Tasks with ▸ are folded: they take no part in a boost. Click a name to unfold it.", story, "hint");
}

// Moving about.
const whole = () => stops.at(-1).place;
function zoom(factor, middle = (from + to) / 2) {
  const part = (middle - from) / (to - from), length = Math.min(Math.max((to - from) * factor, 500), whole() * 1.1);
  from = middle - length * part;
  to = from + length;
  draw();
}
function move(by) { from += by; to += by; draw(); }
function fit() { [from, to] = [-whole() * .01, whole() * 1.02]; draw(); }
function fold() {
  const [a, b] = [timeOf(from), timeOf(to)];
  folded = !folded;
  document.getElementById("idle").setAttribute("aria-pressed", folded);
  warp();
  [from, to] = [placeOf(a), placeOf(b)];
  if (to - from < 500) fit(); else draw();
}
const placeAt = pixel => from + (pixel - LABELS) / (width() - LABELS - RIGHT) * (to - from);

view.addEventListener("wheel", event => {
  if (event.ctrlKey || event.altKey) return;
  event.preventDefault();
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) move((to - from) * (event.deltaX || event.deltaY) / 1000);
  else zoom(event.deltaY > 0 ? 1.25 : .8, placeAt(event.offsetX));
}, { passive: false });
let held = null, dragged = false;
view.addEventListener("pointerdown", event => { held = event.clientX; dragged = false; });
addEventListener("pointerup", () => { held = null; });
view.addEventListener("pointermove", event => {
  if (held !== null && event.buttons && (dragged || Math.abs(event.clientX - held) > 3)) {
    dragged = true;
    const by = (held - event.clientX) / (width() - LABELS) * (to - from);
    held = event.clientX;
    return move(by);
  }
  const cursor = document.getElementById("cursor"), now = document.getElementById("now"), inside = event.offsetX > LABELS;
  for (const node of [cursor, now]) node.setAttribute("visibility", inside ? "visible" : "hidden");
  cursor.setAttribute("x1", event.offsetX);
  cursor.setAttribute("x2", event.offsetX);
  now.setAttribute("x", event.offsetX + 4);
  now.textContent = at(timeOf(placeAt(event.offsetX)));
  showTip(event.target.words ?? event.target.parentNode?.words, event.clientX, event.clientY);
});
function showTip(words, left, top) {
  tip.style.display = words ? "block" : "none";
  tip.textContent = words ?? "";
  tip.style.left = Math.min(left + 14, innerWidth - tip.offsetWidth - 8) + "px";
  tip.style.top = Math.min(top + 14, innerHeight - tip.offsetHeight - 8) + "px";
}
view.addEventListener("pointerleave", () => showTip());
view.addEventListener("click", event => {
  const target = event.target, pid = target.toggle ?? target.parentNode?.toggle;
  if (dragged) return;
  if (target.boost !== undefined) choose(target.boost, false);
  else if (pid !== undefined) { if (!open.delete(pid)) open.add(pid); draw(); }
  else if (chosen && !target.words) choose(null);
});
const search = document.getElementById("search");
search.addEventListener("keydown", event => {
  if (event.key === "Enter") find(search.value.trim().toLowerCase(), event.shiftKey ? -1 : 1);
  if (event.key === "Escape") search.blur();
});
let hit = { text: "", place: -1 };
/** Goes to the next thing whose story has this text, or to the one before. */
function find(text, direction) {
  if (!text) return;
  const things = [
    ...data.messages.map(message => [message.sent, messageStory(message)]),
    ...vouchers.map(voucher => [voucher.from, `${voucherName(voucher.place)} begins` + (voucher.boosts ? `, which holds a boost of ${who(voucher.boosts)}` : "")]),
    ...data.boosts.map((boost, n) => [boost.time, boostStory(boost), n]),
    ...[...queues.values()].flatMap(queue => queue.works.map(work => [work.submitted, workStory(work, queue)])),
    ...tasks.map(task => [task.begun, `${who(task.pid)}, pid ${task.pid}, begins`]),
  ].filter(([, words]) => words.toLowerCase().includes(text)).sort((a, b) => a[0] - b[0]);
  hit = hit.text === text ? { text, place: hit.place + direction } : { text, place: 0 };
  story.replaceChildren();
  if (!things.length) { add("h2", "Nothing found"); add("p", `No story of a task, message, voucher or boost has “${text}” in it.`); return; }
  hit.place = (hit.place + things.length) % things.length;
  const [time, words, boost] = things[hit.place], length = Math.min(to - from, whole() / 12);
  [from, to] = [placeOf(time) - length / 2, placeOf(time) + length / 2];
  if (boost !== undefined) choose(boost, false);
  else { chosen = null; add("p", words).style = "white-space: pre-line"; draw(); }
  const count = add("h2", `${hit.place + 1} of ${things.length}: “${text}”`);
  story.prepend(count);
  const mark = make("line", { class: "rule", x1: x(time), x2: x(time), y1: 0, y2: view.clientHeight });
  mark.style.stroke = "var(--mark)";
}
function turn() {
  const dark = getComputedStyle(document.body).backgroundColor === "rgb(20, 23, 27)";
  document.documentElement.style.colorScheme = dark ? "light" : "dark";
}
for (const [id, act] of [["fit", fit], ["theme", turn], ["idle", fold]]) document.getElementById(id).addEventListener("click", act);
addEventListener("keydown", event => {
  if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = {
    "+": () => zoom(.8), "=": () => zoom(.8), "-": () => zoom(1.25), ArrowLeft: () => move((from - to) / 8), ArrowRight: () => move((to - from) / 8),
    "0": fit, d: turn, i: fold, "/": () => search.focus(), Escape: () => choose(null),
    Enter: () => { if (event.target.boost !== undefined) choose(event.target.boost, false); else event.target.onclick?.(); },
  }[event.key];
  if (act) { event.preventDefault(); act(); }
});
addEventListener("resize", draw);
/**
 * `#boost-3` in the address chooses a change of boosts, `#click-3` clicks on its dot as a user would, and `#dark` or
 * `#light` chooses the colours. Several may stand there, with commas between them.
 */
function follow() {
  const words = location.hash.slice(1).split(",");
  for (const scheme of ["dark", "light"]) if (words.includes(scheme)) document.documentElement.style.colorScheme = scheme;
  const place = words.map(word => /^boost-(\d+)$/.exec(word)).find(match => match)?.[1];
  if (place !== undefined) choose(Number(place), true);
  const dot = words.map(word => /^click-(\d+)$/.exec(word)).find(match => match)?.[1];
  if (dot !== undefined) document.getElementById(`boost-${dot}`)?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
}
addEventListener("hashchange", follow);
warp();
tellStory();
fit();
follow();
