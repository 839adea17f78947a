(() => {
  "use strict";
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const font = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
  const text = "#3e4c59";
  const options = {
    ...read("locale"),
    actions: false,
    renderer: "svg",
    tooltip: { theme: "light" },
    config: {
      font,
      background: null,
      view: { stroke: null },
      autosize: { type: "fit-x", contains: "padding" },
      axis: {
        labelColor: text, titleColor: text, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 400,
        gridColor: "#e8ecf0", domainColor: "#9aa5b1", tickColor: "#9aa5b1", titlePadding: 8, labelPadding: 6,
      },
      axisX: { grid: false },
      axisY: { domain: false, ticks: false, tickCount: 5 },
      legend: {
        orient: "top", direction: "horizontal", labelFontSize: 12, labelColor: text, symbolStrokeWidth: 2,
        offset: 10, columnPadding: 16,
      },
    },
  };
  for (const [id, spec] of Object.entries(read("charts"))) {
    const place = document.getElementById(id);
    vegaEmbed(place, spec, options).catch(() => {
      place.textContent = "De grafiek kon niet worden getekend; de cijfers staan in de tabel.";
    });
  }
})();
