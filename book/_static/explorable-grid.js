/* The measured runs of fig-grid, one pair a setting. Classic script: works from disk, asks the network for nothing.
   All numbers are in the page; this only looks them up. tests/browser/test_explorable_grid.py compares what is shown
   with the figure's data. */
(function () {
  "use strict";

  var MODES = ["unconstrained", "constrained"], SYMBOLS = { learning_rate: "η", momentum: "β", weight_decay: "k" };
  var UNITS = { learning_rate: " w²/ℓ", momentum: "", weight_decay: " ℓ/w²" };

  function short(value) { return Number(value.toPrecision(3)).toString(); }

  function start(root) {
    var data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    var names = Object.keys(data.fields), last = data.steps.length - 1, frame = data.frame;

    function course(quantity, mode, chosen) {
      return chosen.reduce(function (nested, index) { return nested[index]; }, data.values[quantity][mode]);
    }

    function points(values, axis) {
      return values.map(function (value, n) {
        if (value === null) return "";
        var x = frame.left + frame.width * data.steps[n] / data.steps[last];
        var share = Math.log(value / axis[0]) / Math.log(axis[1] / axis[0]);
        return x.toFixed(1) + "," + (frame.top + frame.height * (1 - share)).toFixed(1);
      }).join(" ").trim();
    }

    function end(quantity, mode, chosen) {
      var value = course(quantity, mode, chosen)[last];
      return value === null ? "diverged" : short(value * data.factors[quantity]);
    }

    function update() {
      var chosen = names.map(function (name) {
        return Number(root.querySelector("[data-field='" + name + "'] input:checked").value);
      });
      MODES.forEach(function (name, mode) {
        root.querySelectorAll("[data-curve='" + name + "']").forEach(function (curve) {
          var quantity = curve.dataset.quantity;
          curve.setAttribute("points", points(course(quantity, mode, chosen), data.axes[quantity]));
        });
        root.querySelectorAll("td[data-mode='" + name + "']").forEach(function (cell) {
          cell.textContent = end(cell.dataset.quantity, mode, chosen);
        });
      });
      var setting = names.map(function (name, n) {
        return SYMBOLS[name] + " = " + short(data.fields[name][chosen[n]]) + UNITS[name];
      }).join(", ");
      root.querySelector("[data-setting]").textContent = setting;
      root.querySelector("output").textContent = data.readout
        .replace("{setting}", setting)
        .replace("{steps}", data.steps[last])
        .replace("{unconstrained}", end("test_loss", 0, chosen))
        .replace("{constrained}", end("test_loss", 1, chosen));
    }

    root.addEventListener("change", update);
    root.querySelector("fieldset").disabled = false;
    update();
  }

  Array.prototype.forEach.call(document.querySelectorAll(".nld-grid"), start);
})();
