// A registry on loopback, of the packages just packed and no others, as installers see it.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

/** Some installers refuse what was published only a short time ago. */
const PUBLISHED = "2020-01-01T00:00:00.000Z";

function aboutPackage({ manifest, integrity, shasum }, url) {
  const { name, version } = manifest;
  const dist = { integrity, shasum, tarball: `${url}/${name}/-/${version}.tgz` };
  return {
    _id: name,
    name,
    "dist-tags": { latest: version },
    versions: { [version]: { ...manifest, _id: `${name}@${version}`, dist } },
    time: { created: PUBLISHED, modified: PUBLISHED, [version]: PUBLISHED },
  };
}

/** @param packages as packAll gives them */
export async function serve(packages) {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname).slice(1);
    const asked = packages.find(({ manifest: { name } }) => path === name || path.startsWith(`${name}/-/`));
    if (asked === undefined) response.writeHead(404, { "content-type": "application/json" }).end("{}");
    else if (path === asked.manifest.name) {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(aboutPackage(asked, url)));
    } else response.end(readFileSync(asked.tarball));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${server.address().port}`;
  return {
    url,
    async close() {
      server.closeAllConnections();
      await once(server.close(), "close");
    },
  };
}
