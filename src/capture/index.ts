/**
 * Writes what sockets send and receive to a file that Wireshark opens.
 * @module capture
 */
export { record, type Recording } from "./record.js";
