/* Pages without the back office's frame: the appearance that was chosen there, and the way back. */
"use strict";

(() => {
  let chosen = "";
  try {
    chosen = JSON.parse(localStorage.getItem("adminTheme") || '""');
  } catch {
    /* Storage is closed, or holds something else: the system's appearance it is. */
  }
  if (chosen === "dark" || chosen === "light") {
    document.documentElement.classList.add(chosen);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("[data-back]");
    if (button && history.length > 1) {
      button.hidden = false;
      button.addEventListener("click", () => history.back());
    }
  });
})();
