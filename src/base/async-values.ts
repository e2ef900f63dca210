/**
 * What `for await` runs over. It is `AsyncIterableIterator<T, undefined>` of TypeScript 5.6, written so that older versions know it
 * too.
 */
export interface AsyncValues<T> extends AsyncIterator<T, undefined> {
  [Symbol.asyncIterator](): AsyncValues<T>;
}
