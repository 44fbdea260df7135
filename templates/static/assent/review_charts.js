/* Plots the tables of the Dashboard with the charting library that the theme brings. Without this
   script, and for screen readers, the tables say the same. */
"use strict";

(() => {
  const PALETTES = {
    /* The longer, the hotter. */
    age: [["#c7d2fe", "#818cf8", "#4338ca", "#d97706", "#b91c1c"], ["#3730a3", "#6366f1", "#a5b4fc", "#fbbf24", "#f87171"]],
    outcome: [["#15803d", "#b91c1c", "#d97706", "#9ca3af"], ["#4ade80", "#f87171", "#fbbf24", "#6b7280"]],
    /* Allow, alert, review, block, terminate, shadow, refused edits. */
    effect: [["#15803d", "#d97706", "#4338ca", "#b91c1c", "#7f1d1d", "#9ca3af", "#0f766e"], ["#4ade80", "#fbbf24", "#a5b4fc", "#f87171", "#fecaca", "#6b7280", "#2dd4bf"]],
    /* The six rules that hit most, the others. */
    rule: [["#4338ca", "#d97706", "#0f766e", "#be185d", "#65a30d", "#0284c7", "#9ca3af"], ["#a5b4fc", "#fbbf24", "#2dd4bf", "#f472b6", "#a3e635", "#38bdf8", "#6b7280"]],
    /* Hits, rejected, approved, nobody decided, dismissed. */
    agreement: [["#4338ca", "#b91c1c", "#15803d", "#9ca3af", "#d97706"], ["#a5b4fc", "#f87171", "#4ade80", "#6b7280", "#fbbf24"]],
    "": [["#4338ca"], ["#a5b4fc"]],
  };

  /* A name beside its bars, which leave it half of the width; the table below has all of it. */
  function cut(name, width) {
    const longest = Math.min(44, Math.floor(width / 15));
    return name.length > longest ? `${name.slice(0, longest - 1)}…` : name;
  }

  function read(table) {
    const heads = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
    const rows = [...table.tBodies[0].rows];
    return {
      labels: rows.map((row) => row.cells[0].textContent),
      series: heads.map((label, index) => ({
        label,
        data: rows.map((row) => {
          const text = row.cells[index + 1].textContent;
          return text === "" ? null : Number(text);
        }),
      })),
    };
  }

  function plot(canvas) {
    const table = document.getElementById(canvas.dataset.table);
    const style = getComputedStyle(document.documentElement);
    const isDark = document.documentElement.classList.contains("dark");
    const colours = PALETTES[canvas.dataset.palette][isDark ? 1 : 0];
    const ink = style.getPropertyValue("--ink-soft").trim();
    const line = style.getPropertyValue("--line").trim();
    const { labels, series } = read(table);
    const stacked = "stacked" in canvas.dataset;
    const lying = "lying" in canvas.dataset;
    const box = canvas.closest(".canvas-box");
    box.hidden = false;
    if (lying) {
      /* As high as its bars need, which lie beside names that people wrote. */
      box.style.height = `${Math.max(240, 80 + labels.length * (16 + 9 * series.length))}px`;
    }
    table.closest("details").open = false;
    const scale = { stacked, ticks: { color: ink, precision: 0 }, grid: { color: line } };
    const named = { ...scale, grid: { display: false } };
    const counted = { ...scale, beginAtZero: true };
    if (lying) {
      named.ticks = { color: ink, autoSkip: false, callback: (_, index) => cut(labels[index], box.clientWidth) };
    }
    new window.Chart(canvas, {
      type: canvas.dataset.chart,
      data: {
        labels,
        datasets: series.map((each, index) => ({
          ...each,
          backgroundColor: colours[index % colours.length],
          borderColor: colours[index % colours.length],
          borderWidth: canvas.dataset.chart === "line" ? 2 : 0,
          pointRadius: 3,
          spanGaps: true,
          maxBarThickness: 36,
        })),
      },
      options: {
        animation: false,
        indexAxis: lying ? "y" : "x",
        responsive: true,
        maintainAspectRatio: false,
        scales: lying ? { x: counted, y: named } : { x: named, y: counted },
        plugins: { legend: { display: stacked || series.length > 1, position: "bottom", labels: { color: ink, boxWidth: 12 } } },
      },
    });
  }

  window.addEventListener("load", () => {
    if (window.Chart) {
      document.querySelectorAll("canvas[data-chart]").forEach(plot);
    }
  });
})();
