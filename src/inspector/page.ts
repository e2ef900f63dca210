/** The page, whose script fills it. Its addresses are relative, below the token. */
export const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>AsyncSocket inspector</title>
<link rel="stylesheet" href="style.css">
<script src="script.js" defer></script>
</head>
<body>
<header>
<h1>AsyncSocket inspector</h1>
<p id="status" role="status">connecting…</p>
<label>Filter <input id="filter" type="search" autocomplete="off" placeholder="state, address, tag …"></label>
<button id="pause" type="button" aria-pressed="false">Pause</button>
</header>
<main>
<section aria-labelledby="sockets-title">
<h2 id="sockets-title">Sockets <span id="count" class="quiet"></span></h2>
<div class="wide" tabindex="0" role="region" aria-label="Table of sockets"><table id="sockets">
<thead><tr></tr></thead><tbody></tbody></table></div>
</section>
<section id="detail" aria-labelledby="detail-title" hidden>
<h2 id="detail-title"></h2>
<dl id="facts"></dl>
<div class="two">
<div><h3>Reads</h3><ol class="queue" id="reads"></ol><p class="served" id="reads-served"></p></div>
<div><h3>Writes</h3><ol class="queue" id="writes"></ol><p class="served" id="writes-served"></p></div>
</div>
<div class="two" id="limits"></div>
<div class="two">
<figure><figcaption>Received <span id="in-rate"></span></figcaption><svg id="in" role="img" viewBox="0 0 240 48" preserveAspectRatio="none"><polyline/></svg></figure>
<figure><figcaption>Sent <span id="out-rate"></span></figcaption><svg id="out" role="img" viewBox="0 0 240 48" preserveAspectRatio="none"><polyline/></svg></figure>
</div>
</section>
<section aria-labelledby="loops-title">
<h2 id="loops-title">Run loops</h2>
<table id="loops"><thead><tr><th>name</th><th>thread</th><th>state</th><th>sockets</th><th>load</th><th>delay</th></tr></thead><tbody></tbody></table>
</section>
<section aria-labelledby="closes-title">
<h2 id="closes-title">Recent closes</h2>
<ul id="counts"></ul>
<div class="wide" tabindex="0" role="region" aria-label="Table of closes"><table id="closes"><thead><tr><th>socket</th><th>ago</th><th>by</th><th>open</th><th>read</th><th>written</th><th>reason</th></tr></thead><tbody></tbody></table></div>
</section>
</main>
</body>
</html>
`;
