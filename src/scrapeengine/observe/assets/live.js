"use strict";
// Follows a live page's frames and sends its commands. What is drawn of a run is `page.js`'s; here are the buttons, and what
// a store shows. Whatever came from a site is put in as text (textContent), and nothing is ever read as markup.
(() => {
  const RETRY = [500, 1000, 2000, 5000], SURE = 4000, SHOWN = 160, KEY = "scrapeengine token";
  const header = document.getElementById("controls"), main = document.getElementById("page");
  let can = {run: false, tune: false, store: false}, knobs = {}, told = null;

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

  const set = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  const whole = (number) => number.toLocaleString("en");
  const seconds = (value) => (value < 120 ? `${value.toFixed(1)} s` : value < 7200 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`);

  // -- the token stands behind the # and goes into a header; then it leaves the address, which others may see

  if (location.hash.length > 1) {
    sessionStorage.setItem(KEY, location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
  }
  addEventListener("hashchange", () => location.reload());
  const authorised = () => ({Authorization: `Bearer ${sessionStorage.getItem(KEY) || ""}`});

  // -- the head of the page

  const state = el("span", {class: "state", role: "status", text: "connecting …"});
  const said = el("p", {class: "said", role: "status", "aria-live": "polite"});
  const stop = sure("Stop the run", "Stop it: really?", () => act({do: "stop"}));
  const why = el("pre"), explained = el("details", {}, el("summary", {text: "What holds each platform back now"}), why);
  const other = el("form", {class: "row"});
  header.append(el("div", {class: "top"}, state, stop, said), explained, other);
  stop.hidden = explained.hidden = other.hidden = true;

  function tell(text, wrong = false) {
    set(said, text);
    said.className = wrong ? "said wrong" : "said";
  }

  async function act(command) {
    try {
      const answer = await fetch("/do", {method: "POST", headers: {...authorised(), "Content-Type": "application/json"},
        body: JSON.stringify(command)});
      const found = await answer.json();
      tell(found.said || found.error, !answer.ok);
    } catch (error) {
      tell(`That did not get there: ${error.message}`, true);
    }
  }

  function button(text, does, kind = "") {
    const made = el("button", {type: "button", text, class: kind});
    made.addEventListener("click", does);
    return made;
  }

  // What cannot be taken back is asked for twice, on the same button: a dialog would hold up the page.
  function sure(text, question, does) {
    let timer = null;
    const made = button(text, () => {
      if (timer === null) {
        made.textContent = question;
        timer = setTimeout(reset, SURE);
      } else {
        reset();
        does();
      }
    }, "danger");
    function reset() {
      clearTimeout(timer);
      timer = null;
      made.textContent = text;
    }
    return made;
  }

  function number(label) {
    return el("input", {type: "text", inputmode: "decimal", class: "number", "aria-label": label, placeholder: label});
  }

  function words(label) {
    return el("input", {type: "text", "aria-label": label, placeholder: label});
  }

  // -- the platforms of a run, each with its buttons

  let steering = null;

  function steer(platforms) {
    if (steering === null) {
      const body = el("tbody");
      const head = el("thead", {}, el("tr", {}, ...["platform", "running", "held by", ""].map((text) => el("th", {scope: "col", text}))));
      const made = el("section", {"aria-label": "Steer"}, el("h2", {text: "Steer"}), el("div", {class: "wide"}, el("table", {}, head, body)));
      main.before(made);
      steering = {body, rows: new Map()};
    }
    fill(steering.body, steering.rows, platforms.filter((each) => each.key !== null), (each) => each.key, steeredRow);
  }

  function steeredRow(platform) {
    const key = platform.key, limit = number("limit"), rate = number("rate/s"), held = {paused: false, closed: false};
    const pause = button("Pause", () => act(held.paused ? resumed(key, limit) : {do: "pause", platform: key}));
    const tune = button("Tune", () => act(tuned(key, limit, rate)));
    const close = button("Close 60 s", () => act(held.closed ? {do: "reopen", platform: key} : {do: "close", platform: key, seconds: 60}));
    const group = el("div", {class: "row", role: "group", "aria-label": platform.name}, pause, close, limit, rate, tune);
    const cells = [el("td"), el("td"), el("td")];
    return {made: el("tr", {}, ...cells, el("td", {}, group)), update(each) {
      const knob = knobs[key], now = each.now;
      held.paused = Boolean(knob ? knob.limit === 0 : now && now.limit === 0);
      held.closed = Boolean(now && now.held_by === "penalty");
      set(pause, held.paused ? "Resume" : "Pause");
      set(close, held.closed ? "Reopen" : "Close 60 s");
      [each.name, now ? `${now.running}/${now.limit}` : "", now ? now.held_by : ""].forEach((text, place) => set(cells[place], text));
      if (knob) {
        limit.placeholder = String(knob.limit);
        rate.placeholder = knob.rate === null ? "rate/s" : `${+knob.rate.toPrecision(4)}/s`;
      }
    }};
  }

  function resumed(key, limit) {
    const command = {do: "resume", platform: key};
    if (limit.value.trim()) command.limit = Number(limit.value);
    limit.value = "";
    return command;
  }

  function tuned(key, limit, rate) {
    const command = {do: "tune", platform: key};
    if (limit.value.trim()) command.limit = Number(limit.value);
    if (rate.value.trim()) command.rate = Number(rate.value);
    limit.value = rate.value = "";
    return command;
  }

  // -- a platform that is not among those that are shown

  function others() {
    const name = words("another platform or host"), limit = number("limit"), rate = number("rate/s");
    const its = () => name.value.trim();
    const group = [name];
    if (can.tune) {
      group.push(button("Pause", () => act({do: "pause", platform: its()})), button("Resume", () => act(resumed(its(), limit))),
        limit, rate, button("Tune", () => act(tuned(its(), limit, rate))));
    }
    if (can.store) {
      group.push(button("Pause in the store", () => act({do: "store_pause", platform: its()})),
        button("Resume in the store", () => act({do: "store_resume", platform: its()})));
    }
    group.push(button("Close 60 s", () => act({do: "close", platform: its(), seconds: 60})),
      button("Reopen", () => act({do: "reopen", platform: its()})));
    other.replaceChildren(...group);
    other.addEventListener("submit", (event) => event.preventDefault());
    other.hidden = false;
  }

  // -- a store: queues by platform, failed jobs, and what may be enqueued

  let queue = null;
  const COUNTS = ["ready", "delayed", "leased", "done", "skipped", "failed", "cancelled", "recurring"];

  function makeQueue() {
    const platforms = el("tbody"), failed = el("tbody"), note = el("p", {class: "faint"}), none = el("p", {class: "faint"});
    const LEFT = new Set(["id", "error"]);
    const heads = (names) => el("thead", {}, el("tr", {}, ...names.map((text) => el("th", {scope: "col", text, class: LEFT.has(text) ? "text" : ""}))));
    const failures = el("table", {}, heads(["platform", "id", "attempts", "error", ""]), failed);
    const enqueue = el("form", {class: "row", "aria-label": "Enqueue an event"});
    const platform = words("platform"), id = words("id"), url = words("URL, or nothing");
    enqueue.addEventListener("submit", (event) => {
      event.preventDefault();
      const command = {do: "enqueue", platform: platform.value.trim()};
      if (id.value.trim()) command.id = id.value.trim();
      if (url.value.trim()) command.url = url.value.trim();
      act(command);
    });
    enqueue.append(platform, id, url, el("button", {type: "submit", text: "Enqueue"}));
    const made = el("section", {"aria-label": "The store"}, el("h2", {text: "The store"}), note,
      el("div", {class: "wide"}, el("table", {}, heads(["platform", "", "state", ...COUNTS, "oldest"]), platforms)),
      el("h3", {text: "Enqueue"}), enqueue, el("h2", {text: "Failed jobs"}), none, el("div", {class: "wide"}, failures));
    main[can.run ? "after" : "before"](made);
    queue = {platforms, failed, note, none, failures, queues: new Map(), jobs: new Map()};
  }

  // Rows stay where they are between frames, with the buttons in them, and the focus.
  function fill(body, known, items, keyOf, make) {
    const wanted = new Set(items.map(keyOf));
    for (const [key, row] of known) if (!wanted.has(key)) { row.made.remove(); known.delete(key); }
    items.forEach((item, place) => {
      const key = keyOf(item);
      if (!known.has(key)) known.set(key, make(item));
      const row = known.get(key);
      row.update(item);
      if (body.children[place] !== row.made) body.insertBefore(row.made, body.children[place] || null);
    });
  }

  function queueRow(item) {
    const key = item.key, held = {paused: item.paused, closed: item.closed > 0};
    const [name, shutCell, ...cells] = ["", "", ...COUNTS, ""].map(() => el("td"));
    const pause = button("", () => act({do: held.paused ? "store_resume" : "store_pause", platform: key}));
    const close = button("", () => act(held.closed ? {do: "reopen", platform: key} : {do: "close", platform: key, seconds: 60}));
    const group = el("div", {class: "row", role: "group", "aria-label": item.name}, pause, close,
      button("Retry failed", () => act({do: "retry", platform: key})),
      sure("Forget failed", "Forget them: really?", () => act({do: "forget", platform: key})));
    return {made: el("tr", {}, name, el("td", {}, group), shutCell, ...cells), update(each) {
      Object.assign(held, {paused: each.paused, closed: each.closed > 0});
      set(pause, each.paused ? "Resume" : "Pause");
      set(close, each.closed > 0 ? "Reopen" : "Close 60 s");
      const shut = [each.paused ? "paused" : "", each.closed > 0 ? `closed for ${seconds(each.closed)}` : ""].filter(Boolean);
      set(name, each.name);
      set(shutCell, shut.join(", "));
      const texts = [...COUNTS.map((count) => whole(each[count])), each.oldest === null ? "" : seconds(each.oldest)];
      texts.forEach((text, place) => set(cells[place], text));
    }};
  }

  function jobRow(item) {
    const [platform, id] = item.key, cells = [el("td"), el("td", {class: "text"}), el("td"), el("td", {class: "error"})];
    const group = el("div", {class: "row", role: "group", "aria-label": item.id},
      button("Retry", () => act({do: "retry", platform, id})), button("Forget", () => act({do: "forget", platform, id})));
    return {made: el("tr", {}, ...cells, el("td", {}, group)), update(each) {
      [each.platform, each.id, whole(each.attempts), each.error.slice(0, SHOWN)].forEach((text, place) => set(cells[place], text));
      cells[3].title = each.error;
    }};
  }

  function drawQueue(found) {
    if (queue === null) makeQueue();
    const totals = COUNTS.filter((name) => found.totals[name]).map((name) => `${whole(found.totals[name])} ${name}`);
    set(queue.note, (totals.join(", ") || "It is empty.") + (found.more_platforms ? `; ${whole(found.more_platforms)} more platforms are not shown` : ""));
    fill(queue.platforms, queue.queues, found.platforms, (each) => each.key, queueRow);
    fill(queue.failed, queue.jobs, found.failed, (each) => each.key.join("\n"), jobRow);
    queue.failures.hidden = !found.failed.length;
    const more = found.totals.failed - found.failed.length;
    set(queue.none, found.failed.length ? (more > 0 ? `and ${whole(more)} more` : "") : "None.");
  }

  // -- frames

  function draw(frame) {
    if (frame.trouble) {
      tell(frame.trouble, true);
      return;
    }
    if (told === null) {
      can = frame.can;
      stop.hidden = !can.run;
      if (can.tune || can.store) others();
    }
    told = frame;
    knobs = frame.knobs || {};
    if (frame.page) {
      if (can.tune) steer(frame.page.platforms);
      window.scrapeengine.draw(frame.page);
      explained.hidden = false;
      set(why, frame.explain.join("\n"));
    }
    if (frame.queue) drawQueue(frame.queue);
  }

  async function follow() {
    const answer = await fetch("/events", {headers: authorised(), cache: "no-store"});
    if (!answer.ok) throw new Error((await answer.json()).error);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const {value, done} = await reader.read();
      if (done) throw new Error("the program has gone, or closed the page");
      text += value;
      const parts = text.split("\n\n");
      text = parts.pop();
      // Of several that have come at once the last one is enough, but for one that has the timeline in it.
      for (const part of parts) if (part.startsWith("data: ")) draw(JSON.parse(part.slice(6)));
      set(state, "live");
      state.className = "state";
      failed = 0;
    }
  }

  let failed = 0;
  async function stay() {
    for (;;) {
      try {
        await follow();
      } catch (error) {
        set(state, `not connected: ${error.message}`);
        state.className = "state lost";
      }
      await new Promise((done) => setTimeout(done, RETRY[Math.min(failed, RETRY.length - 1)]));
      failed += 1;
    }
  }
  stay();
})();
