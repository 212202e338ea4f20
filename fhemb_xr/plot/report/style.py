"""How the page looks: on a screen, in the dark, on a telephone, on paper.

The figures stay on white: the colours of a map are true on white alone. Where there is little
room, on paper and without scripts, the printed figure stands for the one that moves.
"""

CSS = """
:root { color-scheme: light dark; --ink: #222; --quiet: #555; --line: #ddd; --page: #fff;
  --box: #f6f6f6; --link: #005a8f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --quiet: #b4b4b4; --line: #444; --page: #181818; --box: #242424;
    --link: #7cc4f5; }
}
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; margin: 0;
  color: var(--ink); background: var(--page); overflow-wrap: break-word; }
header, nav, main, footer { max-width: 920px; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.5rem; }
footer { border-top: 1px solid var(--line); padding-top: 1rem; padding-bottom: 3rem;
  margin-top: 3rem; font-size: .86rem; color: var(--quiet); }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p.lead { color: var(--quiet); margin: 0 0 1rem; }
a { color: var(--link); }
nav ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: .2rem 1.2rem; }
nav a { display: inline-block; padding: .25rem 0; }
figure { margin: 1.2rem 0 1.8rem; }
figcaption { font-size: .86rem; color: var(--quiet); max-width: 46rem; margin-top: .5rem; }
.drawn, .still { background: #fff; color: #222; }
.drawn { max-width: 100%; overflow-x: auto; }
.still { display: block; max-width: 100%; height: auto; }
.both .drawn { display: none; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .22rem .9rem .22rem 0;
  border-bottom: 1px solid var(--line); }
thead th { font-weight: 600; border-bottom: 1px solid var(--quiet); }
th:first-child { text-align: left; }
tbody th { font-weight: inherit; }
.tall { max-height: 24rem; overflow-y: auto; }
pre { font-size: .78rem; line-height: 1.45; background: var(--box); padding: .8rem 1rem;
  margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) {
  .drawn, .still { border-radius: 6px; }
  .still { padding: 6px; }
  .drawn { padding: 6px; }
}
@media screen and (min-width: 780px) {
  .scripts .both .drawn { display: block; }
  .scripts .both .still { display: none; }
}
@media screen {
  .scripts .film .drawn { display: block; }
  .scripts .film .still { display: none; }
}
@media print {
  :root { --ink: #000; --quiet: #333; --line: #ccc; --page: #fff; --box: #f6f6f6; }
  body { font-size: 10.5pt; }
  header, main, footer { max-width: none; padding: 0; }
  nav { display: none; }
  h1, h2, h3 { break-after: avoid; }
  figure, pre, tr { break-inside: avoid; }
  .tall { max-height: none; overflow: visible; }
}
"""
