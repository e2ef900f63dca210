/** The sockets of inspectors, which no inspector shows. */
export const own = new WeakSet<object>();
