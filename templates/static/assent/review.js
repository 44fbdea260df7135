/* Cards that are decided in place: nothing typed is lost, nothing is sent twice, and a card that
   somebody else finished says so within two seconds. Without this script every form still works. */
"use strict";

(() => {
  /* A round begins so long after the one before has ended; with the two requests that it takes, what
     somebody else did stands here in less than two seconds. */
  const POLL_MS = 1200;
  const ASKED_AT_ONCE = 100;
  const GIVE_UP_MS = 10000;
  const HURRY_MS = 300;
  const HURRIES_FOR_MS = 10000;
  const CARD = "article.card[data-task]";
  const root = document.querySelector("[data-review]");
  if (!root) {
    return;
  }

  document.documentElement.classList.add("scripted");
  /* At once, and not a moment after: a key that is pressed in between would send the form of a new
     card as a page of its own. */
  window.htmx.config.defaultSettleDelay = 0;
  const cards = () => [...document.querySelectorAll(CARD)];
  const isOpen = (card) => card.dataset.status === "pending";
  const isWatched = (card) => isOpen(card) || "follows" in card.dataset;
  const byTask = (id) => document.getElementById(`task-${id}`);

  /* ---- What somebody has typed ---- */

  function typedIn(card) {
    const texts = {};
    for (const field of card.querySelectorAll("form.answer textarea, form.answer input:not([type=hidden])")) {
      if (field.type === "radio" ? field.checked : field.value) {
        texts[field.name] = field.value;
      }
    }
    return texts;
  }

  function typeInto(card, texts) {
    for (const field of card.querySelectorAll("form.answer textarea, form.answer input:not([type=hidden])")) {
      if (!(field.name in texts)) {
        continue;
      }
      if (field.type === "radio") {
        field.checked = field.value === texts[field.name];
      } else if (!field.value) {
        field.value = texts[field.name];
      }
    }
  }

  function keepBelow(card, texts) {
    const text = Object.values(texts).join("\n");
    if (!text || card.querySelector(".kept")) {
      return;
    }
    const box = document.createElement("div");
    box.className = "kept";
    const label = document.createElement("label");
    label.textContent = "What you had typed was not sent. It is kept here:";
    label.htmlFor = `kept-${card.dataset.task}`;
    const area = document.createElement("textarea");
    area.id = label.htmlFor;
    area.className = "input";
    area.rows = 2;
    area.readOnly = true;
    area.value = text;
    box.append(label, area);
    card.append(box);
  }

  /* ---- Cards that change while they are looked at ---- */

  function replace(old, fresh) {
    const texts = typedIn(old);
    const hadFocus = old.contains(document.activeElement);
    const name = hadFocus ? document.activeElement.name : "";
    old.replaceWith(fresh);
    window.htmx.process(fresh);
    if (isOpen(fresh)) {
      typeInto(fresh, texts);
    } else {
      keepBelow(fresh, texts);
    }
    if (hadFocus) {
      const field = name && fresh.querySelector(`form.answer [name="${name}"]:not([type=hidden])`);
      (field || fresh).focus({ preventScroll: true });
    }
  }

  function holdBack(old, fresh) {
    /* What would be sent changed under somebody's eyes: never swap it below a finger. */
    for (const button of old.querySelectorAll("form.answer button")) {
      button.disabled = true;
    }
    old.dataset.token = fresh.dataset.token;
    if (old.querySelector(".held")) {
      old.querySelector(".held button").onclick = () => replace(old, fresh);
      return;
    }
    const notice = document.createElement("div");
    notice.className = "notice notice-warn held";
    notice.setAttribute("role", "alert");
    const text = document.createElement("p");
    text.textContent = "What is decided on has just changed. ";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button-small";
    button.textContent = "Look at it as it is now";
    button.onclick = () => replace(old, fresh);
    notice.append(text, button);
    old.querySelector("form.answer")?.before(notice);
  }

  function refreshParts(old, fresh) {
    old.dataset.token = fresh.dataset.token;
    for (const part of ["[data-live]", ".remarks"]) {
      const before = old.querySelector(part);
      const after = fresh.querySelector(part);
      if (before && after && !before.contains(document.activeElement)) {
        before.replaceWith(after);
        window.htmx.process(after);
      } else if (!before && after) {
        old.querySelector("form.answer, .cannot")?.before(after);
      }
    }
  }

  /* One request that hangs must not end the asking. */
  const get = (address, headers = {}) => fetch(address, { headers, signal: AbortSignal.timeout(GIVE_UP_MS) });

  /* Show a card as it is now; whether it was finished elsewhere. */
  async function refresh(card) {
    const answer = await get(card.dataset.card, { "HX-Request": "true", "HX-Current-URL": window.location.href });
    if (answer.status === 404) {
      for (const button of card.querySelectorAll("button")) {
        button.disabled = true;
      }
      card.dataset.status = "gone";
      card.classList.add("card-closed");
      announce("A task that you were looking at is no longer yours.");
      return false;
    }
    if (!answer.ok) {
      return false;
    }
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = document.importNode(parsed.querySelector(CARD), true);
    if (card.dataset.busy || !card.isConnected) {
      return false;
    }
    if (!isOpen(card)) {
      followCall(card, fresh);
    } else if (!isOpen(fresh)) {
      replace(card, fresh);
      announce(`${titleOf(fresh)}: ${outcomeOf(fresh)}`);
      return true;
    } else if (fresh.dataset.revision !== card.dataset.revision) {
      holdBack(card, fresh);
    } else {
      refreshParts(card, fresh);
    }
    return false;
  }

  /* What was decided here is followed until its call has come to its end. */
  function followCall(card, fresh) {
    card.dataset.token = fresh.dataset.token;
    if (!("follows" in fresh.dataset)) {
      delete card.dataset.follows;
    }
    const before = card.querySelector(".outcome");
    if (before) {
      before.replaceWith(fresh.querySelector(".outcome"));
    }
    const zone = card.querySelector("[data-zone]");
    if (zone) {
      zone.textContent = fresh.querySelector("[data-zone]").textContent;
    }
    announce(card.querySelector(".call-state")?.textContent.replace(/\s+/g, " ").trim() || "");
    refreshRegions();
  }

  /* The parts of the page around the cards, asked for anew; not while somebody is in them. */
  async function refreshRegions() {
    const regions = [...document.querySelectorAll("[data-region]")];
    if (!regions.length) {
      return;
    }
    const answer = await fetch(window.location.href);
    if (answer.redirected || !answer.ok) {
      return;
    }
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const region of regions) {
      const fresh = parsed.querySelector(`[data-region="${region.dataset.region}"]`);
      if (fresh && region.isConnected && !region.contains(document.activeElement)) {
        region.replaceWith(document.importNode(fresh, true));
      }
    }
  }

  function decided() {
    document.body.dispatchEvent(new Event("assent:decided"));
    refreshRegions();
    hurry();
  }

  const titleOf = (card) => card.querySelector(".card-title")?.textContent.trim() || "Task";
  const outcomeOf = (card) => (card.querySelector(".outcome p")?.textContent || "").replace(/\s+/g, " ").trim();

  const lastPlace = () => [...document.querySelectorAll("[data-after]")].pop();

  async function poll() {
    const watched = cards().filter((card) => isWatched(card) && !card.dataset.busy);
    const call = document.querySelector("[data-call]");
    const end = lastPlace();
    const asksForNew = Boolean(end);
    if (document.visibilityState !== "visible" || !(watched.length || asksForNew || call)) {
      return;
    }
    const asked = new URLSearchParams(asksForNew ? window.location.search : "");
    if (asksForNew) {
      asked.set("after", end.dataset.after);
    }
    if (call) {
      asked.set("calls", call.dataset.call);
    }
    const found = await statesOf(watched.map((card) => card.dataset.task), asked);
    if (!found) {
      return;
    }
    const { states, calls, has_new: hasNew } = found;
    if (call && calls[call.dataset.call] !== call.dataset.callState) {
      await refreshRegions();
    }
    if (asksForNew && end === lastPlace()) {
      if (hasNew) {
        offerNew(end);
      } else {
        document.querySelector("[data-new]")?.remove();
      }
    }
    const changed = watched.filter((card) => card.isConnected && !card.dataset.busy
      && states[card.dataset.task] !== card.dataset.token);
    const finished = (await Promise.all(changed.map((card) => refresh(card).catch(() => false)))).filter(Boolean);
    if (finished.length) {
      decided();
    }
    if (finished.length > 1) {
      announce(`${finished.length} tasks were finished elsewhere.`);
    }
  }

  /* The states of all these tasks, asked for by the hundred, because an address has its limits. */
  async function statesOf(ids, asked) {
    const found = { states: {} };
    const first = [...asked];
    for (let start = 0; start === 0 || start < ids.length; start += ASKED_AT_ONCE) {
      const query = new URLSearchParams(start ? [] : first);
      query.set("ids", ids.slice(start, start + ASKED_AT_ONCE).join(","));
      const answer = await get(`${root.dataset.states}?${query}`);
      if (answer.redirected || !answer.ok) {
        return null;
      }
      const { states, ...more } = await answer.json();
      Object.assign(found.states, states);
      Object.assign(found, more);
    }
    return found;
  }

  /* New tasks are offered at the end of the list where they will stand there, else above it, upon
     the page and not in it: so that nothing moves under a finger. */
  function offerNew(end) {
    if (document.querySelector("[data-new]")) {
      return;
    }
    const box = document.createElement("div");
    box.dataset.new = "";
    const link = document.createElement("a");
    link.className = "button button-small";
    link.textContent = "New tasks are waiting: show them";
    box.append(link);
    if (end.dataset.newLink) {
      box.className = "new-above";
      link.href = end.dataset.newLink;
      document.getElementById("cards").before(box);
    } else {
      const query = new URLSearchParams(window.location.search);
      query.set("after", end.dataset.after);
      box.id = "more";
      box.className = "more";
      link.href = `?${query}`;
      link.setAttribute("hx-get", link.getAttribute("href"));
      link.setAttribute("hx-target", "#more");
      link.setAttribute("hx-swap", "outerHTML");
      document.getElementById("cards").append(box);
    }
    document.querySelector("[data-empty]")?.remove();
    window.htmx.process(box);
    announce("New tasks are waiting.");
  }

  let timer = 0;
  let isPolling = false;
  let hurriesUntil = 0;

  async function keepPolling() {
    isPolling = true;
    try {
      await poll();
    } catch {
      /* The server is away; the next round asks again. */
    }
    isPolling = false;
    const hurries = Date.now() < hurriesUntil && document.querySelector("[data-follows], [data-call]");
    timer = window.setTimeout(keepPolling, hurries ? HURRY_MS : POLL_MS);
  }

  /* Just decided: what becomes of it is asked for more often, for a while. */
  function hurry() {
    hurriesUntil = Date.now() + HURRIES_FOR_MS;
    if (!isPolling) {
      window.clearTimeout(timer);
      timer = window.setTimeout(keepPolling, HURRY_MS);
    }
  }

  /* Shown again after it was hidden, or taken out of the browser's memory: as things are now, at once. */
  function catchUp() {
    if (document.visibilityState === "visible" && !isPolling) {
      window.clearTimeout(timer);
      keepPolling();
    }
    tellTimes();
  }
  document.addEventListener("visibilitychange", catchUp);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) {
      catchUp();
    }
  });

  /* ---- Deciding ---- */

  function unread(card) {
    return [...card.querySelectorAll("[data-trusted] details[data-fold]:not([open])")];
  }

  function complain(form, text) {
    form.querySelector(".field-error")?.remove();
    const error = document.createElement("p");
    error.className = "field-error";
    error.setAttribute("role", "alert");
    error.textContent = text;
    form.querySelector(".decide").append(error);
  }

  /* The server lets nothing through of which a part stayed folded. */
  function sayOpened(form, card) {
    const open = [...card.querySelectorAll("[data-trusted] details[data-fold][open]")];
    const field = form.querySelector("input[type=hidden][name=opened]");
    field.value = [field.defaultValue, ...open.map((fold) => fold.dataset.fold)].join(" ").trim();
  }

  function check(event) {
    const form = event.target;
    const button = event.submitter;
    const card = form.closest(CARD);
    if (card.dataset.busy) {
      return false;
    }
    const comment = form.querySelector("[data-comment]");
    if (button?.hasAttribute("data-needs-comment") && !comment.value.trim()) {
      complain(form, `“${button.textContent.replace("✎", "").split(",")[0].trim()}” needs a comment.`);
      comment.focus();
      return false;
    }
    const folds = button?.dataset.effect === "stop" ? [] : unread(card);
    if (folds.length) {
      folds.forEach((fold) => { fold.open = true; });
      complain(form, "Parts of what would be sent were folded. They are open now: look, then press again.");
      folds[0].scrollIntoView({ block: "center" });
      return false;
    }
    sayOpened(form, card);
    return true;
  }

  document.addEventListener("submit", (event) => {
    if (event.target.matches("form[data-decide]") && !check(event)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }, true);

  document.addEventListener("htmx:beforeRequest", (event) => {
    const card = event.target.closest?.(CARD);
    if (card && event.target.matches("form")) {
      card.dataset.busy = "1";
      card.querySelectorAll("form button").forEach((button) => { button.disabled = true; });
    }
  });

  const kept = new Map();
  document.addEventListener("htmx:beforeSwap", (event) => {
    const card = event.detail.target?.closest?.(CARD);
    if (card && event.detail.shouldSwap && !event.detail.requestConfig.elt.matches("[data-decide]")) {
      /* A claim or a look at masked values leaves the typed text alone. */
      kept.set(card.dataset.task, typedIn(card));
    }
  });

  function fail(event) {
    const card = event.target.closest?.(CARD);
    if (!card || !card.dataset.busy) {
      return;
    }
    delete card.dataset.busy;
    card.querySelectorAll("form button:not([hidden])").forEach((button) => { button.disabled = false; });
    const form = card.querySelector("form[data-decide]");
    if (form) {
      const xhr = event.detail.xhr;
      complain(form, (xhr?.responseText && refusalOf(xhr))
        || "The server did not answer, so it is not certain what became of this. The card will say so in a moment, or try again.");
    }
  }
  document.addEventListener("htmx:sendError", fail);
  document.addEventListener("htmx:timeout", fail);
  document.addEventListener("htmx:responseError", fail);

  /* The card after which more are being loaded, to go on there unless somebody went elsewhere. */
  let loadsAfter = null;

  document.addEventListener("htmx:afterSwap", (event) => {
    if (loadsAfter && event.detail.target?.id === "more") {
      const from = loadsAfter;
      loadsAfter = null;
      if (from === document.activeElement) {
        goOn(from);
      }
    }
    const id = event.detail.requestConfig?.elt?.closest?.(CARD)?.dataset.task
      || event.detail.target?.dataset?.task;
    const card = id && byTask(id);
    if (!card) {
      return;
    }
    if (kept.has(id)) {
      typeInto(card, kept.get(id));
      kept.delete(id);
    }
    document.dispatchEvent(new Event("assent:cards"));
    if (!isOpen(card) && event.detail.xhr.status === 200) {
      announce(`${titleOf(card)}: ${outcomeOf(card)}`);
      decided();
      goOn(card);
    } else {
      card.focus({ preventScroll: true });
      card.querySelector("[role=alert]")?.scrollIntoView({ block: "nearest" });
    }
  });

  function goOn(from) {
    const all = cards();
    const later = all.slice(all.indexOf(from) + 1).find(isOpen);
    const next = later || all.find(isOpen);
    if (next) {
      next.focus({ preventScroll: true });
      next.scrollIntoView({ block: "start", behavior: "smooth" });
    } else {
      from.focus({ preventScroll: true });
      loadsAfter = from;
      document.querySelector("#more a")?.click();
    }
  }

  /* ---- Times ---- */

  const STEPS = [[31536000, "year"], [86400, "day"], [3600, "hour"], [60, "minute"]];

  function relative(moment) {
    const seconds = (moment - Date.now()) / 1000;
    for (const [size, name] of STEPS) {
      const count = Math.floor(Math.abs(seconds) / size);
      if (count) {
        const text = `${count} ${name}${count > 1 ? "s" : ""}`;
        return seconds > 0 ? `in ${text}` : `${text} ago`;
      }
    }
    return seconds > 0 ? "in less than a minute" : "just now";
  }

  function tellTimes() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      time.textContent = relative(Date.parse(time.dateTime));
    }
  }
  window.setInterval(tellTimes, 20000);

  window.assentReview = { cards, isOpen };
  keepPolling();
})();
