/* What the theory says of a training run, in words. Classic script: works from disk, asks the network for nothing. The
   numbers and the choice of sentences are those of nld.publish.explorables.calculator;
   tests/browser/test_calculator.py compares them. */
(function () {
  "use strict";

  /* How long the signs of Lion's updates remember each other. */
  function memoryOfSigns(b, beta, decay) {
    var squares = Math.pow(1 - b, 2) + b * b * (1 - beta) / (1 + beta), sum = 0;
    var first = (b * (1 - b) * (1 - beta) + b * b * beta * (1 - beta) / (1 + beta)) / squares;
    var lags = 1 + Math.ceil(-40 / Math.log(Math.max(beta * (1 - decay), 1e-18)));
    for (var lag = 1; lag <= lags; lag++) sum += Math.pow(1 - decay, lag) * Math.asin(first * Math.pow(beta, lag - 1));
    return 1 + 4 / Math.PI * sum;
  }

  /* r² and the squared chord of a step in equilibrium, in the units that the sentences name. */
  function equilibrium(p, interpolation) {
    var eta = p.learning_rate, beta = p.momentum, decay = eta * p.weight_decay;
    if (p.optimizer === "sgd") {
      var norm = Math.sqrt(eta / (p.weight_decay * (1 - beta) * (2 - decay / (1 + beta))));
      return { norm: norm, chord: 2 * decay / (1 + beta) };
    }
    var factor = beta * (1 - decay), update = 1, memory = memoryOfSigns(interpolation, beta, decay);
    if (p.optimizer === "adamw") {
      update = (1 - beta) / (1 + beta);
      memory = (1 + factor) / (1 - factor);
    }
    var square = eta * eta * update * memory / (2 * decay - decay * decay);
    return { norm: square, chord: (eta * eta * update / square - decay * decay) / (1 - decay) };
  }

  function numbers(p, data) {
    var decayed = p.learning_rate * p.weight_decay, there = equilibrium(p, data.interpolation);
    var memory = p.optimizer === "sgd" ? (1 - p.momentum) / (4 * decayed) : 1 / (2 * decayed);
    var angle = 2 * Math.asin(Math.sqrt(there.chord) / 2);
    return {
      memory: memory, images: memory * p.batch, left: Math.exp(-p.steps / memory), settled: data.memories * memory,
      angle: angle, degrees: angle * 180 / Math.PI, norm: there.norm, root: Math.sqrt(there.norm)
    };
  }

  function inWords(value) {
    var rounded = Number(value.toPrecision(3)), parts = rounded.toExponential().split("e"), exponent = Number(parts[1]);
    if (rounded >= 1000) return BigInt(rounded).toString().replace(/\B(?=(\d{3})+$)/g, ",");
    if (exponent >= -4) return rounded.toString();
    return parts[0] + "e-" + String(-exponent).padStart(2, "0");
  }
  function share(value) { return value < 1e-3 ? "less than 0.1\u00a0%" : inWords(100 * value) + "\u00a0%"; }

  function valid(p) {
    return p.learning_rate > 0 && p.momentum >= 0 && p.momentum < 1 && p.weight_decay >= 0 && p.steps >= 1 && p.batch >= 1 &&
      p.learning_rate * p.weight_decay < 1 && isFinite(p.learning_rate + p.weight_decay + p.steps + p.batch);
  }

  function answers(p, data) {
    var say = data.sentences;
    if (p.weight_decay === 0) return { memory: say["no memory"], decay: say.zero, equilibrium: say.none, angle: "–", norm: "–" };
    var found = numbers(p, data), decay = p.steps <= found.memory ? "off" : found.memory < data.few ? "noisy" : "on";
    var said = {}, chosen = {
      memory: say.memory, decay: say[decay], equilibrium: say[p.steps >= found.settled ? "reached" : "missed"],
      angle: say.angle, norm: say.norm[p.optimizer]
    };
    Object.keys(found).forEach(function (name) { said[name] = inWords(found[name]); });
    said.left = share(found.left);
    said.forgotten = say.forgotten[p.optimizer];
    said.few = String(data.few);
    Object.keys(chosen).forEach(function (name) {
      chosen[name] = chosen[name].replace(/{(\w+)}/g, function (_, key) { return said[key]; });
    });
    return chosen;
  }

  if (typeof module !== "undefined" && module.exports) module.exports = { numbers: numbers, answers: answers };
  if (typeof document === "undefined") return;

  function start(root) {
    var data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    var invalid = root.querySelector("[data-invalid]");

    function update() {
      var p = { optimizer: root.querySelector("select").value };
      root.querySelectorAll("input").forEach(function (field) {
        p[field.name] = field.value === "" ? NaN : Number(field.value);
      });
      var good = valid(p), said = good ? answers(p, data) : {};
      root.querySelectorAll("[data-answer]").forEach(function (place) {
        var text = said[place.dataset.answer] || "–";
        if (place.textContent !== text) place.textContent = text;
      });
      invalid.hidden = good;
      invalid.textContent = good ? "" : data.sentences.invalid;
    }

    root.addEventListener("input", update);
    root.querySelector("fieldset").disabled = false;
    update();
  }

  Array.prototype.forEach.call(document.querySelectorAll(".nld-calculator"), start);
})();
