/** The process of the hostile peers. */
import { answerRequests } from "../bench/ipc/answers.js";
import { ATTACKS } from "./attacks.js";
import { Attack } from "./peers.js";
import type { HostileRequests } from "./requests.js";

answerRequests<HostileRequests>({
  async attack({ name, ports, ms, connections, seed }) {
    const kind = ATTACKS.find((one) => one.name === name);
    if (kind === undefined) throw new Error(`Expected an attack, got ${name}`);
    const attack = new Attack(ports, connections, ms, seed);
    await kind.run(attack);
    await attack.close();
    return attack.done;
  },
});
