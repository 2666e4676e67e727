"""How the page of a load run looks: light, dark and on paper, wide and narrow.

The colours of series are those of Okabe and Ito, which people with every kind of colour vision tell
apart; no state is told by its colour alone. System fonts only: the page loads nothing.
"""

STYLE = """
:root{color-scheme:light dark;--bg:#f4f5f7;--card:#fff;--ink:#161b22;--dim:#59636e;--line:#dfe3e8;
--soft:#eef0f3;--c1:#0072b2;--c2:#d55e00;--c3:#009e73;--c4:#8a5fbf;--c5:#8b949e;--ok:#00755a;
--bad:#b83a00;--warn:#8a6100;--odd:#6f42c1;--tip:#161b22;--tipink:#fff}
@media (prefers-color-scheme:dark){:root{--bg:#0d1117;--card:#161b22;--ink:#e6edf3;--dim:#9aa5b1;
--line:#2d343d;--soft:#21262d;--c1:#56b4e9;--c2:#f28e3c;--c3:#2bc99a;--c4:#b794f4;--c5:#7d8691;
--ok:#3fd0a4;--bad:#ff8a4c;--warn:#e3b341;--odd:#c4a7ff;--tip:#e6edf3;--tipink:#0d1117}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
overflow-wrap:anywhere}
main,header>div,footer{max-width:1240px;margin:0 auto;padding:0 20px}
header{background:var(--card);border-bottom:1px solid var(--line);border-top:5px solid var(--state);
padding:22px 0 20px;margin-bottom:20px}
.pass{--state:var(--ok)}.fail,.aborted{--state:var(--bad)}.inconclusive,.refused{--state:var(--odd)}
.brand{color:var(--dim);font-size:13px;letter-spacing:.02em}
h1{font-size:28px;line-height:1.25;margin:2px 0 6px;display:flex;flex-wrap:wrap;gap:6px 14px;
align-items:center;letter-spacing:-.01em}
.pill{display:inline-flex;align-items:center;gap:7px;background:var(--state);color:var(--card);
font-size:14px;font-weight:700;letter-spacing:.05em;padding:3px 13px 3px 10px;border-radius:99px}
.facts{color:var(--dim);display:flex;flex-wrap:wrap;gap:2px 18px;margin:0;padding:0;list-style:none}
.why{margin:14px 0 0;padding:0;list-style:none;border-left:3px solid var(--state)}
.why li{padding:3px 0 3px 12px}
.chip{display:inline-block;font-size:12px;line-height:1.5;padding:0 7px;border-radius:5px;
background:var(--soft);color:var(--dim);margin-right:6px}
code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
font-size:.9em;unicode-bidi:isolate}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;
margin:0 0 16px;padding:0}
.tile,section,.chart{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:12px 16px 13px;margin:0}
.tile dt{color:var(--dim);font-size:13px}
.tile dd{margin:0;font-size:25px;line-height:1.25;font-weight:650;letter-spacing:-.02em;
font-variant-numeric:tabular-nums}
.tile dd+dd{font-size:13px;font-weight:400;line-height:1.45;color:var(--dim);letter-spacing:0}
.tile.bad dd:first-of-type{color:var(--bad)}
section{padding:16px 20px 18px;margin:0 0 16px}
h2{font-size:17px;margin:0 0 10px;letter-spacing:-.01em}
h2 small{font-weight:400;font-size:13px;color:var(--dim);margin-left:8px;letter-spacing:0}
.scroll{overflow-x:auto;margin:0 -20px -4px;padding:0 20px 4px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{font-weight:500;color:var(--dim);font-size:12.5px;text-align:left;white-space:nowrap;
padding:4px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:bottom}
td{padding:7px 14px 7px 0;border-bottom:1px solid var(--soft);vertical-align:middle}
tr:last-child td{border-bottom:0}
th:last-child,td:last-child{padding-right:0}
.n,.fit{width:1%;white-space:nowrap}.n{text-align:right}td.n,th.n{padding-right:20px}
.w{white-space:nowrap}
.name{min-width:9.5rem}
.wide{width:55%}
.group td{padding:13px 0 4px;font-weight:650;border-bottom:1px solid var(--line)}
.state{width:1%;white-space:nowrap;font-size:13px}
.dim{color:var(--dim)}.sub{color:var(--dim);font-size:12.5px;display:block}
.is-ok{color:var(--ok)}.is-bad{color:var(--bad);font-weight:650}.is-warn{color:var(--warn)}
.is-odd{color:var(--odd);font-weight:650}
.gauge{width:180px;height:12px;display:block}
.gauge .bg{fill:var(--soft)}.gauge .tick{fill:var(--ink)}
.f-ok{fill:var(--c3)}.f-bad{fill:var(--c2)}.f-warn{fill:#e69f00}
.dist{width:170px;height:26px;display:block}
.dist path{fill:var(--c1);fill-opacity:.75}.dist .at{fill:var(--ink);fill-opacity:1}
.dist .bg{fill:var(--line)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));gap:12px;
margin:0 0 16px}
.chart{margin:0;padding:12px 18px 8px 14px}
figcaption{display:flex;flex-wrap:wrap;align-items:baseline;gap:0 9px;min-height:44px;
align-content:flex-start}
h3{font-size:15px;margin:0}
.unit{color:var(--dim);font-size:12.5px}
.legend{display:flex;flex-wrap:wrap;gap:0 13px;font-size:12.5px;color:var(--dim);margin-left:auto}
.k{display:inline-block;width:14px;height:9px;margin-right:5px;border-radius:2px;
background:var(--c);vertical-align:baseline}
.k.line{height:3px;vertical-align:3px}.k.dash{height:0;background:none;border-radius:0;
border-top:3px dashed var(--c);vertical-align:3px}.k.area,.k.band{opacity:.45}.k.faint{opacity:.22}
.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}
.plot{position:relative;height:172px;margin:8px 0 24px 58px}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.plot path{vector-effect:non-scaling-stroke}
.plot .line,.plot .dash{fill:none;stroke:var(--c);stroke-width:2;stroke-linejoin:round;
stroke-linecap:round}
.plot .dash{stroke-dasharray:4 3;stroke-width:1.75;stroke-linecap:butt}
.plot .area{fill:var(--c);fill-opacity:.24;stroke:var(--c);stroke-width:1}
.plot .band{fill:var(--c);fill-opacity:.3}.plot .band.faint{fill-opacity:.14}
.plot .fill{fill:var(--c)}
.shade{fill:var(--dim);fill-opacity:.1}
.edge{stroke:var(--dim);stroke-opacity:.4;stroke-dasharray:1 4;fill:none}
.limit{stroke:var(--ink);stroke-opacity:.75;stroke-width:1.25;stroke-dasharray:7 4;fill:none}
.mark{stroke:var(--bad);stroke-width:1.75;fill:none}
.plot i,.plot>span{position:absolute;font-style:normal;font-size:11.5px;line-height:14px;
color:var(--dim);white-space:nowrap}
.plot .y{left:0;right:0;border-top:1px solid var(--soft);height:0}
.plot .y span{position:absolute;right:100%;top:-8px;margin-right:7px}
.plot .x{top:100%;margin-top:5px;transform:translateX(-50%)}
.plot .x.end{transform:translateX(-100%);margin-left:4px}
.plot .lim{right:3px;margin-bottom:2px;color:var(--ink);background:var(--card);padding:0 3px;
border-radius:3px}
.plot .lim.under{transform:translateY(100%);margin-bottom:-3px}
.plot .sh{top:2px;margin-left:3px;font-size:10.5px}
.plot .mk{top:3px;margin-left:5px;color:var(--bad);font-weight:650}
.plot .mk.left{transform:translateX(-100%);margin-left:-5px}
.cols{position:absolute;inset:0}
.cols b{position:absolute;top:0;bottom:0;font-weight:400}
.cols b:hover{background:color-mix(in srgb,var(--ink) 9%,transparent)}
.cols span{display:none;position:absolute;left:calc(100% + 6px);top:6px;z-index:3;
background:var(--tip);color:var(--tipink);font-size:12px;line-height:1.5;padding:5px 9px;
border-radius:6px;white-space:pre;pointer-events:none;font-variant-numeric:tabular-nums}
.cols .r span{left:auto;right:calc(100% + 6px)}
.cols b:hover span{display:block}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));gap:0 40px}
dl.kv{display:grid;grid-template-columns:fit-content(13rem) minmax(0,1fr);gap:5px 16px;margin:0;
font-size:14px}
.kv dt{color:var(--dim)}.kv dd{margin:0}
.notes{margin:12px 0 0;padding:0 0 0 18px;font-size:14px}
footer{color:var(--dim);font-size:13px;padding-bottom:32px}
@media (max-width:600px){main,header>div,footer{padding:0 12px}body{font-size:14.5px}
h1{font-size:23px}.tiles{grid-template-columns:1fr 1fr;gap:8px}.tile{padding:9px 12px}
.tile dd{font-size:21px}section{padding:13px 14px}.scroll{margin:0 -14px;padding:0 14px}
.chart{padding:11px 12px 6px 10px}.plot{margin-left:52px;height:150px}.legend{margin-left:0}
.opt{display:none}figcaption{min-height:0}.name{min-width:10.5rem}
.gauge{width:120px}dl.kv{grid-template-columns:1fr;gap:0}.kv dd{margin-bottom:7px}}
@media print{:root{color-scheme:light;--bg:#fff;--card:#fff;--ink:#000;--dim:#444;--line:#bbb;
--soft:#e8e8e8;--c1:#0072b2;--c2:#d55e00;--c3:#009e73;--c4:#8a5fbf;--c5:#777;--ok:#00614a;
--bad:#a33300;--warn:#6d4c00;--odd:#5a32a3}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
body{font-size:11px}header{padding:10px 0;margin-bottom:10px}.opt{display:none}
.tiles{grid-template-columns:repeat(6,1fr);gap:6px}.tile{padding:6px 9px}.tile dd{font-size:16px}
.tile dt,.tile dd+dd,.sub,.chip,h2 small,.unit,.legend{font-size:9.5px}h1{font-size:21px}
h2{font-size:13px}h3{font-size:12px}section{padding:9px 12px}figcaption{min-height:34px}
.name{min-width:0}th{white-space:normal;font-size:9.5px}.state,dl.kv{font-size:10.5px}
.cols{display:none}main,header>div,footer{max-width:none;padding:0}
section,.chart,.tile{break-inside:avoid}.charts{grid-template-columns:1fr 1fr}
table{font-size:10.5px}.plot{height:120px}.dist,.gauge{width:90px}
.scroll{overflow:visible;margin:0;padding:0}td,th,td.n,th.n{padding-right:9px}td{padding-top:4px;padding-bottom:4px}}
"""
