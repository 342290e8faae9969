/* The books of a training with which somebody tampers half-way. Classic script, loaded after explorable-words.js: works
   from disk, asks the network for nothing. What was measured is in the page; the sums are those of
   nld.publish.explorables.explorable_books, and tests/browser/test_explorable_books.py compares them. */
(function () {
  "use strict";

  var MOVES = ["dissipation", "kinetic", "decay", "residual"];

  /* The entries of every step: C' - C = (beta - 1) C + beta <pi, dq> + k |q|^2 + residual. */
  function books(run, momentum, decay) {
    var kept = { before: [], dissipation: [], kinetic: [], decay: [], residual: [], relative: [] };
    run.charge.forEach(function (charge, n) {
      var before = n ? run.charge[n - 1] : 0;
      kept.before.push(before);
      kept.dissipation.push((momentum - 1) * before);
      kept.kinetic.push(momentum * run.momentum_along_step[n]);
      kept.decay.push(decay * run.squared_norm[n]);
      kept.residual.push(charge - before - kept.dissipation[n] - kept.kinetic[n] - kept.decay[n]);
      kept.relative.push(Math.abs(kept.residual[n]) / run.size[n]);
    });
    return kept;
  }

  /* Where the entries of a step begin and end, in ℓ. */
  function ends(kept, step) {
    return MOVES.reduce(function (places, name) {
      return places.concat(places[places.length - 1] + kept[name][step]);
    }, [0]);
  }

  /* Largest relative residual after somebody has tampered, in books that take beta for what it was at first. */
  function worst(run, data) {
    return Math.max.apply(null, books(run, data.rates.momentum, data.rates.weight_decay).relative.slice(data.tampered));
  }

  if (typeof module !== "undefined" && module.exports) module.exports = { books: books, worst: worst };
  if (typeof document === "undefined") return;

  function thousandths(value) { return (1e3 * value).toFixed(2).replace("-0.00", "0.00").replace("-", "−"); }

  function start(root) {
    var data = JSON.parse(root.querySelector("script[type='application/json']").textContent), frame = data.frame;
    var estimate = root.querySelector("[data-part='estimate']"), controls = root.querySelector("[data-part='controls']");
    var stepper = controls.querySelector("input[name='step']"), bridge = data.bridge;

    function across(step) { return frame.left + frame.width * step / Number(stepper.max); }
    function height(name, value) {
      var axis = data.axes[name];
      return frame.top + frame.height * (1 - Math.max(0, (value - axis[0]) / (axis[1] - axis[0])));
    }

    function draw(name, curve, values, step) {
      var picture = root.querySelector("[data-quantity='" + name + "']");
      var points = values.slice(0, step + 1).map(function (value, n) {
        var place = name === "charge" ? 1e3 * value : Math.log10(Math.max(value, 1e-300));
        return [across(n).toFixed(1), height(name, place).toFixed(1)];
      });
      picture.querySelector("[data-curve='" + curve + "']").setAttribute("points", points.join(" "));
      if (curve === "kept") return;
      picture.querySelector(".nld-now").setAttribute("cx", points[step][0]);
      picture.querySelector(".nld-now").setAttribute("cy", points[step][1]);
    }

    function build(kept, step) {
      var places = ends(kept, step), all = [].concat.apply([], kept.before.map(function (_, n) { return ends(kept, n); }));
      var low = Math.min.apply(null, all), high = Math.max.apply(null, all), zero = root.querySelector("[data-zero]");
      function x(place) { return bridge.left + bridge.width * (place - low) / (high - low); }
      zero.setAttribute("d", zero.getAttribute("d").replace(/^M[^,]*/, "M" + x(0).toFixed(1)));
      MOVES.concat("together").forEach(function (name, n) {
        var from = n < MOVES.length ? places[n] : 0, to = n < MOVES.length ? places[n + 1] : places[MOVES.length];
        var bar = root.querySelector("[data-entry='" + name + "']");
        bar.setAttribute("x", Math.min(x(from), x(to)).toFixed(1));
        bar.setAttribute("width", Math.max(Math.abs(x(to) - x(from)), 0.8).toFixed(1));
        root.querySelector("[data-amount='" + name + "']").textContent = thousandths(name === "together" ? to : kept[name][step]);
      });
    }

    function sentence(run, kept, step) {
      var violation = run.violation[step], balanced = kept.relative[step] < data.balanced;
      var cause = balanced ? "balanced" : violation < data.balanced ? "momentum" : "loss";
      var said = { n: step, charge: thousandths(run.charge[step]), relative: nldWords.power(kept.relative[step]) };
      ["before"].concat(MOVES).forEach(function (name) { said[name] = thousandths(kept[name][step]); });
      said.verdict = nldWords.filled(data.verdicts[cause], { violation: nldWords.power(violation) });
      return nldWords.filled(data.readout, said);
    }

    function update() {
      var step = Number(stepper.value), run = data.runs[controls.querySelector("input[type='radio']:checked").value];
      var kept = books(run, Number(controls.querySelector("input[name='momentum']").value), data.rates.weight_decay);
      controls.querySelectorAll("input[type='range']").forEach(function (slider) {
        slider.setAttribute("aria-valuetext", nldWords.short(Number(slider.value)));
        slider.nextElementSibling.textContent = nldWords.short(Number(slider.value));
      });
      root.querySelector("[data-step]").textContent = step;
      build(kept, step);
      draw("charge", "measured", run.charge, step);
      draw("charge", "kept", run.charge.map(function (_, n) {
        return kept.before[n] + kept.dissipation[n] + kept.kinetic[n] + kept.decay[n];
      }), step);
      draw("relative", "relative", kept.relative, step);
      root.querySelector(".nld-readout").textContent = sentence(run, kept, step);
    }

    function answer() {
      var chosen = estimate.querySelector("input:checked").value, left = worst(data.runs[chosen], data);
      root.querySelector(".nld-answer").textContent = nldWords.filled(
        data.answers[left < data.balanced ? "unnoticed" : "noticed"],
        { said: data.words[chosen], worst: nldWords.power(left), tampered: data.tampered }
      );
      controls.disabled = false;
    }

    controls.querySelector("button").addEventListener("click", function () {
      stepper.value = Number(stepper.value) < Number(stepper.max) ? Number(stepper.value) + 1 : 0;
      update();
    });
    controls.addEventListener("input", update);
    estimate.addEventListener("change", answer);
    estimate.disabled = false;
  }

  Array.prototype.forEach.call(document.querySelectorAll(".nld-books"), start);
})();
