"use strict";
// Draws the charts and the trade list of a report from the JSON in the page. No network, no state.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

  // ---- numbers ---------------------------------------------------------------------------------
  const TYPES = { i2: Int16Array, i4: Int32Array, f4: Float32Array, f8: Float64Array };
  const unpack = (pack) => {
    const raw = Uint8Array.from(atob(pack.b), (letter) => letter.charCodeAt(0));
    const values = Float64Array.from(new TYPES[pack.t](raw.buffer));
    (pack.at || []).forEach((place, i) => { values[place] = pack.is[i]; });
    return values;
  };
  const sums = (values) => {
    for (let i = 1; i < values.length; i++) values[i] += values[i - 1];
    return values;
  };
  const grouped = (digits) => digits.replace(/(\d)(?=(\d\d)+\d$)/g, "$1,");
  const rupees = (paise, decimals = 2) => {
    const text = (Math.abs(paise) / 100).toFixed(decimals);
    const [whole, part] = text.split(".");
    const zero = Number(text) === 0;
    return (paise < 0 && !zero ? "\u2212" : "") + "\u20b9" + grouped(whole) + (part ? "." + part : "");
  };
  const short = (paise) => {
    const value = Math.abs(paise) / 100, sign = paise < 0 ? "\u2212" : "";
    if (value >= 1e7) return sign + "\u20b9" + +(value / 1e7).toFixed(2) + " cr";
    if (value >= 1e5) return sign + "\u20b9" + +(value / 1e5).toFixed(2) + " L";
    return sign + "\u20b9" + grouped(String(Math.round(value)));
  };
  const price = (paise) => rupees(paise).replace("\u20b9", "");
  const two = (number) => String(number).padStart(2, "0");
  const india = (seconds) => new Date((seconds + 19800) * 1000);  // read with getUTC*: IST
  const dayText = (seconds) => {
    const t = india(seconds);
    return `${t.getUTCDate()} ${MONTHS[t.getUTCMonth()]} ${t.getUTCFullYear()}`;
  };
  const clock = (seconds) => {
    const t = india(seconds);
    return `${two(t.getUTCHours())}:${two(t.getUTCMinutes())}`;
  };
  const stamp = (seconds) => {
    const t = india(seconds);
    return `${t.getUTCFullYear()}-${two(t.getUTCMonth() + 1)}-${two(t.getUTCDate())} ${clock(seconds)}`;
  };
  const held = (seconds) => {
    const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24;
    const minutes = Math.floor(seconds / 60) % 60;
    if (days) return `${days}d ${hours}h`;
    return hours ? `${hours}h ${two(minutes)}m` : `${minutes}m ${two(Math.round(seconds % 60))}s`;
  };

  // ---- what the charts share -------------------------------------------------------------------
  // x is the number of a row, so nights and holidays take no room; labels come from its time.
  const place = (rows, x) => {
    let low = 0, high = rows.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle] < x) low = middle + 1; else high = middle;
    }
    return low;
  };
  const label = (rows, times, splits) => {
    let before = "";
    const marks = splits.map((x) => times[place(rows, x)]);
    const wide = marks.length > 1 && marks[marks.length - 1] - marks[0] > 5 * 86400;
    return marks.map((seconds) => {
      const t = india(seconds);
      const day = `${t.getUTCDate()} ${MONTHS[t.getUTCMonth()]}`;
      if (wide) {
        const year = String(t.getUTCFullYear());
        const text = year === before ? day : `${day}\n${year}`;
        before = year;
        return text;
      }
      const text = day === before ? clock(seconds) : `${clock(seconds)}\n${day}`;
      before = day;
      return text;
    });
  };
  const axisX = (rows, times) => ({
    stroke: () => colour("--soft"), grid: { stroke: () => colour("--grid"), width: 1 }, ticks: { show: false },
    space: 74, size: 42, incrs: [1, 5, 15, 30, 75, 125, 375, 750, 1875, 3750, 7500, 15000, 30000, 75000,
      150000, 300000],
    values: (_, splits) => label(rows, times, splits),
  });
  const axisY = (text) => ({
    stroke: () => colour("--soft"), grid: { stroke: () => colour("--grid"), width: 1 }, ticks: { show: false },
    size: 66, space: 26, values: (_, splits) => splits.map(text),
  });
  const charts = [];
  const make = (box, height, options, columns) => {
    const size = () => ({ width: Math.max(200, box.clientWidth), height });
    const plot = new uPlot({ ...size(), ...options }, columns, box);
    charts.push({ plot, size });
    box.dataset.drawn = "yes";
    return plot;
  };

  // ---- equity and drawdown ---------------------------------------------------------------------
  const drawEquity = () => {
    const pack = data.equity;
    if (!pack.rows) return;
    const rows = unpack(pack.row), times = unpack(pack.time), values = unpack(pack.value);
    const falls = unpack(pack.fall).map((value) => -100 * value);
    const readout = byId("equity-readout");
    const idle = readout.textContent;
    const follow = (plot) => {
      const at = plot.cursor.idx;
      readout.textContent = at == null ? idle :
        `${dayText(times[at])} ${clock(times[at])} IST · equity ${rupees(values[at])} · ` +
        `drawdown ${(-falls[at]).toFixed(2)}%`;
    };
    const shared = {
      legend: { show: false },
      cursor: { sync: { key: "equity", scales: ["x", null] }, points: { size: 6 },
        drag: { x: true, y: false } },
      hooks: { setCursor: [follow] },
    };
    let zooming = false;
    const together = (plot, key) => {
      if (key !== "x" || zooming) return;
      zooming = true;
      const { min, max } = plot.scales.x;
      pair.forEach((other) => { if (other !== plot) other.setScale("x", { min, max }); });
      zooming = false;
    };
    const capital = (plot) => {
      const y = plot.valToPos(pack.capital, "y", true), { left, top, width, height } = plot.bbox;
      if (y < top || y > top + height) return;
      plot.ctx.save();
      plot.ctx.strokeStyle = colour("--soft");
      plot.ctx.setLineDash([4, 4]);
      plot.ctx.beginPath(); plot.ctx.moveTo(left, y); plot.ctx.lineTo(left + width, y);
      plot.ctx.stroke(); plot.ctx.restore();
    };
    const pair = [];
    const scales = { x: { time: false }, y: {} };
    pair.push(make(byId("equity"), 280, {
      ...shared, scales,
      hooks: { setCursor: [follow], setScale: [together], drawAxes: [capital] },
      axes: [{ ...axisX(rows, times), size: 6, values: () => [] }, axisY(short)],
      series: [{}, { stroke: () => colour("--accent"), width: 1.6, fill: () => colour("--fill"),
        fillTo: pack.capital, points: { show: false } }],
    }, [rows, values]));
    pair.push(make(byId("drawdown"), 140, {
      ...shared, scales: { x: { time: false }, y: { range: (_, low) => [Math.min(low * 1.08, -0.1), 0] } },
      hooks: { setCursor: [follow], setScale: [together] },
      axes: [axisX(rows, times), axisY((value) => `${+value.toFixed(2)}%`.replace("-", "\u2212"))],
      series: [{}, { stroke: () => colour("--bad"), width: 1.2, fill: () => colour("--fall"), fillTo: 0,
        points: { show: false } }],
    }, [rows, falls]));
  };

  // ---- trades on price -------------------------------------------------------------------------
  let showTrade = null;
  const drawPrice = () => {
    const pack = data.price;
    if (!pack) return;
    const times = [];
    for (const [first, step, count] of pack.runs) {
      for (let i = 0; i < count; i++) times.push(first + i * step);
    }
    const close = sums(unpack(pack.close));
    const up = unpack(pack.up), down = unpack(pack.down);
    const high = close.map((value, i) => value + up[i]);
    const low = close.map((value, i) => value - down[i]);
    const rows = Float64Array.from(close, (_, i) => i);
    const trades = data.trades, count = trades.side.length;
    const readout = byId("price-readout"), idle = readout.textContent;
    const last = rows.length - 1;

    // High to low of each bar with a tick at its close, once there is room to see them.
    const ranges = (plot) => {
      const { min, max } = plot.scales.x;
      if (max - min > 420) return;
      const ctx = plot.ctx, ratio = devicePixelRatio;
      const gap = plot.bbox.width / (max - min);
      ctx.save();
      ctx.strokeStyle = colour("--soft"); ctx.lineWidth = Math.max(1, Math.min(2.2 * ratio, gap / 4));
      ctx.beginPath();
      for (let i = Math.max(0, Math.floor(min)); i <= Math.min(last, Math.ceil(max)); i++) {
        const x = plot.valToPos(i, "x", true), y = plot.valToPos(close[i], "y", true);
        ctx.moveTo(x, plot.valToPos(high[i], "y", true));
        ctx.lineTo(x, plot.valToPos(low[i], "y", true));
        ctx.moveTo(x, y); ctx.lineTo(x + gap * 0.35, y);
      }
      ctx.stroke(); ctx.restore();
    };
    const triangle = (ctx, x, y, size, side) => {
      ctx.beginPath();
      ctx.moveTo(x, y); ctx.lineTo(x - size, y + side * 1.7 * size);
      ctx.lineTo(x + size, y + side * 1.7 * size); ctx.closePath();
    };
    const marks = (plot) => {
      const { min, max } = plot.scales.x, ctx = plot.ctx, ratio = devicePixelRatio;
      const good = colour("--good"), bad = colour("--bad"), page = colour("--card");
      let seen = 0;
      for (let i = 0; i < count; i++) seen += trades.to[i] >= min && trades.from[i] <= max;
      const near = seen <= 80, size = (near ? 5 : seen <= 400 ? 3.4 : 2.2) * ratio;
      ctx.save();
      ctx.beginPath();
      ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height); ctx.clip();
      for (let i = 0; i < count; i++) {
        if (trades.to[i] < min || trades.from[i] > max) continue;
        const x0 = plot.valToPos(trades.from[i], "x", true), x1 = plot.valToPos(trades.to[i], "x", true);
        const y0 = plot.valToPos(trades.entry[i], "y", true), y1 = plot.valToPos(trades.exit[i], "y", true);
        ctx.strokeStyle = ctx.fillStyle = trades.net[i] > 0 ? good : bad;
        ctx.lineWidth = (near ? 1.6 : 1) * ratio;
        if (seen <= 400) {
          ctx.beginPath(); ctx.moveTo(x0, y0); ctx.lineTo(x1, y1); ctx.stroke();
        }
        triangle(ctx, x0, y0, size, trades.side[i]); ctx.fill();
        if (seen <= 400) {
          ctx.beginPath(); ctx.arc(x1, y1, size * 0.75, 0, 7);
          ctx.fillStyle = page; ctx.fill(); ctx.stroke();
        }
      }
      ctx.restore();
    };
    const follow = (plot) => {
      const at = plot.cursor.idx;
      readout.textContent = at == null ? idle :
        `${dayText(times[at])} ${clock(times[at])} IST · high ${price(high[at])} · ` +
        `low ${price(low[at])} · close ${price(close[at])}`;
    };
    // High and low are not drawn as lines; they are here so that the scale leaves room for them.
    const silent = { paths: () => null, points: { show: false } };
    const bounds = (_, bottom, top) => {
      const room = (top - bottom || 100) * 0.06;
      return [bottom - room, top + room];
    };
    const plot = make(byId("price"), 380, {
      legend: { show: false },
      cursor: { drag: { x: true, y: false }, points: { size: 6 } },
      scales: { x: { time: false }, y: { range: bounds } },
      axes: [axisX(rows, times), axisY((value) => grouped(String(Math.round(value / 100))))],
      hooks: { draw: [ranges, marks], setCursor: [follow] },
      series: [{}, { stroke: () => colour("--accent"), width: 1.2, points: { show: false } }, silent, silent],
    }, [rows, close, high, low]);

    const zoom = (from, to) => {
      const wide = Math.min(Math.max(to - from, 20), Math.max(last, 1));
      const start = Math.min(Math.max(0, from), Math.max(0, last - wide));
      plot.setScale("x", { min: start, max: start + wide });
    };
    const starts = [];
    times.forEach((seconds, i) => {
      if (i === 0 || dayText(times[i - 1]) !== dayText(seconds)) starts.push(i);
    });
    const dayAt = (x) => Math.max(0, starts.findLastIndex((first) => first <= x));
    const press = (button) => document.querySelectorAll("#price-tools [data-days]").forEach((other) =>
      other.setAttribute("aria-pressed", String(other === button)));
    document.querySelectorAll("#price-tools [data-days]").forEach((button) => {
      button.addEventListener("click", () => {
        press(button);
        const days = Number(button.dataset.days);
        if (!days) return zoom(0, last);
        const first = Math.min(dayAt(plot.scales.x.min), Math.max(0, starts.length - days));
        zoom(starts[first], (starts[first + days] ?? last + 1) - 1);
      });
    });
    document.querySelectorAll("#price-tools [data-turn]").forEach((button) => {
      button.addEventListener("click", () => {
        const { min, max } = plot.scales.x, by = Number(button.dataset.turn) * (max - min + 1);
        zoom(Math.round(min + by), Math.round(max + by));
      });
    });
    showTrade = (i) => {
      press(null);
      const room = Math.max(40, trades.to[i] - trades.from[i]);
      zoom(trades.from[i] - room, trades.to[i] + room);
      byId("price").scrollIntoView({ block: "center" });
    };
  };

  // ---- the list of trades ----------------------------------------------------------------------
  const listTrades = () => {
    const table = byId("trades");
    if (!table) return;
    const trades = data.trades, body = table.tBodies[0], more = byId("more-trades");
    const keys = {
      number: (i) => i, side: (i) => trades.side[i], enter: (i) => trades.enter[i],
      leave: (i) => trades.leave[i], held: (i) => trades.leave[i] - trades.enter[i],
      contract: (i) => trades.contract[i], qty: (i) => trades.qty[i], entry: (i) => trades.entry[i],
      exit: (i) => trades.exit[i], gross: (i) => trades.gross[i], charges: (i) => trades.charges[i],
      net: (i) => trades.net[i], why: (i) => data.reasons[trades.why[i]],
    };
    let order = trades.side.map((_, i) => i), shown = 100;
    const cell = (text, kind) => {
      const td = document.createElement("td");
      td.textContent = text;
      if (kind) td.className = kind;
      return td;
    };
    const tone = (value) => (value > 0 ? "good" : value < 0 ? "bad" : "");
    const row = (i) => {
      const tr = document.createElement("tr"), first = document.createElement("td");
      if (data.price) {
        const button = document.createElement("button");
        button.textContent = String(i + 1);
        button.title = "Show on the price chart";
        button.setAttribute("aria-label", `Show trade ${i + 1} on the price chart`);
        button.addEventListener("click", () => showTrade(i));
        first.append(button);
      } else first.textContent = String(i + 1);
      const day = String(trades.contract[i]);
      tr.append(first, cell(trades.side[i] > 0 ? "long" : "short", "text"),
        cell(stamp(trades.enter[i])), cell(stamp(trades.leave[i])),
        cell(held(trades.leave[i] - trades.enter[i])),
        cell(trades.name ? trades.name[i]
          : day === "0" ? "\u2013" : `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}`),
        cell(grouped(String(trades.qty[i]))), cell(price(trades.entry[i])), cell(price(trades.exit[i])),
        cell(price(trades.gross[i])), cell(price(trades.charges[i])),
        cell(price(trades.net[i]), tone(trades.net[i])),
        cell(data.reasons[trades.why[i]].replaceAll("_", " "), "text"));
      return tr;
    };
    const fill = () => {
      body.replaceChildren(...order.slice(0, shown).map(row));
      more.hidden = shown >= order.length;
      more.textContent = `Show ${Math.min(200, order.length - shown)} more of ${order.length - shown}`;
    };
    table.querySelectorAll("thead th[data-key]").forEach((th) => {
      th.firstElementChild.addEventListener("click", () => {
        const down = th.getAttribute("aria-sort") === "ascending";
        table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = keys[th.dataset.key], sign = down ? -1 : 1;
        order = [...order].sort((a, b) => {
          const x = key(a), y = key(b);
          return sign * (x < y ? -1 : x > y ? 1 : 0) || a - b;
        });
        fill();
      });
    });
    more.addEventListener("click", () => { shown += 200; fill(); });
    fill();
  };

  // ---- go --------------------------------------------------------------------------------------
  drawEquity();
  drawPrice();
  listTrades();
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => charts.forEach(({ plot, size }) => plot.setSize(size())));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
    charts.forEach(({ plot }) => plot.redraw()));
  document.documentElement.dataset.ready = "yes";
})();
