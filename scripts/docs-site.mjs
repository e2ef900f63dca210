// A plugin of TypeDoc for `npm run docs`: guides are named by their headings, modules as they are imported, and what is public is grouped by what one does with
// it, which the folder of its source tells.

import { Converter, ReflectionKind } from "typedoc";

/** The first that a file's path below src begins with. */
const CATEGORIES = [
  ["socket/async-socket", "The socket"],
  ["base/request", "The socket"],
  ["base/errors", "Errors and closing"],
  ["connection/close-reason", "Errors and closing"],
  ["connection/delegate", "The delegate"],
  ["base/limits", "Limits"],
  ["socket/read-options", "Reading and writing"],
  ["socket/write-options", "Reading and writing"],
  ["base/checks", "Reading and writing"],
  ["base/async-values", "Reading and writing"],
  ["framing/", "Framings"],
  ["socket/reconnect", "Connecting"],
  ["connect/", "Connecting"],
  ["listen/", "Listening"],
  ["base/proxy-tlvs", "Listening"],
  ["tls/", "TLS"],
  ["threads/", "Threads"],
  ["connection/destination", "Threads"],
  ["socket/", "Streams, relays and moves"],
  ["connection/channels", "Diagnostics"],
  ["base/channels", "Diagnostics"],
  ["testing/", "Testing"],
  ["transport/kernel", "The kernel's settings and facts"],
  ["transport/native", "The native transport"],
  ["transport/", "Transports of your own"],
  ["base/", "Reading and writing"],
];
const OTHERS = "Diagnostics";

function categoryOf(reflection) {
  const file = reflection.sources?.[0]?.fullFileName.split("/src/").at(-1) ?? "";
  return CATEGORIES.find(([start]) => file.startsWith(start))?.[1] ?? OTHERS;
}

function categorize(reflection, Comment, CommentTag) {
  const owners = reflection.signatures ?? [reflection];
  for (const owner of owners) {
    owner.comment ??= new Comment();
    owner.comment.blockTags.push(new CommentTag("@category", [{ kind: "text", text: categoryOf(reflection) }]));
  }
}

function nameByHeading(document) {
  const heading = /^\s*# (.+)\n/.exec(document.content[0]?.text ?? "");
  if (heading !== null) document.name = heading[1];
}

export async function load(app) {
  const { Comment, CommentTag } = await import("typedoc");
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    const modules = project.getReflectionsByKind(ReflectionKind.Module);
    for (const module of modules) {
      for (const one of module.children ?? []) categorize(one, Comment, CommentTag);
      module.name = module.name === "index" ? "asyncsocket" : `asyncsocket/${module.name}`;
    }
    // Streams have to have these methods, which nobody else calls.
    for (const one of Object.values(project.reflections)) if (one.name.startsWith("_")) project.removeReflection(one);
    for (const document of project.documents ?? []) nameByHeading(document);
  });
}
