// By hand on Bun's own sockets: what is not taken waits, the replies to one chunk go out in one write.
const [protocol] = process.argv.slice(2);
const NEWLINE = 10;
const HEADER = 4;
const NOTHING = Buffer.alloc(0);

function send(socket, bytes) {
  if (socket.data.unsent.length > 0) {
    socket.data.unsent = Buffer.concat([socket.data.unsent, bytes]);
    return;
  }
  const sent = socket.write(bytes);
  if (sent < bytes.length) socket.data.unsent = Buffer.from(bytes.subarray(Math.max(0, sent)));
}

function echo(socket, chunk) {
  send(socket, chunk);
}

/** Replies to all messages of a chunk; what is left of it waits for the next. */
function messages(endOf) {
  return (socket, chunk) => {
    const { rest } = socket.data;
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const replies = [];
    let start = 0;
    for (let end = endOf(data, 0); end > 0; end = endOf(data, start)) {
      replies.push(data.subarray(start, end));
      start = end;
    }
    socket.data.rest = start === data.length ? NOTHING : Buffer.from(data.subarray(start));
    if (replies.length > 0) send(socket, replies.length === 1 ? replies[0] : Buffer.concat(replies));
  };
}

function endOfLine(data, start) {
  return data.indexOf(NEWLINE, start) + 1;
}

function endOfFrame(data, start) {
  if (data.length - start < HEADER) return 0;
  const end = start + HEADER + data.readUInt32BE(start);
  return end > data.length ? 0 : end;
}

const lines = messages(endOfLine);

function churn(socket, chunk) {
  lines(socket, chunk);
  socket.end();
}

const data = { echo, lines, frames: messages(endOfFrame), churn }[protocol];
const server = Bun.listen({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) {
      socket.data = { rest: NOTHING, unsent: NOTHING };
      if (protocol === "lines" || protocol === "churn") socket.timeout(30);
    },
    data,
    drain(socket) {
      const { unsent } = socket.data;
      socket.data.unsent = NOTHING;
      if (unsent.length > 0) send(socket, unsent);
    },
    timeout(socket) {
      socket.end();
    },
  },
});
console.log(server.port);
process.stdin.on("end", () => process.exit(0)).resume();
