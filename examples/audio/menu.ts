/** Holds this thread up for so long, a quarter of a second from now, and again and again: somebody has a menu open. */
export function blockAgainAndAgain(ms: number): void {
  if (ms === 0) return;
  setTimeout(() => {
    const until = performance.now() + ms;
    while (performance.now() < until) continue;
    blockAgainAndAgain(ms);
  }, 250);
}
