"use strict";
// Draws the plain data of `observe/page.py`: once from the file's own data, or again and again for a page that is live.
// Whatever a site has sent is put in as text (textContent, fillText), and nothing is ever read as markup.
(() => {
  const KINDS = ["succeeded", "failed", "skipped", "cancelled"];
  const SPREADS = {head: "to the head of the answer", whole: "to the last byte", connect: "to connect",
    queued: "waiting for the start", parked: "parked"};
  const REASONS = {limit: "limit", share: "limit", rate: "rate", penalty: "penalty", pause: "pause", parked: "parked",
    "event limit": "events", buffer: "taker", consumer: "taker", sinks: "taker", sink: "taker", store: "store",
    source: "source", lookahead: "waiting", nothing: "idle"};
  const MOST_CHARTS = 24;
  const NS = "http://www.w3.org/2000/svg";
  const root = document.getElementById("page");
  const api = window.scrapeengine = {draw, controls: null};

  // -- texts and elements

  function el(tag, props = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
      if (name === "text") made.textContent = value;
      else if (name === "class") made.className = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  function svg(tag, props = {}, text = null) {
    const made = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(props)) made.setAttribute(name, value);
    if (text !== null) made.textContent = text;
    return made;
  }

  const whole = (number) => number.toLocaleString("en");
  const percent = (share) => (share > 0 && share < 0.01 ? "<1 %" : `${Math.round(share * 100)} %`);

  function seconds(value) {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0 s";
    const size = Math.abs(value);
    for (const [unit, name] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"], [1e-3, "ms"]]) {
      if (size >= unit) return `${+(value / unit).toPrecision(3)} ${name}`;
    }
    return `${Math.round(value * 1e6)} µs`;
  }

  function bytes(value) {
    const names = ["B", "kB", "MB", "GB", "TB"];
    let place = 0;
    while (value >= 999.5 && place < names.length - 1) { value /= 1000; place += 1; }
    return `${+value.toPrecision(3)} ${names[place]}`;
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // -- the sections, which are made once and filled again

  const sections = new Map();

  function section(name, title) {
    if (!sections.has(name)) {
      const body = el("div");
      const made = el("section", {"aria-label": title || "The run"}, ...(title ? [el("h2", {text: title})] : []), body);
      sections.set(name, {made, body});
      root.append(made);
    }
    const {made, body} = sections.get(name);
    made.hidden = false;
    return body;
  }

  function without(name) {
    if (sections.has(name)) sections.get(name).made.hidden = true;
  }

  // Order is that of the first draw: all of them are made then, so that a live page does not jump.
  function draw(data) {
    head(section("head", ""), data);
    held(section("held", "What held it back"), data);
    platforms(section("platforms", "Platforms"), data);
    timeline.update(section("timeline", "Timeline"), data);
    spreads(section("spreads", "Latencies"), data);
    paces(section("paces", "Requests over time"), data);
    failures(section("failures", "Failures"), data);
    closings(section("closings", "Closings"), data);
  }

  function head(body, data) {
    const counts = data.outcomes, done = KINDS.reduce((sum, kind) => sum + counts[kind], 0);
    const tile = (name, number, kind = "") => el("div", {class: `tile ${kind}`}, el("b", {text: number}), name);
    const state = data.stopped ? `It ended before its work did: ${data.stopped}.` : data.live ? "It is going on." : "It came to its end.";
    const per = data.elapsed > 0 ? `, ${+(done / data.elapsed).toPrecision(3)} outcomes a second` : "";
    const tiles = [tile("events", whole(data.totals.events)), tile("tasks", whole(data.totals.tasks))];
    for (const kind of KINDS) {
      tiles.push(tile(kind, whole(counts[kind]), kind === "failed" && counts[kind] ? "failed" : ""));
    }
    if (counts.duplicates) tiles.push(tile("duplicates", whole(counts.duplicates)));
    for (const name of ["unread", "undelivered", "returned", "lost", "redelivered"]) {
      if (data.totals[name]) tiles.push(tile(name, whole(data.totals[name])));
    }
    if (data.run) {
      for (const name of ["running", "parked", "waiting", "buffered"]) tiles.push(tile(`${name} now`, whole(data.run[name])));
    }
    const began = new Date(data.started);
    const when = Number.isNaN(began.getTime()) ? data.started : began.toISOString().replace("T", " ").slice(0, 19) + " UTC";
    body.replaceChildren(
      el("h1", {text: data.live ? "A run, now" : "A run"}),
      el("p", {class: "faint", text: `Began ${when}, ${data.live ? "for" : "took"} ${seconds(data.elapsed)}${per}. ${state}`}),
      el("div", {class: "tiles"}, ...tiles),
      ...(data.hint ? [el("p", {class: "hint", text: data.hint})] : []));
  }

  function held(body, data) {
    const known = data.platforms.filter((each) => each.held);
    if (!known.length) return without("held");
    const found = known.slice(0, MOST_CHARTS).map(({name, held: {shares, sentence}}) => {
      const parts = Object.entries(shares).sort((a, b) => (a[0] === "nothing") - (b[0] === "nothing") || b[1] - a[1]);
      const stack = el("div", {class: "stack", role: "img", "aria-label": `${name}: shares of time`});
      for (const [reason, share] of parts) {
        const ink = REASONS[reason] || "waiting";
        const part = el("span", {class: ink, title: `${reason}: ${percent(share)}`, text: share >= 0.08 ? reason : ""});
        part.style.width = `${share * 100}%`;
        part.style.background = `var(--${ink})`;
        stack.append(part);
      }
      const told = parts.map(([reason, share]) => `${reason} ${percent(share)}`).join(" · ");
      return el("div", {class: "held"}, el("p", {text: sentence}), stack, el("p", {class: "faint", text: told}));
    });
    if (data.event_limit >= 0.01) {
      found.push(el("p", {text: `The event limit held some platform back ${percent(data.event_limit)} of the time.`}));
    }
    if (known.length > MOST_CHARTS) found.push(more(known.length - MOST_CHARTS, "platforms"));
    body.replaceChildren(...found);
  }

  const more = (count, what) => el("p", {class: "faint", text: `… and ${whole(count)} more ${what}`});

  // -- the table of platforms: its rows stay, for there may be buttons in them

  const rows = new Map();
  let table = null;

  function platforms(body, data) {
    const live = data.live, recorded = data.platforms.some((each) => each.figures);
    const heads = ["platform", "outcomes", ...KINDS];
    if (live) heads.push("running", "parked", "waiting", "next in", "held by");
    if (recorded) heads.push("requests", "retries", "4xx", "5xx", "received", "opened", "reused", "head p50", "p99");
    if (live && api.controls) heads.push("");
    const key = heads.join();
    if (table === null || table.key !== key) {
      const tbody = el("tbody");
      const top = el("thead", {}, el("tr", {}, ...heads.map((name) => el("th", {scope: "col", text: name}))));
      table = {key, tbody, note: el("div")};
      rows.clear();
      body.replaceChildren(el("div", {class: "wide"}, el("table", {}, top, tbody)), table.note);
    }
    data.platforms.forEach((each, place) => {
      const id = each.key ?? each.name, cells = cellsOf(each, live, recorded);
      let row = rows.get(id);
      if (row === undefined) {
        const made = el("tr", {}, ...cells.map(() => el("td")));
        const buttons = live && api.controls ? api.controls(each) : null;
        if (live && api.controls) made.append(el("td", {class: "text"}, ...(buttons ? [buttons] : [])));
        rows.set(id, row = made);
      }
      cells.forEach((text, number) => {
        if (row.children[number].textContent !== text) row.children[number].textContent = text;
      });
      if (table.tbody.children[place] !== row) table.tbody.insertBefore(row, table.tbody.children[place] ?? null);
    });
    while (table.tbody.children.length > data.platforms.length) {
      const last = table.tbody.lastElementChild;
      for (const [id, row] of rows) if (row === last) rows.delete(id);
      last.remove();
    }
    table.note.replaceChildren(...(data.more_platforms ? [more(data.more_platforms, "platforms")] : []));
  }

  function cellsOf(each, live, recorded) {
    const counts = each.outcomes || {total: 0};
    const cells = [each.name, ...["total", ...KINDS].map((kind) => whole(counts[kind] || 0))];
    const now = each.now, figures = each.figures;
    if (live) {
      cells.push(...(now ? [`${now.running}/${now.limit}`, whole(now.parked), whole(now.waiting), seconds(now.opens_in), now.held_by]
        : ["", "", "", "", ""]));
    }
    if (recorded && figures) {
      const classes = (first) => Object.entries(figures.statuses)
        .reduce((sum, [status, count]) => sum + (status[0] === first ? count : 0), 0);
      cells.push(whole(figures.requests), whole(figures.retries), whole(classes("4")), whole(classes("5")),
        bytes(figures.received + figures.left), whole(figures.opened), whole(figures.reused),
        figures.head.count ? seconds(figures.head.p50) : "–", figures.head.count ? seconds(figures.head.p99) : "–");
    } else if (recorded) cells.push(...Array(9).fill(""));
    return cells;
  }

  // -- the timeline

  const timeline = (() => {
    const LEFT = 130, AXIS = 26, GAP = 8, LANE = 7, LEAST = 26, MOST = 150;
    const LEGEND = [["waiting", "waiting for its start"], ["running", "running"], ["parked", "parked"],
      ["connecting", "connecting"], ["failed", "has failed"], ["skipped", "skipped"], ["cancelled", "cancelled"],
      ["closed", "the platform is closed"]];
    let parts = null, packed = null, closed = [], end = 1, view = null, chosen = -1, waiting = true;

    function make(body) {
      const canvas = el("canvas", {tabindex: "0", role: "img", "aria-describedby": "timeline-keys", "aria-label": "Timeline of tasks, a row for each platform"});
      const told = el("p", {class: "told", role: "status", "aria-live": "polite"});
      const key = ([name, text]) => { const i = el("i"); i.style.background = `var(--${name})`; return el("span", {}, i, text); };
      const button = (text, label, act) => {
        const made = el("button", {type: "button", text, "aria-label": label});
        made.addEventListener("click", act);
        return made;
      };
      const toggle = button("Hide waiting", "Show or hide how long tasks waited for their start", () => {
        waiting = !waiting;
        toggle.textContent = waiting ? "Hide waiting" : "Show waiting";
        paint();
      });
      const bar = el("div", {class: "bar"}, button("+", "Zoom in", () => zoom(0.5)), button("−", "Zoom out", () => zoom(2)),
        button("All", "Show all of it", reset), toggle,
        el("span", {id: "timeline-keys", class: "faint", text: "Mouse wheel or + and − zoom, dragging or ← and → move, ↑ and ↓ go from task to task, Esc shows all."}));
      const note = el("p", {class: "faint"});
      body.replaceChildren(el("div", {class: "legend"}, ...LEGEND.map(key)), bar, el("div", {class: "frame"}, canvas), told, note);
      parts = {canvas, told, note};
      canvas.addEventListener("wheel", wheel, {passive: false});
      canvas.addEventListener("keydown", keydown);
      canvas.addEventListener("pointerdown", drag);
      canvas.addEventListener("pointermove", (event) => { if (!event.buttons) hover(event); });
      new ResizeObserver(() => paint()).observe(canvas.parentElement);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint());
    }

    function update(body, data) {
      const given = data.timeline;
      if (!given && packed === null) return without("timeline");
      if (parts === null) make(body);
      closed = data.closings ? data.closings.shown : [];
      const before = end;
      end = Math.max(data.elapsed, 1e-6);
      if (given) {
        const selected = packed && chosen >= 0 ? packed.bars[chosen][2] : null;
        packed = pack(given);
        chosen = selected === null ? -1 : packed.bars.findIndex((bar) => bar[2] === selected);
        for (const bar of given.bars) end = Math.max(end, bar[7]);
        const left = Object.entries(given.left_out).map(([kind, count]) => `${whole(count)} ${kind}`).join(", ");
        parts.note.textContent = `${whole(given.bars.length)} tasks are shown` + (left ? `: the slowest, failures, the first and the last of each kind, and a sample of the others. Not shown: ${left}.` : ".");
      }
      if (view === null || (view[0] === 0 && view[1] === before)) view = [0, end];
      paint();
    }

    // Bars that overlap lie below one another in their platform's row; the lane that is free for longest is taken first.
    function pack({rows: names, bars}) {
      const lanes = names.map(() => []), place = [];
      const order = bars.map((_, number) => number).sort((a, b) => bars[a][6] - bars[b][6]);
      for (const number of order) {
        const [row] = bars[number], free = lanes[row];
        let lane = free.findIndex((until) => until <= bars[number][6]);
        if (lane < 0) lane = free.push(0) - 1;
        free[lane] = bars[number][7];
        place[number] = lane;
      }
      let top = GAP;
      const tall = lanes.map((row) => {
        const height = Math.min(MOST, Math.max(LEAST, row.length * LANE));
        const found = {top, height, lane: height / Math.max(1, row.length)};
        top += height + GAP;
        return found;
      });
      return {names, bars, place, order, tall, height: top + AXIS};
    }

    const width = () => parts.canvas.clientWidth - LEFT - 12;
    const x = (time) => LEFT + (time - view[0]) / (view[1] - view[0]) * width();

    function paint() {
      if (packed === null || parts.canvas.parentElement.clientWidth === 0) return;
      const {canvas} = parts, ratio = window.devicePixelRatio || 1, wide = canvas.parentElement.clientWidth - 2;
      canvas.style.height = `${packed.height}px`;
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(packed.height * ratio);
      const pen = canvas.getContext("2d");
      pen.scale(ratio, ratio);
      pen.font = "12px system-ui, 'DejaVu Sans', sans-serif";
      const ink = {};
      for (const name of ["text", "faint", "line", "ground", "focus", "waiting", "parked", "connecting", "running", "failed", "skipped", "cancelled", "closed"]) ink[name] = colour(name);
      axis(pen, ink, wide);
      packed.names.forEach((name, row) => {
        const {top, height} = packed.tall[row];
        pen.fillStyle = ink.text;
        pen.fillText(fit(pen, name, LEFT - 18), 10, top + Math.min(height, 26) / 2 + 4);
        pen.strokeStyle = ink.line;
        pen.beginPath();
        pen.moveTo(0, top + height + GAP / 2 + .5);
        pen.lineTo(wide, top + height + GAP / 2 + .5);
        pen.stroke();
      });
      pen.save();
      pen.beginPath();
      pen.rect(LEFT, 0, width() + 12, packed.height - AXIS);
      pen.clip();
      for (const {platform, from, to, until} of closed) {
        const row = packed.names.indexOf(platform);
        if (row < 0) continue;
        const {top, height} = packed.tall[row], left = x(from);
        pen.fillStyle = ink.closed;
        pen.fillRect(left, top - 2, Math.max(1, x(Math.min(to ?? until ?? end, end)) - left), height + 4);
      }
      if (waiting) packed.bars.forEach((_, number) => bar(pen, ink, number, true));
      packed.bars.forEach((_, number) => bar(pen, ink, number, false));
      if (chosen >= 0) mark(pen, ink);
      pen.restore();
    }

    function box(number) {
      const {top, lane} = packed.tall[packed.bars[number][0]];
      return {top: top + packed.place[number] * lane, height: Math.max(1, lane - (lane > 3 ? 1 : 0))};
    }

    function bar(pen, ink, number, wait) {
      const [, , , kind, , accepted, started, ended, , parked, connecting] = packed.bars[number];
      if (ended < view[0] || accepted > view[1]) return;
      const {top, height} = box(number);
      if (wait) {
        pen.fillStyle = ink.waiting;
        pen.fillRect(x(accepted), top + height / 2 - .5, Math.max(0, x(started) - x(accepted)), 1);
        return;
      }
      const left = x(started), over = x(ended);
      const right = Math.max(left + 1, over - left > 3 ? over - 1 : over); // so that one can be told from the next
      pen.fillStyle = ink.running;
      pen.fillRect(left, top, right - left, height);
      for (const [spans, name] of [[parked, "parked"], [connecting, "connecting"]]) {
        pen.fillStyle = ink[name];
        for (let i = 0; i + 1 < spans.length; i += 2) {
          pen.fillRect(x(spans[i]), top, Math.max(.5, x(spans[i + 1]) - x(spans[i])), height);
        }
      }
      if (kind !== "succeeded") {
        pen.fillStyle = ink[kind];
        pen.fillRect(Math.max(left, right - 4), top, Math.min(4, right - left), height);
      }
    }

    function mark(pen, ink) {
      const {top, height} = box(chosen), each = packed.bars[chosen];
      pen.strokeStyle = ink.focus;
      pen.lineWidth = 2;
      const left = x(each[6]);
      pen.strokeRect(left - 2, top - 2, Math.max(1, x(each[7]) - left) + 4, height + 4);
      pen.lineWidth = 1;
    }

    function axis(pen, ink, wide) {
      const bottom = packed.height - AXIS, span = view[1] - view[0];
      const [unit, name] = end >= 7200 ? [3600, "h"] : end >= 300 ? [60, "min"] : [1, "s"];
      const step = nice(span / unit / Math.max(2, width() / 110)) * unit;
      pen.textAlign = "center";
      for (let at = Math.ceil(view[0] / step) * step; at <= view[1] + step * 1e-6; at += step) {
        pen.strokeStyle = ink.line;
        pen.beginPath();
        pen.moveTo(x(at) + .5, 0);
        pen.lineTo(x(at) + .5, bottom + 4);
        pen.stroke();
        pen.fillStyle = ink.faint;
        const text = `${+(at / unit).toFixed(6)} ${name}`;
        pen.fillText(text, Math.min(x(at), wide - pen.measureText(text).width / 2 - 4), bottom + 18);
      }
      pen.textAlign = "left";
      pen.fillText("time", 10, bottom + 18);
    }

    function fit(pen, text, most) {
      if (pen.measureText(text).width <= most) return text;
      let short = text;
      while (short && pen.measureText(short + "…").width > most) short = short.slice(0, -1);
      return short + "…";
    }

    function look(from, to) {
      const least = Math.min(end, Math.max(end * 1e-6, 1e-5));
      const span = Math.min(end, Math.max(least, to - from));
      const start = Math.min(Math.max(0, from), end - span);
      view = [start, start + span];
      paint();
    }

    function zoom(factor, at = (view[0] + view[1]) / 2) {
      look(at - (at - view[0]) * factor, at + (view[1] - at) * factor);
    }

    function reset() {
      chosen = -1;
      parts.told.textContent = "";
      look(0, end);
    }

    function wheel(event) {
      const out = event.deltaY > 0, all = view[1] - view[0] >= end;
      if (out && all) return; // the page's own to scroll
      event.preventDefault();
      const share = Math.min(1, Math.max(0, (event.offsetX - LEFT) / width()));
      zoom(out ? 1.25 : 0.8, view[0] + share * (view[1] - view[0]));
    }

    function drag(event) {
      const {canvas} = parts, from = event.clientX, before = [...view];
      canvas.setPointerCapture(event.pointerId);
      const move = (next) => {
        const by = (from - next.clientX) / width() * (before[1] - before[0]);
        look(before[0] + by, before[1] + by);
      };
      const up = () => canvas.removeEventListener("pointermove", move);
      canvas.addEventListener("pointermove", move);
      canvas.addEventListener("pointerup", up, {once: true});
      canvas.addEventListener("pointercancel", up, {once: true});
    }

    function hover(event) {
      const px = event.offsetX, py = event.offsetY;
      const found = packed.bars.findIndex((each, number) => {
        const {top, height} = box(number);
        return py >= top - 1 && py <= top + height + 1 && px >= x(each[6]) - 2 && px <= Math.max(x(each[6]) + 1, x(each[7])) + 2;
      });
      if (found >= 0 && found !== chosen) choose(found);
    }

    function choose(number) {
      chosen = number;
      const [row, platform, id, kind, error, accepted, started, ended, attempts, parked] = packed.bars[number];
      let waited = 0;
      for (let i = 0; i + 1 < parked.length; i += 2) waited += parked[i + 1] - parked[i];
      const where = platform === packed.names[row] ? platform : `${platform} (${packed.names[row]})`;
      const runs = attempts > 1 ? `, its scraper ran ${attempts} times` : "";
      parts.told.textContent = `${id} on ${where}: ${kind}${error ? ` with ${error}` : ""}${runs}\n`
        + `waited ${seconds(started - accepted)}, started at ${seconds(started)}, took ${seconds(ended - started)}`
        + (waited ? `, of that ${seconds(waited)} parked` : "");
      paint();
    }

    function step(by) {
      if (!packed.order.length) return;
      const at = chosen < 0 ? (by > 0 ? -1 : packed.order.length) : packed.order.indexOf(chosen);
      const next = packed.order[Math.min(packed.order.length - 1, Math.max(0, at + by))];
      const [, , , , , , started, ended] = packed.bars[next];
      if (started < view[0] || ended > view[1]) {
        const span = Math.max(view[1] - view[0], ended - started), middle = (started + ended) / 2;
        look(middle - span / 2, middle + span / 2);
      }
      choose(next);
    }

    function keydown(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const by = (view[1] - view[0]) / 5;
      const acts = {"+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), ArrowLeft: () => look(view[0] - by, view[1] - by),
        ArrowRight: () => look(view[0] + by, view[1] + by), ArrowUp: () => step(-1), ArrowDown: () => step(1), Escape: reset};
      const act = acts[event.key];
      if (act === undefined) return;
      event.preventDefault();
      act();
    }

    return {update, state: () => ({view: view && [...view], chosen, end})};
  })();
  api.timeline = timeline.state;

  // -- charts

  function nice(least) {
    const power = 10 ** Math.floor(Math.log10(least));
    return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= least * 0.999) ?? 10 * power;
  }

  function frame(wide, tall, label) {
    return svg("svg", {viewBox: `0 0 ${wide} ${tall}`, role: "img", "aria-label": label});
  }

  let spreadKind = "head", spreadBar = null;

  function spreads(body, data) {
    const known = data.platforms.filter((each) => each.spread);
    if (!known.length) return without("spreads");
    if (spreadBar === null) {
      const select = el("select", {id: "spread"}, ...Object.entries(SPREADS).map(([value, text]) => el("option", {value, text})));
      spreadBar = {bar: el("div", {class: "bar"}, el("label", {for: "spread", text: "Time"}), select), charts: el("div")};
      select.addEventListener("change", () => { spreadKind = select.value; spreadBar.again(); });
      body.replaceChildren(spreadBar.bar, spreadBar.charts);
    }
    spreadBar.again = () => {
      const with_ = known.filter((each) => each.spread[spreadKind].length);
      const most = with_.slice(0, MOST_CHARTS).map((each) => spreadChart(each));
      if (!with_.length) most.push(el("p", {class: "faint", text: "There was none of these."}));
      const grid = el("div", {class: "charts"}, ...most);
      spreadBar.charts.replaceChildren(grid, ...(with_.length > MOST_CHARTS ? [more(with_.length - MOST_CHARTS, "platforms")] : []));
    };
    spreadBar.again();
  }

  function spreadChart(each) {
    const steps = each.spread[spreadKind].filter(([from, to]) => to > 0), figures = each.figures[spreadKind];
    const wide = 340, tall = 150, left = 40, right = 10, bottom = 34, top = 8;
    const low = Math.log10(Math.max(steps[0][0], 1e-6)), high = Math.log10(steps.at(-1)[1]);
    const most = Math.max(...steps.map(([, , count]) => count), 1);
    const px = (time) => left + (Math.log10(Math.max(time, 1e-6)) - low) / Math.max(high - low, 1e-9) * (wide - left - right);
    const py = (count) => tall - bottom - count / most * (tall - bottom - top);
    const made = frame(wide, tall, `${each.name}: how many took how long`);
    for (const count of [0, most]) {
      made.append(svg("line", {x1: left, x2: wide - right, y1: py(count), y2: py(count), stroke: "var(--line)"}));
      made.append(svg("text", {x: left - 5, y: py(count) + 4, "text-anchor": "end"}, whole(count)));
    }
    for (const [from, to, count] of steps) {
      if (!count) continue;
      const bar = svg("rect", {x: px(from) + .5, width: Math.max(1, px(to) - px(from) - 1), y: py(count), height: tall - bottom - py(count), fill: "var(--running)"});
      bar.append(svg("title", {}, `${seconds(from)} to ${seconds(to)}: ${whole(count)}`));
      made.append(bar);
    }
    ticks(made, low, high, px, tall - bottom);
    made.append(svg("text", {x: (wide + left) / 2, y: tall - 4, "text-anchor": "middle"}, "time, logarithmic"));
    const told = `${whole(figures.count)} in all: p50 ${seconds(figures.p50)}, p90 ${seconds(figures.p90)}, p99 ${seconds(figures.p99)}, at most ${seconds(figures.most)}`;
    return el("div", {class: "chart"}, el("h3", {text: each.name}), made, el("p", {class: "faint", text: told}));
  }

  // Powers of ten, or between them too where there are few.
  function ticks(made, low, high, px, base) {
    const shares = high - low < 1.3 ? [1, 2, 3, 5] : high - low < 2.5 ? [1, 3] : [1];
    let last = -Infinity;
    for (let power = Math.floor(low); power <= high; power += 1) {
      for (const share of shares) {
        const at = share * 10 ** power, place = px(at);
        if (Math.log10(at) < low - 1e-9 || Math.log10(at) > high + 1e-9 || place - last < 38) continue;
        last = place;
        made.append(svg("line", {x1: place, x2: place, y1: base, y2: base + 4, stroke: "var(--faint)"}));
        made.append(svg("text", {x: place, y: base + 16, "text-anchor": "middle"}, seconds(at)));
      }
    }
  }

  function paces(body, data) {
    const known = data.platforms.filter((each) => each.pace && each.pace.used.some(Boolean));
    if (!known.length) return without("paces");
    const keys = [["running", "requests sent a second"], ["failed", "what the rate allows (dashed)"]].map(([name, text]) => {
      const i = el("i");
      i.style.background = `var(--${name})`;
      return el("span", {}, i, text);
    });
    const charts = known.slice(0, MOST_CHARTS).map((each) => paceChart(each, data.elapsed));
    body.replaceChildren(el("div", {class: "legend"}, ...keys), el("div", {class: "charts"}, ...charts),
      ...(known.length > MOST_CHARTS ? [more(known.length - MOST_CHARTS, "platforms")] : []));
  }

  function paceChart(each, elapsed) {
    const {width: step, used, allowed} = each.pace;
    const wide = 340, tall = 150, left = 40, right = 10, bottom = 34, top = 10;
    const end = Math.max(elapsed, step * 1e-3);
    // The last step is not over yet: its number is of the time that has passed.
    const rates = used.map((count, place) => count / Math.max(Math.min(step, end - place * step), step / 4));
    const most = Math.max(...rates, ...allowed.filter((rate) => rate !== null), 1e-9) * 1.05;
    const px = (time) => left + Math.min(1, time / end) * (wide - left - right);
    const py = (rate) => tall - bottom - rate / most * (tall - bottom - top);
    const made = frame(wide, tall, `${each.name}: requests a second over time`);
    const tick = nice(most / 3);
    for (let at = 0; at <= most; at += tick) {
      made.append(svg("line", {x1: left, x2: wide - right, y1: py(at), y2: py(at), stroke: "var(--line)"}));
      made.append(svg("text", {x: left - 5, y: py(at) + 4, "text-anchor": "end"}, `${+at.toPrecision(3)}`));
    }
    const steps = (values) => {
      let path = "", open = false;
      values.forEach((value, place) => {
        if (value === null) { open = false; return; }
        path += `${open ? "L" : "M"}${px(place * step)} ${py(value)}L${px((place + 1) * step)} ${py(value)}`;
        open = true;
      });
      return path;
    };
    made.append(svg("path", {d: `${steps(rates)}L${px(used.length * step)} ${py(0)}L${px(0)} ${py(0)}Z`, fill: "var(--running)", "fill-opacity": .25}));
    made.append(svg("path", {d: steps(rates), fill: "none", stroke: "var(--running)", "stroke-width": 1.5}));
    made.append(svg("path", {d: steps(allowed), fill: "none", stroke: "var(--failed)", "stroke-width": 2, "stroke-dasharray": "6 4"}));
    const [unit, name] = end >= 7200 ? [3600, "h"] : end >= 300 ? [60, "min"] : [1, "s"];
    const across = nice(end / unit / 4) * unit;
    for (let at = 0; at <= end; at += across) {
      made.append(svg("text", {x: px(at), y: tall - bottom + 16, "text-anchor": "middle"}, `${+(at / unit).toPrecision(4)}`));
    }
    made.append(svg("text", {x: (wide + left) / 2, y: tall - 4, "text-anchor": "middle"}, `time, ${name}`));
    made.append(svg("text", {x: 2, y: 9}, "1/s"));
    const total = used.reduce((sum, count) => sum + count, 0), rate = allowed.at(-1);
    const told = `${whole(total)} requests, ${+(total / end).toPrecision(3)} a second` + (rate === null || rate === undefined ? "; it has no rate" : `; its rate allows ${+rate.toPrecision(3)} a second`);
    return el("div", {class: "chart"}, el("h3", {text: each.name}), made, el("p", {class: "faint", text: told}));
  }

  function list(heads, lines) {
    const cell = (text, place) => el("td", {class: heads[place][1] ? "text" : "", text});
    return el("div", {class: "wide"}, el("table", {},
      el("thead", {}, el("tr", {}, ...heads.map(([text, left]) => el("th", {scope: "col", class: left ? "text" : "", text})))),
      el("tbody", {}, ...lines.map((line) => el("tr", {}, ...line.map(cell))))));
  }

  function failures(body, data) {
    if (!data.failures.length) return without("failures");
    const lines = data.failures.slice(0, 100).map(({kind, count, example}) => [kind, whole(count),
      ...(example ? [example.platform, example.id, seconds(example.time), example.text] : ["", "", "", ""])]);
    const shown = list([["kind", true], ["how many", false], ["the first: platform", true], ["id", true], ["at", false], ["its text", true]], lines);
    body.replaceChildren(shown, ...(data.failures.length > 100 ? [more(data.failures.length - 100, "kinds")] : []));
  }

  function closings(body, data) {
    if (!data.closings || !data.closings.shown.length) return without("closings");
    const {shown, left_out: left} = data.closings;
    const lines = shown.map(({platform, from, to, until}) => [platform, seconds(from),
      to === null ? `asked for ${until === null ? "ever" : seconds(until - from)}` : seconds(to - from), to === null ? "still closed" : seconds(to)]);
    const sums = new Map();
    for (const {platform, from, to} of shown) sums.set(platform, (sums.get(platform) || 0) + Math.max(0, (to ?? data.elapsed) - from));
    const told = [...sums].slice(0, 20).map(([name, sum]) => `${name} ${seconds(sum)}`).join(", ");
    const heads = [["platform", true], ["closed at", false], ["for", false], ["opened at", false]];
    const details = el("details", lines.length <= 12 ? {open: ""} : {}, el("summary", {text: `${whole(lines.length + left)} closings`}), list(heads, lines),
      ...(left ? [more(left, "closings")] : []));
    const old = body.querySelector("details");
    if (old) details.open = old.open;
    body.replaceChildren(el("p", {text: `Platforms had asked not to be called for, in all: ${told}.`}), details);
  }

  const own = document.getElementById("data");
  if (own) draw(JSON.parse(own.textContent));
})();
