# SPDX-License-Identifier: MIT
"""Small SVG plots for light and dark pages: bars, lines on logarithmic axes. Standard library only; no script in the output."""
import math
from xml.sax.saxutils import escape

THEMES = {
    "light": dict(text="#1f2328", faint="#59636e", grid="#d1d9e0", ours="#0969da", ours2="#54aeff", others=["#8c6d1f", "#9a6dd7", "#6e7781", "#bc4c00"]),
    "dark": dict(text="#f0f6fc", faint="#9198a1", grid="#3d444d", ours="#4493f8", ours2="#79c0ff", others=["#d4a72c", "#bc8cff", "#9198a1", "#f0883e"]),
}
FONT = "font-family=\"-apple-system,'Segoe UI','Noto Sans',Helvetica,Arial,sans-serif\""


class Plot:
    def __init__(self, theme, width, height, title, words):
        self.t, self.w, self.h = THEMES[theme], width, height
        self.out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
                    f'{FONT} font-size="13">', f"<title>{escape(title)}</title>"]
        self.text(16, 24, title, size=15, weight=600)
        self.text(16, 43, words, fill=self.t["faint"], size=12)

    def text(self, x, y, words, anchor="start", fill=None, size=13, weight=400):
        self.out.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill or self.t["text"]}" font-size="{size}" '
                        f'font-weight="{weight}">{escape(words)}</text>')

    def line(self, points, colour, width=2.0, dash=None):
        d = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.out.append(f'<polyline points="{d}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"'
                        + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")

    def rect(self, x, y, w, h, colour):
        self.out.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 1):.1f}" height="{h:.1f}" rx="3" fill="{colour}"/>')

    def dot(self, x, y, colour):
        self.out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>')

    def svg(self):
        return "\n".join(self.out + ["</svg>", ""])

    def colour(self, kind):
        return self.t["ours"] if kind == "ours" else self.t["ours2"] if kind == "ours2" else self.t["others"][kind % len(self.t["others"])]


def bars(theme, title, words, rows, unit, limits=()):
    """rows: (label, value, kind); limits: (label, value) drawn as a dashed line over its rows' length."""
    left, right, top, step = 210, 110, 62, 30
    p = Plot(theme, 760, top + step * len(rows) + 14, title, words)
    most = max([v for _, v, _ in rows] + [v for _, v in limits] + [1e-9])
    scale = (p.w - left - right) / most
    for i, (label, value, kind) in enumerate(rows):
        y = top + i * step
        p.text(left - 10, y + 15, label, anchor="end")
        p.rect(left, y, value * scale, 20, p.colour(kind))
        p.text(left + value * scale + 8, y + 15, f"{number(value)}{unit}", fill=p.t["faint"])
    return p.svg()


def number(v):
    return f"{v:,.0f}" if v >= 100 else f"{v:.1f}" if v >= 10 else f"{v:.2f}" if v >= 0.1 else f"{v:.3f}"


def decades(lo, hi):
    return [10.0 ** k for k in range(math.floor(math.log10(lo) + 1e-9), math.ceil(math.log10(hi) - 1e-9) + 1)]


def spread(ends, least):
    """Label heights near to where they belong, at least `least` apart."""
    order = sorted(range(len(ends)), key=lambda i: ends[i])
    y = [0.0] * len(ends)
    last = -1e9
    for i in order:
        last = y[i] = max(ends[i], last + least)
    return y


def lines(theme, title, words, series, x_name, y_name, log_x=True, log_y=True, x_label=str, y_label=lambda v: f"{v:,g}", y_linear=None):
    """series: (label, kind, [(x, y), …]); labels stand at the lines' ends."""
    left, right, top, bottom = 64, 190, 84, 48
    p = Plot(theme, 760, 400, title, words)
    xs = [x for _, _, pts in series for x, _ in pts]
    ys = [y for _, _, pts in series for _, y in pts]
    if not xs:
        return p.svg()
    x_ticks = decades(min(xs), max(xs)) if log_x else None
    y_ticks = decades(min(ys), max(ys)) if log_y else y_linear
    x0, x1 = (min(xs), max(xs))
    y0, y1 = (y_ticks[0], y_ticks[-1])

    def px(x):
        return left + (p.w - left - right) * (math.log(x / x0) / math.log(x1 / x0) if log_x else (x - x0) / (x1 - x0))

    def py(y):
        part = math.log(y / y0) / math.log(y1 / y0) if log_y else (y - y0) / (y1 - y0)
        return p.h - bottom - (p.h - top - bottom) * part

    for y in y_ticks:
        p.line([(left, py(y)), (p.w - right, py(y))], p.t["grid"], 1)
        p.text(left - 8, py(y) + 4, y_label(y), anchor="end", fill=p.t["faint"], size=12)
    for x in x_ticks or []:
        if x0 <= x <= x1:
            p.line([(px(x), top), (px(x), p.h - bottom)], p.t["grid"], 1)
            p.text(px(x), p.h - bottom + 18, x_label(x), anchor="middle", fill=p.t["faint"], size=12)
    p.text((left + p.w - right) / 2, p.h - 10, x_name, anchor="middle", fill=p.t["faint"], size=12)
    p.text(left - 48, top - 8, y_name, fill=p.t["faint"], size=12)
    # Labels at the right edge keep clear of each other; one inside stands above its line's end.
    edge = spread([py(pts[-1][1]) if pts[-1][0] == x1 else -1e6 * (i + 1) for i, (_, _, pts) in enumerate(series)], 16)
    heights = [e if pts[-1][0] == x1 else py(pts[-1][1]) - 9 for e, (_, _, pts) in zip(edge, series)]
    for (label, kind, pts), at in zip(series, heights):
        p.line([(px(x), py(y)) for x, y in pts], p.colour(kind), 2.5 if kind in ("ours", "ours2") else 2)
        if len(pts) <= 8:
            for x, y in pts:
                p.dot(px(x), py(y), p.colour(kind))
        p.text(px(pts[-1][0]) + 10, at + 4, label, fill=p.colour(kind), size=12, weight=600 if kind in ("ours", "ours2") else 400)
    return p.svg()
