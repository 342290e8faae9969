/* A small network that trains in the page. Classic script: works from disk, asks the network for nothing. All numbers
   are float64. It is the training of nld.experiment.studies.page_training, draw for draw, and the predictions are those
   of nld.theory; tests/browser/test_explorable_training.py compares them in the browser. */
(function () {
  "use strict";

  /* Mulberry32: numbers in [0, 1), the same in every language. */
  function uniform(seed) {
    var state = seed | 0;
    return function () {
      state = (state + 0x6D2B79F5) | 0;
      var mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  }

  /* Two characters hold three pixels, a number in base 17. */
  function decode(data) {
    var place = {}, grey = [], images = new Float64Array(data.labels.length * data.pixels), at = 0;
    for (var c = 0; c < data.alphabet.length; c++) place[data.alphabet[c]] = c;
    for (var level = 0; level < 17; level++) grey.push((level - data.mean) / data.scale);
    for (var i = 0; i < data.images.length; i += 2) {
      var number = place[data.images[i]] * data.alphabet.length + place[data.images[i + 1]];
      for (var part = 0; part < 3 && at < images.length; part++) {
        images[at++] = grey[number % 17];
        number = Math.floor(number / 17);
      }
    }
    return images;
  }

  /* A parameter with its gradient and the momentum buffer of torch.optim.SGD. */
  function parameter(size, value) {
    var q = new Float64Array(size);
    for (var i = 0; i < size; i++) q[i] = value(i);
    return { q: q, g: new Float64Array(size), buffer: new Float64Array(size) };
  }

  function network(data, p) {
    var draw = uniform(data.seeds[0]), pixels = data.pixels, filters = data.filters, classes = data.classes;
    function within(bound) { return function () { return (2 * draw() - 1) * bound; }; }
    var filter = parameter(filters * pixels, within(1 / Math.sqrt(pixels)));
    var readout = parameter(classes * filters, within(1 / Math.sqrt(filters)));
    var bias = parameter(classes, within(1 / Math.sqrt(filters)));
    for (var i = 0; i < filter.q.length; i++) filter.q[i] *= p.filter_scale;
    return {
      filter: filter, readout: readout, bias: bias,
      gain: parameter(filters, function () { return 1; }), shift: parameter(filters, function () { return 0; })
    };
  }

  /* Loss of a batch, the mean cross-entropy, and its gradients: forwards, then backwards. */
  function differentiate(net, data, images, chosen) {
    var B = chosen.length, P = data.pixels, F = data.filters, C = data.classes, b, f, c, x, sum;
    var z = new Float64Array(B * F), unit = new Float64Array(B * F), hidden = new Float64Array(B * F);
    var deviation = new Float64Array(F), error = new Float64Array(B * C), back = new Float64Array(B), loss = 0;
    var weight = net.filter.q, slope = net.filter.g, row, from;
    for (b = 0; b < B; b++) {
      for (from = chosen[b] * P, f = 0; f < F; f++) {
        for (x = 0, row = f * P, sum = 0; x < P; x++) sum += images[from + x] * weight[row + x];
        z[b * F + f] = sum;
      }
    }
    for (f = 0; f < F; f++) {
      var mean = 0, square = 0;
      for (b = 0; b < B; b++) mean += z[b * F + f] / B;
      for (b = 0; b < B; b++) square += (z[b * F + f] - mean) * (z[b * F + f] - mean) / B;
      deviation[f] = Math.sqrt(square + data.epsilon);
      for (b = 0; b < B; b++) {
        unit[b * F + f] = (z[b * F + f] - mean) / deviation[f];
        hidden[b * F + f] = Math.max(0, net.gain.q[f] * unit[b * F + f] + net.shift.q[f]);
      }
    }
    for (b = 0; b < B; b++) {
      var logits = [], top = -Infinity, total = 0;
      for (c = 0; c < C; c++) {
        for (f = 0, sum = net.bias.q[c]; f < F; f++) sum += hidden[b * F + f] * net.readout.q[c * F + f];
        logits.push(sum);
        top = Math.max(top, sum);
      }
      for (c = 0; c < C; c++) total += Math.exp(logits[c] - top);
      var label = Number(data.labels[chosen[b]]);
      loss += (Math.log(total) + top - logits[label]) / B;
      for (c = 0; c < C; c++) error[b * C + c] = (Math.exp(logits[c] - top) / total - (c === label ? 1 : 0)) / B;
    }
    [net.filter, net.readout, net.bias].forEach(function (each) { each.g.fill(0); });
    for (b = 0; b < B; b++) {
      for (c = 0; c < C; c++) {
        net.bias.g[c] += error[b * C + c];
        for (f = 0; f < F; f++) net.readout.g[c * F + f] += error[b * C + c] * hidden[b * F + f];
      }
    }
    for (f = 0; f < F; f++) {
      var along = 0, flat = 0;
      for (b = 0; b < B; b++) {
        for (c = 0, sum = 0; c < C; c++) sum += error[b * C + c] * net.readout.q[c * F + f];
        back[b] = hidden[b * F + f] > 0 ? sum : 0;
        flat += back[b];
        along += back[b] * unit[b * F + f];
      }
      net.shift.g[f] = flat;
      net.gain.g[f] = along;
      for (b = 0; b < B; b++) {
        var pushed = net.gain.q[f] / deviation[f] * (back[b] - flat / B - unit[b * F + f] * along / B);
        for (x = 0, row = f * P, from = chosen[b] * P; x < P; x++) slope[row + x] += pushed * images[from + x];
      }
    }
    return loss;
  }

  /* A run: what was measured of each filter and what is predicted for it, step by step. */
  function run(data, images, p) {
    var net = network(data, p), draw = uniform(data.seeds[1]), P = data.pixels, F = data.filters;
    var all = [net.filter, net.gain, net.shift, net.readout, net.bias], count = images.length / P;
    var friction = 1 - p.momentum, forget = 4 * p.weight_decay * p.learning_rate / friction, decay = Math.exp(-forget);
    var gain = 2 * p.learning_rate * p.learning_rate / (friction * friction) * (forget > 0 ? -Math.expm1(-forget) / forget : 1);
    var start = squares(net.filter.q), fourth = { white: [], smooth: [] }, half = [], stepped = [], now = {};
    var out = { loss: [], charge: [], squared_norm: [start], exact: [start], white: [start], smooth: [start] };
    for (var f = 0; f < F; f++) {
      fourth.white.push(start[f] * start[f]);
      fourth.smooth.push(start[f] * start[f]);
      half.push(0);
      stepped.push(0);
    }

    function squares(v) { return products(v, v); }
    function products(v, w) {
      var sums = [];
      for (var f = 0; f < F; f++) {
        for (var x = f * P, sum = 0; x < (f + 1) * P; x++) sum += v[x] * w[x];
        sums.push(sum);
      }
      return sums;
    }

    function update(each) {
      for (var i = 0; i < each.q.length; i++) {
        each.buffer[i] = p.momentum * each.buffer[i] + each.g[i] + p.weight_decay * each.q[i];
        each.q[i] -= p.learning_rate * each.buffer[i];
      }
    }

    function hold(norms) {
      for (var f = 0; f < F; f++) {
        var factor = Math.sqrt(start[f]) / Math.sqrt(norms[f]);
        for (var x = f * P; x < (f + 1) * P; x++) net.filter.q[x] *= factor;
      }
    }

    function predict(norms, gradients, moved) {
      now = { exact: [], white: [], smooth: [] };
      var exact = out.exact[out.exact.length - 1], chi = { white: 1, smooth: (1 + p.momentum) / friction };
      for (var f = 0; f < F; f++) {
        // the exact law: C <- beta (C + |dq|^2) - eta k R, R <- R + 2 C + |dq|^2
        half[f] = p.momentum * (half[f] + stepped[f]) - p.learning_rate * p.weight_decay * exact[f];
        now.exact.push(p.hold ? start[f] : exact[f] + 2 * half[f] + moved[f]);
        stepped[f] = moved[f];
        // Eq 17: r^4 forgets at 4 k/mu and gains 2 eta chi |g^|^2/mu^2, |g^|^2 = r^2 |g|^2
        ["white", "smooth"].forEach(function (name) {
          fourth[name][f] = decay * fourth[name][f] + gain * chi[name] * norms[f] * gradients[f];
          now[name].push(p.hold ? start[f] : Math.sqrt(fourth[name][f]));
        });
      }
      ["exact", "white", "smooth"].forEach(function (name) { out[name].push(now[name]); });
    }

    out.step = function () {
      var chosen = [], before = net.filter.q.slice(), norms = out.squared_norm[out.squared_norm.length - 1];
      for (var b = 0; b < data.batch; b++) chosen.push(Math.floor(draw() * count));
      out.loss.push(differentiate(net, data, images, chosen));
      var gradients = squares(net.filter.g);
      all.forEach(update);
      out.charge.push(products(net.filter.buffer, before));
      predict(norms, gradients, squares(net.filter.buffer).map(function (s) {
        return p.learning_rate * p.learning_rate * s;
      }));
      if (p.hold) hold(squares(net.filter.q));
      out.squared_norm.push(squares(net.filter.q));
      if (!isFinite(out.loss[out.loss.length - 1] + out.squared_norm[out.squared_norm.length - 1][0])) out.diverged = true;
      return !out.diverged && out.loss.length < data.steps;
    };
    return out;
  }

  var exported = { decode: decode, run: run };
  if (typeof module !== "undefined" && module.exports) module.exports = exported;
  else window.nldTraining = exported;
})();
