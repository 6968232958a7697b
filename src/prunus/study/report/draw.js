// Draws every chart of the page, in the colours of the page, and again when those change.
(() => {
  const charts = JSON.parse(document.getElementById("chart-data").textContent);
  const style = getComputedStyle(document.documentElement);
  const narrow = matchMedia("(max-width: 640px)");
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function template() {
    const colour = (name) => style.getPropertyValue(name).trim();
    const size = narrow.matches ? 11 : 13;
    const axis = {
      gridcolor: colour("--line"),
      linecolor: colour("--line"),
      title: { font: { size } },
      fixedrange: true,
    };
    return {
      layout: {
        font: {
          family: getComputedStyle(document.body).fontFamily,
          size,
          color: colour("--ink"),
        },
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        hoverlabel: { bgcolor: colour("--paper"), bordercolor: colour("--line"), align: "left" },
        xaxis: axis,
        yaxis: axis,
      },
    };
  }

  function draw() {
    for (const [name, chart] of Object.entries(charts)) {
      const { data, layout } = structuredClone(chart);
      layout.template = template();
      Plotly.react(name, data, layout, { responsive: true, displayModeBar: false });
    }
  }

  draw();
  narrow.addEventListener("change", draw);
  dark.addEventListener("change", draw);
})();
