/* What a reader sees of the network that trains in the page: controls, pictures and words. explorable-words.js and
   explorable-training-engine.js are loaded before it. Classic script: works from disk, asks the network for nothing. */
(function () {
  "use strict";

  var PREDICTED = ["exact", "white", "smooth"], LOSS = 10, SLICE = 12;  // steps a mean, milliseconds between pictures

  var short = nldWords.short;
  function median(values) {
    var sorted = values.slice().sort(function (a, b) { return a - b; }), middle = Math.floor(sorted.length / 2);
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
  function last(values) { return values[values.length - 1]; }
  function value(slider) {
    return slider.dataset.scale === "log" ? Math.pow(10, Number(slider.value)) : Number(slider.value);
  }

  /* What the controls say, by name. */
  function settings(root) {
    var p = {};
    root.querySelectorAll("input[type='range']").forEach(function (slider) { p[slider.name] = value(slider); });
    p.hold = root.querySelector("input[type='checkbox']").checked;
    return p;
  }

  /* What is drawn: by quantity and curve, pairs of step and value. */
  function courses(out, p) {
    var drawn = { loss: { measured: [] }, squared_norm: {}, rate: {} };
    for (var n = LOSS; n <= out.loss.length; n += LOSS) {
      for (var i = n - LOSS, sum = 0; i < n; i++) sum += out.loss[i];
      drawn.loss.measured.push([n - LOSS / 2, sum / LOSS]);
    }
    ["squared_norm"].concat(p.hold ? ["exact"] : PREDICTED).forEach(function (name) {
      var course = out[name].map(function (values, n) { return n % 5 ? null : [n, median(values)]; }).filter(Boolean);
      var curve = name === "squared_norm" ? "measured" : name;
      drawn.squared_norm[curve] = course;
      drawn.rate[curve] = course.map(function (pair) { return [pair[0], p.learning_rate / pair[1]]; });
    });
    return drawn;
  }

  /* Exponents of the powers of ten between which all values lie. */
  function decades(curves, more) {
    var low = more, high = more;
    Object.keys(curves).forEach(function (name) {
      curves[name].forEach(function (pair) {
        if (!isFinite(pair[1]) || pair[1] <= 0) return;
        low = Math.min(low, pair[1]);
        high = Math.max(high, pair[1]);
      });
    });
    low = Math.floor(Math.log10(low));
    return [low, Math.max(Math.ceil(Math.log10(high)), low + 1)];
  }

  function written(exponent) {
    return exponent >= -2 && exponent <= 3 ? String(Number("1e" + exponent)) : nldWords.powerOfTen(exponent);
  }

  function start(root) {
    var data = JSON.parse(root.querySelector("script[type='application/json']").textContent), frame = data.frame;
    var readout = root.querySelector("output"), images = null, waiting = null, before = null, done = null;

    function height(value, ends) { return frame.top + frame.height * (1 - (Math.log10(value) - ends[0]) / (ends[1] - ends[0])); }

    function ticks(ends) {
      for (var e = ends[0], text = "", apart = Math.ceil((ends[1] - ends[0]) / 6); e <= ends[1]; e += apart) {
        var y = height(Math.pow(10, e), ends);
        text += "<text x='" + (frame.left - 4) + "' y='" + (y + 4).toFixed(1) + "' text-anchor='end'>" + written(e) + "</text>" +
          "<path class='nld-axis' d='M" + (frame.left - 3) + "," + y.toFixed(1) + "h3'/>";
      }
      return text;
    }

    function draw(drawn) {
      root.querySelectorAll("svg[data-quantity]").forEach(function (picture) {
        var name = picture.dataset.quantity, curves = Object.assign({}, drawn[name]), guessing = Math.log(data.classes);
        if (before) curves.before = before[name].measured;
        var first = name === "loss" ? guessing : curves.measured[0][1], ends = decades(curves, first);
        picture.querySelector("g").innerHTML = ticks(ends);
        picture.querySelectorAll("polyline").forEach(function (line) {
          line.setAttribute("points", (curves[line.dataset.curve] || []).map(function (pair) {
            if (!isFinite(pair[1]) || pair[1] <= 0) return "";
            return (frame.left + frame.width * pair[0] / data.steps).toFixed(1) + "," + height(pair[1], ends).toFixed(1);
          }).join(" "));
        });
        if (name !== "loss") return;
        var y = height(guessing, ends);
        picture.querySelector(".nld-guessing").setAttribute("d", "M" + frame.left + "," + y.toFixed(1) + "h" + frame.width);
        picture.querySelector("[data-guessing]").setAttribute("y", (y - 4).toFixed(1));
      });
    }

    function report(out, p, drawn) {
      var apart = 0, norms = out.squared_norm;
      norms.forEach(function (values, n) {
        values.forEach(function (value, f) { apart = Math.max(apart, Math.abs(out.exact[n][f] / value - 1)); });
      });
      var text = out.diverged ? data.readouts.diverged : p.hold ? data.readouts.held : data.readouts.free;
      var losses = drawn.loss.measured, said = { steps: out.loss.length, apart: nldWords.power(apart) };
      if (losses.length) said.loss = short(last(losses)[1]);
      ["squared_norm"].concat(PREDICTED).forEach(function (name) { said[name] = short(median(last(out[name]))); });
      said.rate = short(p.learning_rate / median(last(norms)));
      readout.textContent = nldWords.filled(text, said);
    }

    function train() {
      var p = settings(root), out;
      cancelAnimationFrame(waiting);
      images = images || nldTraining.decode(data);
      if (done) before = done;
      done = null;
      out = nldTraining.run(data, images, p);
      root.dataset.state = "training";
      (function slice() {
        var until = performance.now() + SLICE, more = true;
        while (more && performance.now() < until) more = out.step();
        var drawn = courses(out, p);
        draw(drawn);
        if (more) { waiting = requestAnimationFrame(slice); return; }
        done = drawn;
        root.dataset.state = "trained";
        report(out, p, drawn);
      })();
    }

    root.querySelectorAll("input[type='range']").forEach(function (slider) {
      slider.addEventListener("input", function () {
        var text = short(value(slider)) + (slider.dataset.unit ? " " + slider.dataset.unit : "");
        slider.setAttribute("aria-valuetext", text);
        slider.nextElementSibling.textContent = text;
        train();
      });
    });
    root.querySelector("input[type='checkbox']").addEventListener("change", train);
    root.querySelector("button").addEventListener("click", train);
    root.querySelector("fieldset").hidden = false;
  }

  Array.prototype.forEach.call(document.querySelectorAll(".nld-training"), start);
})();
