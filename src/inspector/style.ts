/** The looks of the page, light and dark. */
export const STYLE = `
:root { color-scheme: light dark; --back: #fbfbf9; --card: #fff; --text: #1d2327; --quiet: #5b6670; --line: #d9dee2;
  --accent: #0b62c4; --current: #cfe3fb; --late: #b3261e; --good: #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --back: #14181b; --card: #1c2226; --text: #e6eaed; --quiet: #9aa6b0;
  --line: #343c43; --accent: #7ab7ff; --current: #173a60; --late: #ff8a80; --good: #6fdc8c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 14px/1.45 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; align-items: center; padding: .75rem 1.25rem;
  border-bottom: 1px solid var(--line); background: var(--card); }
h1 { font-size: 1.1rem; margin: 0; } h2 { font-size: 1rem; margin: 0 0 .5rem; } h3 { font-size: .85rem; margin: .5rem 0; color: var(--quiet); }
#status { margin: 0; flex: 1; color: var(--quiet); }
input, button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .25rem .6rem; }
button { cursor: pointer; } :focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
main { padding: 1rem 1.25rem; display: grid; gap: 1rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1rem; min-width: 0; }
.wide { overflow: auto; max-height: 24rem; } .quiet { color: var(--quiet); font-weight: normal; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; max-width: 26rem;
  overflow: hidden; text-overflow: ellipsis; }
thead th { position: sticky; top: 0; background: var(--card); color: var(--quiet); font-weight: 600; }
thead button { border: 0; padding: 0; background: none; font-weight: 600; }
th[aria-sort=ascending] button::after { content: " ▲"; } th[aria-sort=descending] button::after { content: " ▼"; }
tr[aria-current=true] td { background: var(--current); } td button { border: 0; padding: 0; background: none; color: var(--accent); text-decoration: underline; }
.late { color: var(--late); font-weight: 600; }
dl { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin: 0; } dl div { min-width: 0; } dt { color: var(--quiet); display: inline; } dd { display: inline; margin: 0 0 0 .35rem; overflow-wrap: anywhere; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 0 1.5rem; }
.queue { list-style: none; display: flex; gap: .4rem; margin: 0; padding: .3rem 0; overflow-x: auto; min-height: 5.2rem; }
.queue li { flex: 0 0 10rem; border: 1px solid var(--line); border-radius: 8px; padding: .3rem .5rem; font-size: .8rem; overflow: hidden; animation: come .3s; }
.queue li.current { background: var(--current); border-color: var(--accent); flex-basis: 13rem; } .queue .kind { font-weight: 600; display: block; }
.queue .tag { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--quiet); }
.queue li.none { border-style: dashed; color: var(--quiet); animation: none; } .served { margin: 0; min-height: 1.4em; color: var(--good); font-size: .8rem; }
progress, meter { width: 100%; height: .8rem; } label.limit { display: block; font-size: .8rem; color: var(--quiet); }
figure { margin: .5rem 0 0; } figcaption { font-size: .8rem; color: var(--quiet); } svg { width: 100%; height: 48px; border-bottom: 1px solid var(--line); }
polyline { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
#counts { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; margin: 0 0 .5rem; padding: 0; }
@keyframes come { from { opacity: 0; transform: translateX(2rem); } }
@media (prefers-reduced-motion: reduce) { .queue li { animation: none; } }
`;
