/* What holds for a while and is renewed by the page: a claim while its holder writes, and which task
   is open here, so that colleagues see that on theirs. */
"use strict";

(() => {
  const SAY_AGAIN_MS = 20000;
  const SETTLE_MS = 300;
  const review = window.assentReview;
  const root = document.querySelector("[data-review][data-presence]");
  if (!review || !root) {
    return;
  }
  /* ---- A claim lasts while its holder writes ---- */

  const RENEW_CLAIM_MS = 4 * 60 * 1000;
  const renewed = new Map();

  document.addEventListener("input", (event) => {
    const card = event.target.closest?.("article.card[data-task]");
    if (!card?.querySelector("[name=lease]")) {
      return;
    }
    const id = card.dataset.task;
    if (!renewed.has(id)) {
      renewed.set(id, Date.now());
    } else if (Date.now() - renewed.get(id) > RENEW_CLAIM_MS) {
      renewed.set(id, Date.now());
      const token = document.querySelector("meta[name=csrf-token]").content;
      const headers = { "X-CSRFToken": token, "HX-Request": "true" };
      fetch(card.dataset.card.replace(/card\/$/, "claim/"), { method: "POST", headers });
    }
  });

  /* ---- Open here: the only open one, the one that a link highlights, the one with the focus ---- */

  let told = new Set();
  let toldAt = 0;
  let telling = false;
  let settling = 0;

  function opened() {
    const open = review.cards().filter(review.isOpen);
    const looked = open.filter((card) => open.length === 1
      || card.classList.contains("highlighted") || card.contains(document.activeElement));
    return new Set(looked.map((card) => card.dataset.task));
  }

  function body(now, left) {
    const form = new FormData();
    form.set("open", [...now].join(","));
    form.set("left", left.join(","));
    form.set("csrfmiddlewaretoken", document.querySelector("meta[name=csrf-token]").content);
    return form;
  }

  /* One at a time, so that none overtakes another; what did not arrive is told again. */
  async function tell() {
    if (telling) {
      soon();
      return;
    }
    const now = document.visibilityState === "visible" ? opened() : new Set();
    const left = [...told].filter((id) => !now.has(id));
    const entered = [...now].some((id) => !told.has(id));
    if (!left.length && !entered && !(now.size && Date.now() - toldAt > SAY_AGAIN_MS)) {
      return;
    }
    telling = true;
    try {
      const answer = await fetch(root.dataset.presence, { method: "POST", body: body(now, left) });
      if (answer.ok) {
        told = now;
        toldAt = Date.now();
      }
    } catch {
      /* The server is away; the lease lapses by itself. */
    } finally {
      telling = false;
    }
  }

  function soon() {
    window.clearTimeout(settling);
    settling = window.setTimeout(tell, SETTLE_MS);
  }

  document.addEventListener("focusin", soon);
  document.addEventListener("assent:cards", soon);
  document.addEventListener("visibilitychange", soon);
  window.addEventListener("pagehide", () => {
    if (told.size) {
      navigator.sendBeacon(root.dataset.presence, body(new Set(), [...told]));
    }
  });
  window.setInterval(tell, 5000);
  tell();
})();
