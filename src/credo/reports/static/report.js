"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const byId = (id) => document.getElementById(id);

  // What is shown; it outlives a reload of the page, which may hold more environments and methods then: all by name.
  const storage = `credo-report ${location.pathname}`;
  const state = { environment: null, methods: [], seeds: [], verdicts: [], axes: {}, bySeed: false, theme: null };
  try {
    Object.assign(state, JSON.parse(sessionStorage.getItem(storage)) ?? {});
  } catch {
    // Without storage the page begins anew.
  }
  const keep = () => {
    try {
      sessionStorage.setItem(storage, JSON.stringify(state));
    } catch {
      // As above.
    }
  };
  const hidden = (list, value) => state[list].includes(value);
  const flip = (list, value) => {
    state[list] = hidden(list, value) ? state[list].filter((other) => other !== value) : [...state[list], value];
  };
  const environment = () => data.environments.find(({ name }) => name === state.environment) ?? data.environments[0];
  const figureOf = (key) => environment().figures.find((figure) => figure.key === key);
  // "linear", "log" (of x + 1) or "small" (logarithmic down to the figure's smallest value).
  const axisOf = (key) => state.axes[key] ?? (data.figures[key].scale === "log" ? "log" : "linear");

  // Theme.
  const system = matchMedia("(prefers-color-scheme: dark)");
  const themeName = () => state.theme ?? (system.matches ? "dark" : "light");
  const theme = () => data.themes[themeName()];
  const applyTheme = () => {
    root.dataset.theme = themeName();
    byId("theme").textContent = themeName() === "dark" ? "Light theme" : "Dark theme";
  };

  // Numbers.
  const number = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size >= 1000) return Math.round(value).toLocaleString("en");
    if (size !== 0 && size < 0.001) return value.toExponential(2);
    return String(Number(value.toPrecision(4)));
  };

  // Curves come with steps as differences, in a unit.
  const unpack = (series) => {
    if (!series.steps) {
      let step = 0;
      series.steps = series.s.map((difference) => (step += difference * series.u));
    }
    return series;
  };
  const visible = (seed) => !hidden("seeds", seed.n) && !hidden("verdicts", seed.verdict);
  const shownSeeds = (method) => environment().methods[method].seeds.filter(visible);

  const rows = (panel, method) => {
    const lines = [], marks = [];
    const seeds = shownSeeds(method).filter((seed) => panel.series[seed.n]);
    seeds.sort((a, b) => data.kinds.indexOf(a.verdict) - data.kinds.indexOf(b.verdict));
    for (const seed of seeds) {
      const series = unpack(panel.series[seed.n]);
      const same = { seed: seed.n, verdict: seed.verdict, group: state.bySeed ? seed.n : seed.verdict };
      series.steps.forEach((step, i) => lines.push({ ...same, step, value: series.v[i] }));
      for (const mark of series.m ?? []) marks.push({ ...same, ...mark });
    }
    return { lines, marks };
  };

  // Drawing. Only what is near the window is drawn; the rest waits until it is scrolled to.
  const live = new Map();
  let chosen = null;
  const choose = (seed) => {
    if (seed === chosen) return;
    chosen = seed;
    for (const { view, panel } of live.values()) if (panel) view.signal("chosen", chosen).runAsync();
  };
  const discard = (node) => {
    const drawn = live.get(node);
    if (drawn) drawn.view.finalize();
    live.delete(node);
  };
  const show = (node, spec, sets, more = {}) => {
    spec.autosize = { type: "fit-x", contains: "padding" };
    spec.width = Math.max(node.clientWidth, 200);
    delete spec.background;
    spec.padding = { left: 0, right: 6, top: 4, bottom: 2 };
    for (const [name, values] of Object.entries(sets)) spec.data.find((set) => set.name === name).values = values;
    const config = { ...theme().config, aria: false };
    // ast: expressions are interpreted, not compiled, so that the page may forbid every script but its own.
    const options = { mode: "vega", renderer: "svg", actions: false, defaultStyle: false, ast: true, tooltip: false, config };
    // Vega gives its own element a role and a label; the chart has better ones.
    const inner = element("div", { ariaHidden: "true" });
    node.replaceChildren(inner);
    vegaEmbed(inner, spec, options).then(({ view }) => {
      if (!node.isConnected) return view.finalize();
      live.set(node, { view, ...more });
      node.dataset.drawn = "yes";
      if (more.panel && chosen !== null) view.signal("chosen", chosen).runAsync();
    }, (error) => {
      node.textContent = `The figure could not be drawn: ${error.message}`;
      console.error(error);
    });
  };
  const scaleOf = (spec, name) => spec.scales.find((scale) => scale.name === name);
  const setAxis = (spec, axis, title, key) => {
    const scale = scaleOf(spec, "y"), kind = axisOf(key), smallest = data.figures[key].smallest;
    scale.domain = axis[kind];
    if (kind !== "linear") Object.assign(scale, { type: "symlog", constant: kind === "log" ? 1 : smallest });
    const words = { linear: "", log: ", log(x+1) axis", small: `, log axis from ${smallest} on` }[kind];
    for (const one of spec.axes.filter((other) => other.scale === "y")) {
      if (kind === "log") one.values = axis.ticks;
      if (kind === "small") {
        one.values = axis.small_ticks;
        delete one.tickCount; // or Vega would leave out every other one
      }
      if (one.title) one.title = title + words;
    }
  };
  const seedColours = () => {
    const numbers = [...new Set(environment().methods.flatMap((method) => method.seeds.map((seed) => seed.n)))];
    numbers.sort((a, b) => a - b);
    const palette = theme().seeds;
    return { domain: numbers, range: numbers.map((_, i) => palette[i % palette.length]) };
  };
  const drawPanel = (node, key, panel) => {
    const figure = figureOf(key), method = environment().methods[panel.method];
    const spec = structuredClone(data.templates[data.figures[key].template]);
    const verdicts = theme().verdicts;
    setAxis(spec, figure.axis, data.figures[key].axis, key);
    scaleOf(spec, "x").domain = [0, environment().extent];
    const colours = state.bySeed ? seedColours() : { domain: Object.keys(verdicts), range: Object.values(verdicts) };
    Object.assign(scaleOf(spec, "color"), colours);
    spec.signals.find((signal) => signal.name === "ink").value = theme().ink;
    spec.height = 210;
    const expert = key === "return" && method.expert !== null
      ? [{ value: method.expert, label: `expert ${Math.round(method.expert).toLocaleString("en")}` }] : [];
    show(node, spec, { ...rows(panel, panel.method), expert }, { panel, key });
  };
  const drawBoxes = (node) => {
    const { boxes, methods } = environment();
    const spec = structuredClone(data.templates.phases);
    const names = methods.map((method) => method.name), shown = names.filter((name) => !hidden("methods", name));
    const palette = theme().methods;
    setAxis(spec, boxes.axis, boxes.title_of_axis, "phases");
    scaleOf(spec, "xOffset").domain = shown;
    Object.assign(scaleOf(spec, "color"), { domain: names, range: names.map((_, i) => palette[i % palette.length]) });
    spec.height = 260;
    const values = boxes.rows.filter((row) => {
      const method = methods[row.method];
      return !hidden("methods", method.name) && visible(method.seeds.find((seed) => seed.n === row.seed));
    });
    show(node, spec, { boxes: values.map((row) => ({ ...row, method: names[row.method] })) });
  };

  const drawers = new WeakMap();
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      drawers.get(entry.target)?.();
    }
  }, { rootMargin: "500px" });
  const queue = (node, drawer) => {
    drawers.set(node, drawer);
    watcher.unobserve(node);
    watcher.observe(node);
  };

  // The nearest curve to the pointer is chosen, within reach.
  const tip = byId("tip");
  const nearest = (node, event) => {
    const { view, panel } = live.get(node);
    const box = node.querySelector("svg").getBoundingClientRect(), origin = view.origin(), padding = view.padding();
    const x = event.clientX - box.left - origin[0] - padding.left;
    const y = event.clientY - box.top - origin[1] - padding.top;
    const across = view.scale("x"), up = view.scale("y"), step = across.invert(x);
    let best = null;
    for (const seed of shownSeeds(panel.method)) {
      const series = panel.series[seed.n];
      if (!series) continue;
      const steps = unpack(series).steps;
      let at = steps.findIndex((other) => other >= step);
      if (at < 0) at = steps.length - 1;
      for (const i of [at - 1, at, at + 1]) {
        if (i < 0 || i >= steps.length) continue;
        const gap = Math.hypot(across(steps[i]) - x, up(series.v[i]) - y);
        if (gap < 40 && (!best || gap < best.gap)) best = { gap, seed, step: steps[i], value: series.v[i] };
      }
    }
    return best;
  };
  const point = (node, event) => {
    const found = live.get(node)?.panel ? nearest(node, event) : null;
    choose(found ? found.seed.n : null);
    tip.hidden = !found;
    if (!found) return;
    const { seed } = found;
    tip.textContent = `seed ${seed.n}: ${seed.verdict}\n${number(found.value)} at step ${number(found.step)}\n${seed.reason}`;
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(left, 8)}px`;
    tip.style.top = `${event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 12 : event.clientY + 18}px`;
  };
  const leave = () => {
    choose(null);
    tip.hidden = true;
  };

  // Tables of a figure's numbers, made when they are opened.
  const cell = (tag, text, isNumber) => element(tag, { textContent: text, className: isNumber ? "number" : "" });
  const table = (caption, head, body, numbersFrom) => {
    const row = (tag, cells) =>
      element("tr", {}, ...cells.map((text, i) => cell(tag === "th" ? "th" : i ? "td" : "th", text, i >= numbersFrom)));
    const made = element(
      "table", {}, element("caption", { textContent: caption }),
      element("thead", {}, row("th", head)), element("tbody", {}, ...body.map((cells) => row("td", cells))),
    );
    made.querySelectorAll("thead th").forEach((node) => (node.scope = "col"));
    made.querySelectorAll("tbody th").forEach((node) => (node.scope = "row"));
    const box = element("div", { className: "scroll", tabIndex: 0 }, made);
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", caption);
    return box;
  };
  const figureTable = (key) => {
    const { methods, boxes, name } = environment();
    if (key === "phases") {
      const body = methods.flatMap((method, m) => method.seeds.map((seed) => {
        const of = (phase) => boxes.rows.find((row) => row.method === m && row.seed === seed.n && row.phase === phase);
        return [method.name, String(seed.n), ...data.phases.map((phase) => number(of(phase)?.value))];
      }));
      return table(`Mean in each phase, ${name}`, ["method", "seed", ...data.phases], body, 1);
    }
    const body = figureOf(key).panels.flatMap((panel) => methods[panel.method].seeds.map((seed) => {
      const series = panel.series[seed.n];
      const values = series ? [...series.q, Math.min(...series.v), Math.max(...series.v)] : Array(6).fill(null);
      return [methods[panel.method].name, String(seed.n), seed.verdict, ...values.map(number)];
    }));
    const head = ["method", "seed", "verdict", ...data.phases.map((phase) => `end of ${phase}`), "least", "most"];
    return table(`${data.figures[key].title}, ${name}`, head, body, 3);
  };
  const fillTable = (section) => {
    const fold = section.querySelector("details.numbers");
    fold.querySelector(".scroll")?.remove();
    if (fold.open) fold.append(figureTable(section.dataset.figure));
  };

  const links = (section, files) => {
    const place = section.querySelector(".files");
    place.replaceChildren();
    for (const [kind, href] of Object.entries(files ?? {})) {
      place.append(element("a", { href, textContent: kind.toUpperCase(), download: "" }));
    }
  };

  const render = () => {
    for (const node of [...live.keys()]) discard(node);
    for (const section of document.querySelectorAll("section[data-figure]")) {
      const key = section.dataset.figure, isBoxes = key === "phases";
      const figure = isBoxes ? environment().boxes : figureOf(key);
      section.hidden = !figure;
      if (!figure) continue;
      const panels = section.querySelector(".panels");
      panels.replaceChildren();
      for (const kind of ["log", "small"]) {
        section.querySelector(`button.${kind}`)?.setAttribute("aria-pressed", String(axisOf(key) === kind));
      }
      links(section, figure.files);
      if (isBoxes) {
        section.querySelector("h2").textContent = figure.title;
        const chart = element("div", { className: "chart" });
        chart.setAttribute("role", "img");
        chart.setAttribute("aria-label", `${figure.title} on ${environment().name}; its numbers are in the table below.`);
        const legend = element("ul", { className: "legend" });
        environment().methods.forEach((method, i) => {
          if (hidden("methods", method.name)) return;
          const swatch = element("i");
          swatch.style.background = theme().methods[i % theme().methods.length];
          legend.append(element("li", {}, swatch, method.name));
        });
        panels.append(element("div", { className: "panel" }, legend, chart));
        queue(chart, () => drawBoxes(chart));
      } else {
        for (const panel of figure.panels) {
          const method = environment().methods[panel.method];
          if (hidden("methods", method.name)) continue;
          const chart = element("div", { className: "chart" });
          chart.setAttribute("role", "img");
          const label = `${data.figures[key].title} of ${method.seeds.length} seeds of ${method.name} on ${environment().name}: ${method.counts}. The numbers are in the table below.`;
          chart.setAttribute("aria-label", label);
          const heading = [element("h4", { textContent: method.name }), element("p", { textContent: method.counts })];
          panels.append(element("div", { className: "panel" }, ...heading, chart));
          chart.addEventListener("pointermove", (event) => point(chart, event));
          chart.addEventListener("pointerdown", (event) => point(chart, event));
          chart.addEventListener("pointerleave", leave);
          queue(chart, () => drawPanel(chart, key, panel));
        }
        if (!panels.children.length) panels.append(element("p", { className: "note", textContent: "Every method is hidden." }));
      }
      fillTable(section);
    }
    keep();
  };

  // Controls.
  const chip = (text, list, value, symbol) => {
    const button = element("button", { type: "button", className: "chip", textContent: text });
    if (symbol) button.prepend(symbol);
    button.setAttribute("aria-pressed", String(!hidden(list, value)));
    button.addEventListener("click", () => {
      flip(list, value);
      button.setAttribute("aria-pressed", String(!hidden(list, value)));
      render();
    });
    return button;
  };
  const stroke = (kind) => {
    const made = document.querySelector(`#symbols svg[data-kind="${kind}"]`).cloneNode(true);
    made.removeAttribute("data-kind");
    return made;
  };
  const fillControls = () => {
    const { methods } = environment();
    const fill = (id, buttons) => {
      const place = byId(id);
      place.querySelectorAll("button").forEach((node) => node.remove());
      place.append(...buttons);
    };
    fill("methods", methods.map(({ name }) => chip(name, "methods", name)));
    const seeds = [...new Set(methods.flatMap((method) => method.seeds.map((seed) => seed.n)))].sort((a, b) => a - b);
    fill("seeds", seeds.map((seed) => {
      const button = chip(String(seed), "seeds", seed);
      button.setAttribute("aria-label", `seed ${seed}`);
      for (const type of ["pointerenter", "focus"]) button.addEventListener(type, () => choose(seed));
      for (const type of ["pointerleave", "blur"]) button.addEventListener(type, () => choose(null));
      return button;
    }));
    const kinds = data.kinds.filter((kind) => methods.some((method) => method.seeds.some((seed) => seed.verdict === kind)));
    fill("verdicts", kinds.map((kind) => chip(kind, "verdicts", kind, stroke(kind))));
  };

  const chooser = byId("environment");
  for (const { name } of data.environments) chooser.append(element("option", { value: name, textContent: name }));
  chooser.value = environment().name;
  chooser.closest(".group").hidden = data.environments.length < 2;
  chooser.addEventListener("change", () => {
    Object.assign(state, { environment: chooser.value, methods: [] });
    fillControls();
    render();
  });
  byId("by-seed").setAttribute("aria-pressed", String(state.bySeed));
  byId("by-seed").addEventListener("click", () => {
    state.bySeed = !state.bySeed;
    byId("by-seed").setAttribute("aria-pressed", String(state.bySeed));
    render();
  });
  byId("everything").addEventListener("click", () => {
    Object.assign(state, { methods: [], seeds: [], verdicts: [] });
    fillControls();
    render();
  });
  for (const section of document.querySelectorAll("section[data-figure]")) {
    const key = section.dataset.figure;
    for (const kind of ["log", "small"]) {
      section.querySelector(`button.${kind}`)?.addEventListener("click", () => {
        state.axes[key] = axisOf(key) === kind ? "linear" : kind;
        render();
      });
    }
    section.querySelector("details.numbers").addEventListener("toggle", () => fillTable(section));
  }
  byId("theme").addEventListener("click", () => {
    state.theme = themeName() === "dark" ? "light" : "dark";
    applyTheme();
    render();
  });
  system.addEventListener("change", () => {
    applyTheme();
    render();
  });
  let width = innerWidth, waiting;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(render, 150);
  });
  addEventListener("beforeprint", () => {
    for (const node of document.querySelectorAll(".chart")) if (!live.has(node)) drawers.get(node)?.();
  });
  addEventListener("scroll", () => (tip.hidden = true), { passive: true });

  applyTheme();
  fillControls();
  render();
  const seconds = Number(document.body.dataset.reload);
  if (seconds > 0) setTimeout(() => location.reload(), 1000 * seconds);
})();
