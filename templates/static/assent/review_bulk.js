/* The selection of several tasks, to look at them and decide them together. Without this script the
   boxes and the button of the form work as they are. */
"use strict";

(() => {
  const CARD = "article.card[data-task]";
  const bar = document.getElementById("bulk");

  function showSelection() {
    const boxes = [...document.querySelectorAll("[data-select]:checked")];
    bar.hidden = !boxes.length;
    bar.querySelector("[data-selected]").textContent = `${boxes.length} selected`;
    bar.querySelector("[data-select-same]").hidden = boxes.length !== 1;
  }

  if (bar) {
    showSelection();
    document.addEventListener("assent:cards", showSelection);
    document.addEventListener("change", (event) => {
      if (event.target.matches("[data-select]")) {
        showSelection();
      }
    });
    bar.querySelector("[data-select-same]").addEventListener("click", () => {
      const first = document.querySelector("[data-select]:checked").closest(CARD);
      for (const card of document.querySelectorAll(`${CARD}[data-like="${CSS.escape(first.dataset.like)}"]`)) {
        const box = card.querySelector("[data-select]");
        if (box) {
          box.checked = true;
        }
      }
      showSelection();
    });
  }
})();
