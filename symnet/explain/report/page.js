// Set the formulas that can be seen; those in a closed part when it is opened.
(function () {
  "use strict";
  function set(root) {
    root.querySelectorAll(".tex:not(.set)").forEach(function (place) {
      var closed = place.closest("details:not([open])");
      if (closed && closed !== root) return;
      var latex = place.textContent, display = place.classList.contains("display");
      place.classList.add("set");
      katex.render(latex, place, { displayMode: display, fleqn: true, throwOnError: false, strict: "ignore" });
    });
  }
  function show() {
    var id = decodeURIComponent(location.hash.slice(1)), goal = id && document.getElementById(id);
    if (!goal) return;
    for (var part = goal.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
    goal.scrollIntoView();
  }
  set(document);
  document.querySelectorAll("details").forEach(function (part) {
    part.addEventListener("toggle", function () { if (part.open) set(part); });
  });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details:not(#katex)").forEach(function (part) { part.open = true; set(part); });
  });
  window.addEventListener("hashchange", show);
  show();
})();
