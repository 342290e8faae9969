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

/* A formula that is wider than its line gets smaller letters, down to two thirds, and beyond that it is scrolled, as a
   wide table is: by the keyboard too, with a shadow where something is left to see. */
(function () {
  var LEAST = 0.6;

  function fit() {
    var formulas = Array.from(document.querySelectorAll("div.math mjx-container[display='true']"));
    formulas.forEach(function (formula) {  // back to what MathJax gave it
      if (!formula.dataset.nldSize) formula.dataset.nldSize = formula.style.fontSize || "100%";
      formula.style.setProperty("font-size", formula.dataset.nldSize);
    });
    var widths = formulas.map(function (formula) {
      return [formula.clientWidth, formula.scrollWidth, parseFloat(getComputedStyle(formula).fontSize)];
    });
    formulas.forEach(function (formula, i) {
      var there = widths[i][0], needed = widths[i][1], size = widths[i][2];
      if (there && needed > there)
        formula.style.setProperty("font-size", size * Math.max(LEAST, 0.99 * there / needed) + "px", "important");
    });
    mark();
  }

  function mark() {
    document.querySelectorAll(".bd-article table, div.math mjx-container[display='true']").forEach(function (box) {
      var wide = box.scrollWidth > box.clientWidth + 1;
      box.classList.toggle("nld-wide", wide);
      if (wide) box.tabIndex = 0; else box.removeAttribute("tabindex");
    });
  }

  window.addEventListener("load", function () {
    var ready = window.MathJax && MathJax.startup && MathJax.startup.promise;
    if (ready) ready.then(fit); else mark();
    var waiting, width = innerWidth;
    window.addEventListener("resize", function () {
      if (innerWidth === width) return;  // a phone's address bar comes and goes
      width = innerWidth;
      clearTimeout(waiting);
      waiting = setTimeout(fit, 100);
    });
  });
})();

/* A drawing on the whole screen: by a tap, or by Enter where it has the focus; a tap, Escape or the button closes it. */
document.addEventListener("DOMContentLoaded", function () {
  if (!document.querySelector(".nld-drawing") || !window.HTMLDialogElement) return;
  var large = document.createElement("dialog"), close = document.createElement("button");
  large.className = "nld-large";
  large.setAttribute("aria-label", "Enlarged drawing");
  close.textContent = "Close";
  close.addEventListener("click", function () { large.close(); });
  document.body.appendChild(large);

  function enlarge(drawing) {
    var shown = Array.from(drawing.querySelectorAll("img")).find(function (image) { return image.checkVisibility(); });
    var image = document.createElement("img");
    image.src = shown.src;
    image.alt = shown.alt;
    image.addEventListener("click", function () { large.close(); });
    large.replaceChildren(image, close);
    large.showModal();
  }

  document.querySelectorAll(".nld-drawing").forEach(function (drawing) {
    drawing.addEventListener("click", function (event) { if (event.target.matches("img")) enlarge(drawing); });
    drawing.addEventListener("keydown", function (event) {
      if (event.key !== "Enter") return;
      event.preventDefault();  // or the same stroke would press the button that closes
      enlarge(drawing);
    });
  });
});
