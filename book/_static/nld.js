/* Fill a figure's card with what its run was measured to be, when the card is opened. */
document.addEventListener("toggle", function (event) {
  var card = event.target;
  if (!card.matches || !card.matches("details.nld-card") || !card.open || card.dataset.filled) return;
  card.dataset.filled = "yes";
  var script = document.createElement("script");
  script.src = card.dataset.nldProvenance;
  script.onload = function () {
    var known = window.nldProvenance[card.dataset.nldFigure];
    card.querySelectorAll("[data-nld-field]").forEach(function (place) {
      place.textContent = known[place.dataset.nldField];
    });
  };
  document.head.appendChild(script);
}, true);

/* Paper is light. */
(function () {
  var root = document.documentElement, theme = null;
  window.addEventListener("beforeprint", function () {
    if (theme === null) theme = root.dataset.theme;
    root.dataset.theme = "light";
  });
  window.addEventListener("afterprint", function () {
    if (theme) root.dataset.theme = theme;
    theme = null;
  });
})();

/* The search shows a line of each page it found, which it fetches; a page opened from a disk may not fetch. */
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined")
  DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

/* Two buttons of the theme carry a name that leaves out what is written on them. */
document.addEventListener("DOMContentLoaded", function () {
  document.querySelectorAll(".search-button-field").forEach(function (button) { button.removeAttribute("aria-label"); });
  document.querySelectorAll(".theme-switch-button").forEach(function (button) {
    button.setAttribute("aria-label", "Color mode: light, dark or system settings");
  });
});

/* A table of numbers that is wider than the page is scrolled, by the keyboard too. */
window.addEventListener("load", function () {
  document.querySelectorAll("table.dataframe").forEach(function (table) {
    if (table.scrollWidth > table.clientWidth) table.tabIndex = 0;
  });
});
