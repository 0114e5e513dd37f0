"""The looks of the page: by day, by night, on a narrow screen and on paper. Pure."""

from collections.abc import Mapping

from runner.drawing.style import TONES

_DAY = {
    "ground": "#f5f6f9", "card": "#ffffff", "ink": "#172033", "muted": "#566276", "line": "#dde3ec",
    "soft": "#eef1f6", "link": "#1d5fc4",
}  # fmt: skip
_NIGHT = {
    "ground": "#0b101a", "card": "#0f1521", "ink": "#e8edf5", "muted": "#9aa7ba", "line": "#263041",
    "soft": "#182131", "link": "#7db1ff",
}  # fmt: skip

_SERIES_DAY = ("#0b63b5", "#c2410c", "#0f7b4f", "#9333a8", "#a16207", "#0e7490", "#be185d", "#4b5563")
_SERIES_NIGHT = ("#6db3ff", "#ff9d5c", "#4ade95", "#d8a1f0", "#e7c15a", "#5fd3e8", "#ff8ab8", "#aeb8c6")

_BODY = """
*{box-sizing:border-box}
html{color-scheme:light dark;scroll-behavior:smooth}
body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Helvetica,Arial,sans-serif;overflow-wrap:break-word}
header,main,footer,nav{max-width:1180px;margin:0 auto;padding:0 20px}
header{padding-top:32px}
h1{font-size:27px;line-height:1.2;margin:0 0 10px}
h2{font-size:19px;margin:0 0 14px}
h3{font-size:15.5px;margin:22px 0 8px}
h4{font-size:13px;margin:16px 0 6px;color:var(--muted)}
section h3:first-of-type{margin-top:0}
p{margin:0 0 10px}
a{color:var(--link)}
small{display:block;color:var(--muted);font-size:12px}
small.bad{color:var(--bad)}
.faint,.note{color:var(--muted)}
.note{font-size:13.5px;margin:6px 0}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:20px;margin:18px 0}
section.alarm{border-color:var(--bad);background:var(--bad-soft)}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:4px 18px;padding:0;margin:18px 0 0}
:focus-visible{outline:2px solid var(--link);outline-offset:2px}
.badge{display:inline-block;border-radius:99px;padding:1px 10px;font-size:12.5px;font-weight:600;white-space:nowrap;
vertical-align:middle}
h1 .badge{font-size:15px;padding:3px 14px}
.tiles{display:flex;flex-wrap:wrap;gap:10px;margin:14px 0 0;padding:0;list-style:none}
.tiles li{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:8px 16px}
.tiles b{display:block;font-size:19px;line-height:1.3}
.tiles span{color:var(--muted);font-size:12.5px}
dl{margin:0 0 12px;display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:4px 24px}
dl div{display:flex;gap:10px;min-width:0}
dt{color:var(--muted);flex:0 0 104px}
dd{margin:0;min-width:0;overflow-wrap:anywhere}
dd ul{margin:0;padding-left:18px}
.wide>.mlg{display:block;margin:0 auto}
.wide{overflow-x:auto;margin:0 0 12px;border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:13.5px}
caption{text-align:left;color:var(--muted);font-size:12.5px;padding:0 0 4px}
th,td{text-align:left;padding:5px 12px 5px 6px;border-bottom:1px solid var(--line);vertical-align:top;font-weight:400}
thead th{color:var(--muted);font-size:12.5px;max-width:260px;overflow-wrap:break-word}
tbody th{font-weight:600;min-width:90px}
td:not(.bars){max-width:440px}
.num{text-align:right;font-variant-numeric:tabular-nums;min-width:66px}
code,pre{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
code{overflow-wrap:anywhere}
td code{word-break:break-all;min-width:120px;display:inline-block}
pre{background:var(--soft);border-radius:8px;padding:12px;margin:0 0 10px;overflow:auto;max-height:420px;
white-space:pre-wrap}
details{border-top:1px solid var(--line);padding:2px 0}
details>summary{cursor:pointer;padding:7px 2px}
details[open]>summary{margin-bottom:8px}
details[open]{padding-bottom:14px}
.warnings{background:var(--odd-soft);border-radius:8px;padding:8px 8px 8px 28px;margin:0 0 12px}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:16px}
figure{margin:0;min-width:0}
figcaption{font-size:13px;color:var(--muted);margin-bottom:4px;overflow-wrap:anywhere}
figcaption b{color:var(--ink)}
svg.chart,svg.parallel{display:block;width:100%;height:auto}
svg.parallel{min-width:560px}
svg text{fill:var(--muted);font:11px Helvetica,Arial,"Liberation Sans",sans-serif}
svg .strong{fill:var(--ink);font-weight:700}
svg .mid{text-anchor:middle}
svg .end{text-anchor:end}
svg .rule,svg .axis{stroke:var(--line)}
svg .axis{stroke:var(--muted)}
.line polyline,.trial polyline,.key path{fill:none;stroke-width:1.6;stroke-linejoin:round;stroke:var(--s)}
.line circle{fill:var(--s)}
.dashed polyline,.dashed path{stroke-dasharray:5 3}
.trial polyline{stroke-width:1.1;opacity:.45;stroke:var(--s)}
.trial.best polyline{stroke-width:3;opacity:1;stroke:var(--link)}
.legend{list-style:none;padding:0;margin:4px 0 0;display:flex;flex-wrap:wrap;gap:0 14px;font-size:12px;
color:var(--muted)}
.key{width:18px;height:10px;vertical-align:middle}
.key path{stroke-width:2.4}
.gantt{table-layout:auto;min-width:520px}
.gantt th{width:1%;white-space:nowrap;max-width:260px;overflow:hidden;text-overflow:ellipsis;padding:1px 12px 1px 2px;
font-weight:400}
.gantt td,.gantt th{border:0}
.gantt td{padding-top:1px;padding-bottom:1px}
.gantt td.num{width:1%;white-space:nowrap}
.bars svg{display:block;overflow:visible}
.bars tr,.gantt tbody tr:nth-child(odd){background:var(--soft)}
.bar rect{fill:var(--s)}
.bar .waiting{opacity:.4}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(260px,1fr));gap:18px}
.gallery img{max-width:100%;max-height:420px;display:block;background:#fff;border:1px solid var(--line);
border-radius:8px;margin-bottom:6px}
footer{color:var(--muted);font-size:13px;padding-bottom:36px}
@media (max-width:640px){
body{font-size:14px}
header,main,footer,nav{padding-left:12px;padding-right:12px}
section{padding:14px 12px;border-radius:10px}
h1{font-size:22px}
dt{flex-basis:92px}
.panels,.gallery{grid-template-columns:1fr}
}
@media print{
body{background:#fff;font-size:11px}
header,main,footer{max-width:none;padding-left:0;padding-right:0}
nav{display:none}
section{border:0;border-top:1px solid var(--line);border-radius:0;padding:12px 0;margin:0}
figure,tr{break-inside:avoid}
h2,h3,h4{break-after:avoid}
.wide{overflow:visible}
pre{max-height:none}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""


def style_sheet() -> str:
    """The whole CSS of a report. Paper is light whatever the screen is."""
    dark = f"{_variables(_NIGHT, 1)}{_series(_SERIES_NIGHT)}"
    tones = "".join(
        f".badge.{tone}{{color:var(--{tone});background:var(--{tone}-soft)}}"
        f".bar.{tone},.trial.{tone}{{--s:var(--{tone})}}"
        for tone in TONES
    )
    return (
        f"{_variables(_DAY, 0)}{_series(_SERIES_DAY)}\n@media screen and (prefers-color-scheme:dark){{{dark}}}"
        f"{_BODY}{tones}"
    )


def _variables(colours: Mapping[str, str], scheme: int) -> str:
    told = [f"--{name}:{colour}" for name, colour in colours.items()]
    for tone, both in TONES.items():
        strong, soft = both[scheme].split()
        told += [f"--{tone}:{strong}", f"--{tone}-soft:{soft}"]
    return f":root{{{';'.join(told)}}}"


def _series(colours: tuple[str, ...]) -> str:
    return "".join(f".s{place}{{--s:{colour}}}" for place, colour in enumerate(colours))
