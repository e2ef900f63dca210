/** Blocks this thread for `ms`, a quarter of a second from now, and again and again, as an open menu would. */
export function blockAgainAndAgain(ms: number): void {
  if (ms === 0) return;
  setTimeout(() => {
    const until = performance.now() + ms;
    while (performance.now() < until) continue;
    blockAgainAndAgain(ms);
  }, 250);
}
