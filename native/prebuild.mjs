// `npm run pack:native`: puts what was compiled here where `npm pack` takes it from, for this system and processor.

import { cpSync, mkdirSync } from "node:fs";

const target = `native/prebuilds/${process.platform}-${process.arch}.node`;
mkdirSync("native/prebuilds", { recursive: true });
cpSync("native/build/Release/asyncsocket.node", target);
console.log(target);
