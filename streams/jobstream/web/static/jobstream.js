// Refreshes marked regions, asks before what can't be undone, and adds keys. Every page works
// without it. It writes no markup of its own from data: regions come from the server, escaped.
"use strict";
(() => {
  const EVERY_MS = 3000, SLOW_MS = 15000, WAIT_FOR_KEY_MS = 1500;
  const one = (query, of = document) => of.querySelector(query);
  const all = (query, of = document) => [...of.querySelectorAll(query)];
  const made = (name, text = "", attributes = {}) => {
    const element = Object.assign(document.createElement(name), { textContent: text });
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  document.documentElement.classList.add("scripted");
  const said = one("#live-said");
  const say = (text) => { if (said.textContent !== text) said.textContent = text; };

  // Regions: the same page is fetched without what is around it, and those that differ are put in.
  let isLive = sessionStorage.getItem("live") !== "off", misses = 0, timer = 0, turns = 0;
  const isInUse = (region) =>
    region.contains(document.activeElement) && document.activeElement.matches("input, textarea, select, button, summary")
    || one("details[open]", region) !== null;
  const place = () => {
    const row = one('[aria-selected="true"]');
    return row ? { table: row.closest("[data-live]")?.id, link: one("a", row)?.getAttribute("href") } : null;
  };
  async function refresh(isStale) {
    const answer = await fetch(location.href, { headers: { "X-Fragment": "1" }, cache: "no-store" });
    if (answer.status === 401) return "signed-out";
    if (!answer.ok) throw new Error(`${answer.status}`);
    const text = await answer.text();
    if (isStale()) return "";
    const page = new DOMParser().parseFromString(text, "text/html");
    const selected = place();
    const focused = document.activeElement?.getAttribute("href");
    for (const region of all("[data-live]")) {
      const newer = page.getElementById(region.id);
      if (newer === null || isInUse(region) || newer.innerHTML === region.innerHTML) continue;
      const held = region.contains(document.activeElement);
      region.replaceChildren(...newer.childNodes);
      if (held && focused) all("a", region).find((a) => a.getAttribute("href") === focused)?.focus();
      if (selected?.table === region.id) {
        all("tbody tr", region).find((row) => one("a", row)?.getAttribute("href") === selected.link)?.setAttribute("aria-selected", "true");
      }
    }
    return "";
  }
  async function turn() {
    clearTimeout(timer);
    // Where another turn began while this one waited for its answer, that one goes on alone.
    const own = ++turns, isStale = () => own !== turns;
    let next = EVERY_MS;
    if (isLive && !document.hidden && !one("dialog[open]")) {
      try {
        const found = await refresh(isStale);
        if (isStale()) return;
        if (found === "signed-out") { say("Signed out: reload this page."); return; }
        misses = 0; say("");
      } catch {
        if (isStale()) return;
        misses += 1; next = SLOW_MS;
        if (misses > 1) say("The server does not answer. This page shows what it said last.");
      }
    }
    timer = setTimeout(turn, next);
  }
  if (one("[data-live]")) {
    const button = made("button", isLive ? "Pause updates" : "Resume updates", { type: "button", class: "plain" });
    button.addEventListener("click", () => {
      isLive = !isLive;
      sessionStorage.setItem("live", isLive ? "on" : "off");
      button.textContent = isLive ? "Pause updates" : "Resume updates";
      turn();
    });
    one(".foot").append(button);
    timer = setTimeout(turn, EVERY_MS);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });
  }

  // Dialogs: one that asks, one that helps.
  const dialog = (title, ...inside) => {
    const made_ = made("dialog", "", { "aria-labelledby": "dialog-h" });
    made_.append(made("h2", title, { id: "dialog-h" }), ...inside);
    made_.addEventListener("close", () => made_.remove());
    document.body.append(made_);
    made_.showModal();
    return made_;
  };
  const buttons = (...each) => { const row = made("div", "", { class: "acts" }); row.append(...each); return row; };
  document.addEventListener("submit", (event) => {
    const form = event.target, question = form.dataset.confirm;
    if (!question || form.dataset.sure) {
      delete form.dataset.sure;
      if (form.dataset.slow) { say(form.dataset.slow); if (event.submitter) event.submitter.disabled = true; }
      return;
    }
    event.preventDefault();
    const yes = made("button", event.submitter?.textContent || "Go on", { type: "button", class: "danger" });
    const no = made("button", "Leave it", { type: "button", autofocus: "" });
    const asks = dialog("Are you sure?", made("p", question), buttons(no, yes));
    no.addEventListener("click", () => asks.close());
    yes.addEventListener("click", () => { form.dataset.sure = "1"; asks.close(); form.requestSubmit(event.submitter); });
  });
  const keys = () => localStorage.getItem("keys") !== "off";
  const help = () => {
    const list = made("dl");
    const known = [["/", "Go to the filter"], ["j, k", "Next row, row before"], ["Enter", "Open the row"],
      ...all("nav a[data-key]").map((a) => [`g ${a.dataset.key}`, a.textContent]), ["?", "This help"]];
    for (const [key, what] of known) {
      const term = made("dt");
      term.append(made("kbd", key));
      list.append(term, made("dd", what));
    }
    const close = made("button", "Close", { type: "button" });
    const off = made("button", keys() ? "Turn keys off" : "Turn keys on", { type: "button" });
    const shown = dialog("Keys", list, buttons(close, off));
    close.addEventListener("click", () => shown.close());
    off.addEventListener("click", () => { localStorage.setItem("keys", keys() ? "off" : "on"); shown.close(); });
  };

  // Keys: single letters, and only where no text is written.
  let afterG = 0;
  const step = (by) => {
    const rows = all(".rows tbody tr").filter((row) => row.offsetParent !== null);
    if (!rows.length) return;
    const now = rows.findIndex((row) => row.getAttribute("aria-selected") === "true");
    const next = rows[Math.min(rows.length - 1, Math.max(0, now < 0 ? (by > 0 ? 0 : rows.length - 1) : now + by))];
    rows[now]?.removeAttribute("aria-selected");
    next.setAttribute("aria-selected", "true");
    (one("a", next) ?? next).focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.matches("input, textarea, select, [contenteditable]") || one("dialog[open]")) return;
    const key = event.key;
    if (!keys() && key !== "?") return;
    if (Date.now() - afterG < WAIT_FOR_KEY_MS) {
      afterG = 0;
      const link = all("nav a[data-key]").find((a) => a.dataset.key === key);
      if (link) { event.preventDefault(); link.click(); }
    } else if (key === "g") afterG = Date.now();
    else if (key === "/" && one("[data-filter]")) { event.preventDefault(); one("[data-filter]").focus(); one("[data-filter]").select(); }
    else if (key === "?") { event.preventDefault(); help(); }
    else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  });
})();
