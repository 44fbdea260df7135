/* What the back office's pages share: the CSRF token for htmx, the appearance, announcements. */
"use strict";

document.addEventListener("htmx:configRequest", (event) => {
  const token = document.querySelector("meta[name=csrf-token]");
  if (token && event.detail.verb !== "get") {
    event.detail.headers["X-CSRFToken"] = token.content;
  }
});

/* Why a request was refused, where the answer to it is a page about an error. */
function refusalOf(xhr) {
  const parsed = new DOMParser().parseFromString(xhr.responseText, "text/html");
  const parts = [...parsed.querySelectorAll("[data-refusal], [data-refusal] + p")];
  return parts.map((part) => part.textContent.trim()).join(" ");
}

/* A conflict, a refusal and a wrong field are answers to show, not errors to drop; a page about an
   error is none: it would stand where a card stood, with what was typed into it. */
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if ([403, 404, 409, 422, 428].includes(xhr.status) && !refusalOf(xhr)) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});

/* Signed out meanwhile: the answer would be the sign-in page inside of a card. */
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.xhr.responseURL.includes("/accounts/login/")) {
    window.location.reload();
  }
});

function announce(text) {
  const announcer = document.getElementById("announcer");
  if (announcer) {
    announcer.textContent = text;
  }
}

/* The theme keeps the choice under this name, and follows it at once. */
document.addEventListener("click", (event) => {
  const choice = event.target.closest("[data-theme-choice]");
  if (choice) {
    localStorage.setItem("adminTheme", JSON.stringify(choice.dataset.themeChoice));
    window.location.reload();
  }
});

/* What belongs to one choice is shown with it: data-show-if="field=this|that". */
function showWhatIsChosen(form) {
  for (const part of form.querySelectorAll("[data-show-if]")) {
    const [name, values] = part.dataset.showIf.split("=");
    const fields = form.elements[name];
    if (fields) {
      part.hidden = !values.split("|").includes(fields.value);
    }
  }
}
document.addEventListener("change", (event) => {
  if (event.target.form) {
    showWhatIsChosen(event.target.form);
  }
});
document.addEventListener("DOMContentLoaded", () => {
  for (const form of document.forms) {
    showWhatIsChosen(form);
  }
});

/* One more empty row of a list in a form. */
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-add-row]");
  if (button) {
    const rows = button.closest("[data-rows]").querySelectorAll("[data-row]");
    const row = rows[rows.length - 1].cloneNode(true);
    for (const input of row.querySelectorAll("input")) {
      input.value = "";
    }
    button.before(row);
    row.querySelector("input").focus();
  }
});

/* What ends something asks once more. */
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) {
    event.preventDefault();
  }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) {
    const text = document.getElementById(button.dataset.copy).textContent;
    navigator.clipboard.writeText(text).then(() => {
      button.textContent = "Copied";
      announce("Copied");
    });
  }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-check-all], [data-check-none]");
  if (button) {
    for (const box of button.closest("form").querySelectorAll("input[type=checkbox]")) {
      box.checked = "checkAll" in button.dataset;
    }
  }
});

/* Long lists of check boxes get a field that finds in them; without this they are plain lists. */

const FEW_CHOICES = 12;

function plainText(text) {
  return text.normalize("NFD").replace(/\p{Mn}/gu, "").toLowerCase();
}

function addFilter(list) {
  const rows = [...list.children].map((row) => [row, plainText(row.textContent)]);
  if (rows.length <= FEW_CHOICES || list.querySelector("input:disabled")) {
    return;
  }
  const legend = list.closest("fieldset").querySelector("legend");
  const input = document.createElement("input");
  input.type = "search";
  input.className = "input";
  input.autocomplete = "off";
  input.placeholder = `Find among ${rows.length}`;
  input.setAttribute("aria-label", `${legend.textContent.trim()}: find among ${rows.length}`);
  input.setAttribute("aria-controls", list.id);
  const status = document.createElement("p");
  status.className = "help";
  status.setAttribute("role", "status");
  list.before(input);
  list.after(status);

  function say() {
    const shown = rows.filter(([row]) => !row.hidden).length;
    const chosen = list.querySelectorAll("input:checked").length;
    const found = shown < rows.length ? `, ${shown} of ${rows.length} shown` : "";
    status.textContent = `${chosen} chosen${found}`;
  }
  function firstShown() {
    return list.querySelector(":scope > div:not([hidden]) input");
  }
  input.addEventListener("input", (event) => {
    const words = plainText(input.value).split(/\s+/).filter(Boolean);
    for (const [row, text] of rows) {
      row.hidden = !words.every((word) => text.includes(word));
    }
    list.scrollTop = 0;
    say();
    // What is typed here is no part of the form: its preview need not be asked for anew.
    event.stopPropagation();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      firstShown()?.focus();
    }
  });
  list.addEventListener("change", say);
  say();
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-choices-list]").forEach(addFilter);
});
