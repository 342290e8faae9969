/* A damped charge and the norm of a filter, live in the page. Classic script: works from disk, asks the network for
   nothing. The numbers are those of nld.publish.explorables.explorable.compute; tests/publish/test_explorable.py compares them. */
(function () {
  "use strict";

  function dot(a, b) {
    var sum = 0;
    for (var i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  }

  function without(v, directions) {
    // v minus its parts along orthogonal directions, at length one
    directions.forEach(function (d) {
      var part = dot(v, d) / dot(d, d);
      v = v.map(function (x, i) { return x - part * d[i]; });
    });
    var length = Math.sqrt(dot(v, v));
    return v.map(function (x) { return x / length; });
  }

  /* Rotation: a particle in f = (|q|^2 - 1)^2/4 under heavy ball. The charge <buffer, A(q)>, over its first value,
     and e^{-mu t/m} beside it. */
  function charge(p, steps) {
    var q = [1.2, 0], b = [0, -0.6], first = q[0] * b[1] - q[1] * b[0], simulated = [1], predicted = [1];
    var rate = 2 * (1 - p.momentum) / (1 + p.momentum);
    for (var n = 1; n <= steps; n++) {
      var force = dot(q, q) - 1 + p.weight_decay;
      b = [p.momentum * b[0] + force * q[0], p.momentum * b[1] + force * q[1]];
      simulated.push((q[0] * b[1] - q[1] * b[0]) / first);
      predicted.push(Math.exp(-rate * n));
      q = [q[0] - p.learning_rate * b[0], q[1] - p.learning_rate * b[1]];
    }
    return { simulated: simulated, predicted: predicted };
  }

  /* Scale: |q|^2 of a filter under gradients of length 1/|q|, orthogonal to q, each with the given correlation to the
     one before. */
  function norm(p, noise) {
    var size = noise[0].length, q = [], b = [], d = [], out = [1], c = p.correlation;
    for (var i = 0; i < size; i++) { q.push(i === 0 ? 1 : 0); b.push(0); d.push(i === 1 ? 1 : 0); }
    noise.forEach(function (xi) {
      var length = Math.sqrt(dot(q, q)), e = without(d, [q]), fresh = without(xi, [q, e]);
      d = e.map(function (x, i) { return c * x + Math.sqrt(1 - c * c) * fresh[i]; });
      b = b.map(function (x, i) { return p.momentum * x + d[i] / length + p.weight_decay * q[i]; });
      q = q.map(function (x, i) { return x - p.learning_rate * b[i]; });
      out.push(dot(q, q));
    });
    return out;
  }

  /* exp(M) of a 3 x 3 matrix: Taylor series of M/2^h, squared h times. */
  function times(a, b) {
    return a.map(function (row) {
      return [0, 1, 2].map(function (j) { return row[0] * b[0][j] + row[1] * b[1][j] + row[2] * b[2][j]; });
    });
  }

  function exponential(matrix) {
    var size = Math.max.apply(null, matrix.map(function (row) {
      return Math.abs(row[0]) + Math.abs(row[1]) + Math.abs(row[2]);
    }));
    var halvings = Math.max(0, Math.ceil(Math.log2(size)) + 4);
    var small = matrix.map(function (row) { return row.map(function (x) { return x / Math.pow(2, halvings); }); });
    var sum = [[1, 0, 0], [0, 1, 0], [0, 0, 1]], term = sum;
    for (var j = 1; j < 20; j++) {
      term = times(term, small).map(function (row) { return row.map(function (x) { return x / j; }); });
      sum = sum.map(function (row, r) { return row.map(function (x, s) { return x + term[r][s]; }); });
    }
    for (var h = 0; h < halvings; h++) sum = times(sum, sum);
    return sum;
  }

  /* Eq 16, m y'' + mu y' + 2 k y = 2 m |g^|^2/(mu^2 y) with |g^| = 1, each step in eight parts with the drive of their
     middle. Held over a whole step, the drive throws y below zero, where no solution of Eq 16 goes. */
  function smooth(p, steps) {
    var parts = 8, time = p.learning_rate / parts, mass = p.learning_rate * (1 + p.momentum) / 2;
    var friction = 1 - p.momentum;
    function over(fraction) {
      return exponential([
        [0, fraction, 0],
        [-2 * p.weight_decay * time * time / mass * fraction, -friction * time / mass * fraction, time * time * fraction],
        [0, 0, 0]
      ]);
    }
    var e = over(1), half = over(0.5)[0];
    var y = 1, v = 0, out = [1], drive = 2 / (friction * friction);
    for (var n = 1; n <= steps * parts; n++) {
      var force = drive / (half[0] * y + half[1] * v + half[2] * drive / y);
      var next = e[0][0] * y + e[0][1] * v + e[0][2] * force;
      v = e[1][0] * y + e[1][1] * v + e[1][2] * force;
      y = next;
      if (n % parts === 0) out.push(y);
    }
    return out;
  }

  /* The corrected Eq 17: r^4 decays at 4k/mu and gains 2 eta chi/mu^2, chi = (1 + beta c)/(1 - beta c). */
  function corrected(p, steps) {
    var friction = 1 - p.momentum, eta = p.learning_rate, bc = p.momentum * p.correlation;
    var chi = (1 + bc) / (1 - bc), x = 4 * p.weight_decay * eta / friction;
    var decay = Math.exp(-x), gain = 2 * eta * eta * chi / (friction * friction);
    if (x > 0) gain *= -Math.expm1(-x) / x;
    var fourth = 1, out = [1];
    for (var n = 0; n < steps; n++) {
      fourth = decay * fourth + gain;
      out.push(Math.sqrt(fourth));
    }
    return out;
  }

  function compute(p, noise) {
    var found = charge(p, noise.length);
    return {
      charge: found.simulated,
      charge_predicted: found.predicted,
      squared_norm: norm(p, noise),
      eq16: smooth(p, noise.length),
      corrected: corrected(p, noise.length)
    };
  }

  if (typeof module !== "undefined" && module.exports) module.exports = { compute: compute };
  if (typeof document === "undefined") return;

  function points(values, top, frame) {
    return values.map(function (value, n) {
      var x = frame.left + frame.width * n / (values.length - 1);
      var y = frame.top + frame.height * (1 - Math.max(-0.05, Math.min(1.05, value / top)));
      return x.toFixed(1) + "," + y.toFixed(1);
    }).join(" ");
  }

  function short(value) { return Number(value.toPrecision(3)).toString(); }

  function start(root) {
    var data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    var sliders = Array.prototype.slice.call(root.querySelectorAll("input[type='range']"));
    function value(slider) {
      return slider.dataset.scale === "log" ? Math.pow(10, Number(slider.value)) : Number(slider.value);
    }
    function update() {
      var p = {};
      sliders.forEach(function (slider) {
        p[slider.name] = value(slider);
        var text = short(p[slider.name]) + (slider.dataset.unit ? " " + slider.dataset.unit : "");
        slider.setAttribute("aria-valuetext", text);
        slider.nextElementSibling.textContent = text;
      });
      var found = compute(p, data.noise);
      var last = data.noise.length;
      var top = 1.08 * Math.max.apply(null, found.squared_norm.concat(found.corrected, found.eq16));
      ["charge", "charge_predicted"].forEach(function (name) {
        root.querySelector("[data-curve='" + name + "']").setAttribute("points", points(found[name], 1.05, data.frame));
      });
      ["squared_norm", "eq16", "corrected"].forEach(function (name) {
        root.querySelector("[data-curve='" + name + "']").setAttribute("points", points(found[name], top, data.frame));
      });
      root.querySelector("[data-top='norm']").textContent = short(top);
      root.querySelector("output.nld-readout").textContent = data.readout
        .replace("{squared_norm}", short(found.squared_norm[last]))
        .replace("{corrected}", short(found.corrected[last]))
        .replace("{eq16}", short(found.eq16[last]));
    }
    sliders.forEach(function (slider) { slider.addEventListener("input", update); });
    root.querySelector("fieldset").hidden = false;
    update();
  }

  Array.prototype.forEach.call(document.querySelectorAll(".nld-sliders"), start);
})();
