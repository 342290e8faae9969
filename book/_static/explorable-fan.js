/* A filter on a loss that is constant along rays. Classic script: works from disk, asks the network for nothing. The
   numbers are those of nld.publish.explorables.explorable_fan; tests/browser/test_explorable_fan.py compares them. */
(function () {
  "use strict";

  var RAD = Math.PI / 180;

  function gradientAt(q) {  // of 1 - q_1/|q|
    var cubed = Math.pow(q[0] * q[0] + q[1] * q[1], 1.5);
    return [-q[1] * q[1] / cubed, q[1] * q[0] / cubed];
  }

  function kept(metric, q, stretch) {
    if (metric === "burg") return q[0] * q[1];
    return q[0] * q[0] + (metric === "ellipse" ? stretch : 1) * q[1] * q[1];
  }

  /* One step of the natural gradient, q - eta F(q)^-1 g; the angle in degrees. */
  function compute(metric, norm, angle, rate, stretch) {
    var q = [norm * Math.cos(angle * RAD), norm * Math.sin(angle * RAD)], g = gradientAt(q);
    var inverse = { round: [1, 1], ellipse: [1, 1 / stretch], burg: [q[0] * q[0], q[1] * q[1]] }[metric];
    var end = [q[0] - rate * inverse[0] * g[0], q[1] - rate * inverse[1] * g[1]];
    return {
      gradient: Math.sqrt(g[0] * g[0] + g[1] * g[1]), x: end[0], y: end[1],
      turn: angle - Math.atan2(end[1], end[0]) / RAD,
      change: kept(metric, end, stretch) / kept(metric, q, stretch) - 1, rate: rate / (norm * norm)
    };
  }

  if (typeof module !== "undefined" && module.exports) module.exports = { compute: compute };
  if (typeof document === "undefined") return;

  function short(value) { return Number(value.toPrecision(3)).toString(); }

  function start(root) {
    var data = JSON.parse(root.querySelector("script[type='application/json']").textContent), frame = data.frame, side = data.side;
    var plane = root.querySelector("[data-picture]"), handle = root.querySelector(".nld-handle");
    var estimate = root.querySelector("[data-part='estimate']"), controls = root.querySelector("[data-part='controls']");
    var scale = frame.size / frame.span;

    function slider(name) { return controls.querySelector("input[name='" + name + "']"); }
    function number(name) { return Number(slider(name).value); }
    function metric() { return controls.querySelector("input[type='radio']:checked").value; }
    function step(name, norm) { return compute(name, norm, number("angle"), number("learning_rate"), data.stretch); }
    function place(q) { return [frame.left + scale * q[0], frame.top + frame.size - scale * q[1]]; }
    function text(point) { return point[0].toFixed(1) + "," + point[1].toFixed(1); }
    function beside(norm, turn) {
      var share = (Math.log10(turn) - side.low) / (side.high - side.low);
      return [side.left + side.width * Math.log(norm / 0.5) / Math.log(6), side.top + side.height * (1 - share)];
    }
    function set(name, value) {  // to the nearest value that the slider has
      slider(name).value = value;
      return number(name);
    }
    function line(name, from, to) {
      var drawn = root.querySelector("[data-line='" + name + "']");
      ["x1", "y1"].forEach(function (key, n) { drawn.setAttribute(key, from[n].toFixed(1)); });
      ["x2", "y2"].forEach(function (key, n) { drawn.setAttribute(key, to[n].toFixed(1)); });
    }
    function centre(circle, at) {
      circle.setAttribute("cx", at[0].toFixed(1));
      circle.setAttribute("cy", at[1].toFixed(1));
    }

    function contour(name, q) {
      for (var polar = 3, points = []; polar < 88; polar += 2) {
        var way = [Math.cos(polar * RAD), Math.sin(polar * RAD)];
        var radius = Math.sqrt(kept(name, q, data.stretch) / kept(name, way, data.stretch));
        if (radius <= frame.span) points.push(text(place([radius * way[0], radius * way[1]])));
      }
      return points.join(" ");
    }

    function update() {
      var name = metric(), norm = number("norm"), angle = number("angle") * RAD, found = step(name, norm);
      var q = [norm * Math.cos(angle), norm * Math.sin(angle)], g = gradientAt(q), end = place([found.x, found.y]);
      line("ray", place([0, 0]), place([frame.span * Math.cos(angle), frame.span * Math.sin(angle)]));
      line("pull", place(q), place([q[0] - g[0], q[1] - g[1]]));
      line("step", place(q), end);
      centre(root.querySelector(".nld-end"), end);
      centre(root.querySelector(".nld-here"), place(q));
      centre(handle, place(q));
      root.querySelector("polyline.nld-flow").setAttribute("points", contour(name, q));
      centre(root.querySelector(".nld-dot"), beside(norm, found.turn));
      root.querySelectorAll(".nld-plots svg .nld-step, .nld-end, .nld-dot").forEach(function (mark) {
        ["round", "ellipse", "burg"].forEach(function (each) { mark.classList.toggle("nld-" + each, each === name); });
      });
      root.querySelectorAll("[data-curve]").forEach(function (curve) {
        for (var n = 10, points = []; n <= 60; n++) points.push(text(beside(n / 20, step(curve.dataset.curve, n / 20).turn)));
        curve.setAttribute("points", points.join(" "));
      });
      controls.querySelectorAll("input[type='range']").forEach(function (input) {
        var shown = short(Number(input.value)) + " " + input.dataset.unit;
        input.setAttribute("aria-valuetext", shown);
        input.nextElementSibling.textContent = shown;
      });
      var said = {
        norm: short(norm), gradient: short(found.gradient), rate: short(found.rate), turn: short(found.turn),
        kept: data.kept[name], change: (found.change < 0 ? "−" : "+") + short(Math.abs(100 * found.change))
      };
      root.querySelector(".nld-readout").textContent = data.readout.replace(/{(\w+)}/g, function (_, key) { return said[key]; });
    }

    function answer() {
      var chosen = Number(estimate.querySelector("input:checked").value), norm = number("norm");
      var factor = step("round", norm).turn / step("round", 2 * norm).turn;
      var near = Math.abs(Math.log2(factor / chosen)) < 0.5;
      var said = {
        said: data.estimates[chosen], factor: short(factor), verdict: near ? data.verdicts.near : data.verdicts.far
      };
      root.querySelector(".nld-answer").textContent = data.answer.replace(/{(\w+)}/g, function (_, key) { return said[key]; });
      controls.disabled = false;
    }

    function pull(event) {
      var box = plane.getBoundingClientRect(), unit = 220 / box.width, angle = number("angle") * RAD;
      var x = ((event.clientX - box.left) * unit - frame.left) / scale;
      var y = (frame.top + frame.size - (event.clientY - box.top) * unit) / scale;
      set("norm", x * Math.cos(angle) + y * Math.sin(angle));
      update();
    }

    handle.addEventListener("pointerdown", function (event) {
      if (controls.disabled) return;
      handle.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    handle.addEventListener("pointermove", function (event) {
      if (handle.hasPointerCapture(event.pointerId)) pull(event);
    });
    controls.querySelector("button").addEventListener("click", function () {
      var found = step(metric(), number("norm"));
      set("norm", Math.sqrt(found.x * found.x + found.y * found.y));
      set("angle", Math.atan2(found.y, found.x) / RAD);
      update();
    });
    controls.addEventListener("input", update);
    estimate.addEventListener("change", answer);
    estimate.disabled = false;
  }

  Array.prototype.forEach.call(document.querySelectorAll(".nld-fan"), start);
})();
