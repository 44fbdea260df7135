/* The keyboard for going through a queue. Off inside of fields and dialogs, with a modifier, and
   where the person has switched it off (WCAG 2.1.4). Deciding takes a second key that confirms. */
"use strict";

(() => {
  const review = window.assentReview;
  const dialog = document.getElementById("keys");
  if (!review || !dialog) {
    return;
  }
  const SWITCH = "assent.shortcuts";
  let armed = null;

  const isOn = () => localStorage.getItem(SWITCH) !== "off";
  const active = () => document.activeElement?.closest?.("article[data-task]") || null;
  const all = () => [...document.querySelectorAll("article[data-task]")];

  function go(step) {
    const list = all();
    if (!list.length) {
      return;
    }
    const here = list.indexOf(active());
    const there = here < 0 ? (step > 0 ? 0 : list.length - 1) : here + step;
    if (there >= list.length) {
      document.querySelector("#more a")?.click();
      return;
    }
    const card = list[Math.max(0, there)];
    if (!card.hasAttribute("tabindex")) {
      card.tabIndex = -1;
    }
    card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "start" });
  }

  function disarm() {
    if (!armed) {
      return;
    }
    armed.button.classList.remove("armed");
    armed.hint.remove();
    armed = null;
  }

  function arm(button, key) {
    disarm();
    const hint = document.createElement("p");
    hint.className = "arm-hint";
    hint.setAttribute("role", "status");
    const label = button.querySelector("bdi")?.textContent || button.textContent;
    hint.textContent = `Press ${key} or Enter to confirm “${label.trim()}”, Esc to leave it.`;
    button.classList.add("armed");
    button.closest("form").append(hint);
    armed = { button, key, hint };
  }

  /* The button that a key means: by its name, else the only one of its sense. */
  function buttonFor(card, name, effect) {
    const buttons = [...card.querySelectorAll("form.answer button[name=action]:not(:disabled)")];
    const named = buttons.find((button) => button.value === name);
    const fitting = buttons.filter((button) => button.dataset.effect === effect);
    return named || (effect && fitting.length === 1 ? fitting[0] : null)
      || (name === "approve" && buttons.length === 1 ? buttons[0] : null);
  }

  function decide(key, name, effect) {
    const card = active();
    const button = card && buttonFor(card, name, effect);
    if (!button) {
      announce(card ? "This task does not offer that." : "Choose a task first, with j or k.");
      return;
    }
    if (armed?.button === button) {
      disarm();
      button.click();
    } else {
      arm(button, key);
    }
  }

  function nth(number) {
    const card = active();
    const buttons = card ? card.querySelectorAll("form.answer button[name=action]:not(:disabled)") : [];
    const button = buttons[number - 1];
    if (!button) {
      return;
    }
    if (armed?.button === button) {
      disarm();
      button.click();
    } else {
      arm(button, String(number));
    }
  }

  function press(selector, missing) {
    const target = active()?.querySelector(selector);
    if (target) {
      target.click();
    } else if (missing) {
      announce(missing);
    }
  }

  const KEYS = {
    j: () => go(1),
    k: () => go(-1),
    ArrowDown: () => go(1),
    ArrowUp: () => go(-1),
    o: () => press(".card-title a"),
    a: () => decide("a", "approve", "proceed"),
    r: () => decide("r", "reject", "stop"),
    c: () => press("[data-claim]", "This task cannot be claimed."),
    e: () => press("[data-edit]", "This task cannot be edited."),
    x: () => press("[data-select]", "This task cannot be selected."),
    n: () => document.querySelector("[data-next], [form=next-task]")?.click(),
    m: () => active()?.querySelector("[data-comment]")?.focus(),
    v: () => active()?.querySelector("form.answer [name=value]")?.focus(),
    u: () => active()?.querySelectorAll("details[data-fold]").forEach((fold) => { fold.open = true; }),
    "/": () => document.querySelector("[data-filter]")?.focus(),
    "?": () => dialog.showModal(),
  };

  function isTyping(target) {
    return target.matches?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
  }

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.key === "Escape") {
      disarm();
      if (isTyping(target)) {
        target.closest("article[data-task]")?.focus({ preventScroll: true });
      }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open || isTyping(target)) {
      return;
    }
    if (!isOn() && event.key !== "?") {
      return;
    }
    if (event.key === "Enter" && armed && !target.matches("a, button, summary")) {
      const { button } = armed;
      disarm();
      event.preventDefault();
      button.click();
      return;
    }
    if (event.key.startsWith("Arrow") && target !== document.body && !target.matches("article[data-task]")) {
      return;
    }
    const act = /^[1-9]$/.test(event.key) ? () => nth(Number(event.key)) : KEYS[event.key];
    if (!act) {
      return;
    }
    event.preventDefault();
    if (armed && !(event.key in { a: 1, r: 1 }) && !/^[1-9]$/.test(event.key)) {
      disarm();
    }
    act();
  });

  document.addEventListener("focusout", (event) => {
    if (armed && !armed.button.closest("article")?.contains(event.relatedTarget)) {
      disarm();
    }
  });

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-help]")) {
      dialog.showModal();
    }
  });

  const box = dialog.querySelector("[data-switch]");
  box.checked = isOn();
  box.addEventListener("change", () => localStorage.setItem(SWITCH, box.checked ? "on" : "off"));
})();
