/* Numbers as the pages within pages write them. Classic script, loaded before the scripts that use it. */
window.nldWords = (function () {
  "use strict";

  function powerOfTen(exponent) {
    return "10" + String(exponent).replace(/./g, function (c) { return "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]; });
  }

  return {
    short: function (value) { return Number(value.toPrecision(3)).toString(); },
    powerOfTen: powerOfTen,
    power: function (value) {  // one digit and a power of ten, in one line
      if (value === 0) return "0";
      var parts = value.toExponential(0).replace("+", "").split("e");
      return parts[0].replace("-", "−") + "\u00a0×\u00a0" + powerOfTen(Number(parts[1]));
    },
    filled: function (sentence, words) {
      return sentence.replace(/{(\w+)}/g, function (_, name) { return words[name]; });
    }
  };
})();
