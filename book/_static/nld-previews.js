/* Links to equations, figures and references show what they lead to, on hovering and on keyboard focus. */
(function () {
  var root = new URL(document.documentElement.dataset.content_root || "./", location.href).href;
  var box = null, owner = null, wanted = null, timer = null; /* wanted: while the previews load */

  function address(link) {
    return link.href.startsWith(root) ? decodeURI(link.href.slice(root.length)) : "";
  }

  function candidate(event) {
    var link = event.target.closest && event.target.closest("article a[href*='#']");
    return link && !link.matches(".headerlink, #nld-preview a") && address(link) ? link : null;
  }

  function load(then) {
    if (window.nldPreviews) return then();
    var script = document.querySelector("script[data-nld-previews]");
    if (!script) {
      script = document.createElement("script");
      script.dataset.nldPreviews = "yes";
      script.src = root + "_static/previews.js";
      document.head.appendChild(script);
    }
    script.addEventListener("load", then);
  }

  function close() {
    clearTimeout(timer);
    wanted = null;
    if (!box) return;
    if (window.MathJax && MathJax.typesetClear) MathJax.typesetClear([box]);
    box.remove();
    if (owner) owner.removeAttribute("aria-describedby");
    box = owner = null;
  }

  function place() {
    var at = owner.getClientRects()[0];
    if (!at) return close(); /* folded away meanwhile */
    var width = Math.min(560, document.documentElement.clientWidth - 16);
    box.style.width = width + "px";
    box.style.left = scrollX + Math.max(8, Math.min(at.left, document.documentElement.clientWidth - width - 8)) + "px";
    var below = at.bottom + box.offsetHeight + 8 < innerHeight || at.top < box.offsetHeight + 8;
    box.style.top = scrollY + (below ? at.bottom + 4 : at.top - box.offsetHeight - 4) + "px";
  }

  function open(link) {
    wanted = link;
    load(function () {
      if (wanted !== link) return; /* the reader went on */
      var known = window.nldPreviews[address(link)];
      if (!known || owner === link || !link.isConnected) return;
      close();
      owner = link;
      box = document.createElement("div");
      box.id = "nld-preview";
      box.setAttribute("role", "tooltip");
      box.innerHTML = known;
      box.querySelectorAll("img").forEach(function (image) {
        image.setAttribute("src", root + image.getAttribute("src"));
        image.loading = "eager";
      });
      document.body.appendChild(box);
      link.setAttribute("aria-describedby", "nld-preview");
      link.removeAttribute("title"); /* the browser's own tooltip would cover this one */
      place();
      var shown = box;
      var typeset = window.MathJax && MathJax.typesetPromise ? MathJax.typesetPromise([shown]) : Promise.resolve();
      typeset.then(function () {
        if (box !== shown) return;
        place();
        box.dataset.ready = "yes";
      });
    });
  }

  document.addEventListener("pointerover", function (event) {
    if (event.pointerType === "touch") return; /* a touch follows the link */
    var link = candidate(event);
    if (link) {
      clearTimeout(timer);
      timer = setTimeout(function () { open(link); }, 150);
    } else if (box && event.target.closest && event.target.closest("#nld-preview")) {
      clearTimeout(timer); /* so that a long caption can be read and scrolled */
    } else {
      clearTimeout(timer);
      if (wanted !== document.activeElement) wanted = null;
      if (box && owner !== document.activeElement) timer = setTimeout(close, 250);
    }
  });
  document.addEventListener("focusin", function (event) {
    var link = candidate(event);
    if (link) open(link); else close();
  });
  document.addEventListener("keydown", function (event) { if (event.key === "Escape") close(); });
  window.addEventListener("resize", close);
})();
