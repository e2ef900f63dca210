import assert from "node:assert/strict";
import type { NetworkInterfaceInfo } from "node:os";
import { describe, it } from "node:test";
import { thrown } from "../support/delegates.js";
import { InterfaceAddresses, zoned } from "#dist/connect/local-address.js";

function info(address: string): NetworkInterfaceInfo {
  const common = { address, netmask: "", mac: "", internal: false, cidr: null };
  return address.includes(":") ? { ...common, family: "IPv6", scopeid: 0 } : { ...common, family: "IPv4" };
}

const INTERFACES = {
  eth0: [info("192.0.2.2"), info("fe80::2"), info("2001:db8::2")],
  tun0: [info("10.8.0.2")],
};
const FAR = { address: "2001:db8::99", family: 6 } as const;
const NEAR = { address: "fe80::99", family: 6 } as const;
const FOUR = { address: "192.0.2.99", family: 4 } as const;

describe("the addresses of a network interface", () => {
  it("are chosen by the family of each attempt", () => {
    const addresses = new InterfaceAddresses("eth0", [6, 4], INTERFACES);
    assert.deepEqual(addresses.families, [6, 4]);
    assert.equal(addresses.addressFor(FOUR), "192.0.2.2");
    assert.equal(addresses.addressFor(FAR), "2001:db8::2");
  });

  it("are link-local for link-local peers, and then named with the interface", () => {
    const addresses = new InterfaceAddresses("eth0", [6, 4], INTERFACES);
    assert.equal(addresses.addressFor(NEAR), "fe80::2%eth0");
    assert.equal(addresses.scoped("fe80::99"), "fe80::99%eth0");
    assert.equal(addresses.scoped("fe80::99%eth1"), "fe80::99%eth1");
    for (const far of ["2001:db8::99", "2001:fe80::99", "fe8::99", "fec0::99", "192.0.2.99"]) {
      assert.equal(addresses.scoped(far), far);
    }
    assert.equal(addresses.scoped("FEBF::99"), "FEBF::99%eth0");
  });

  it("are taken as they are where there is no better one", () => {
    const lan = { wifi0: [info("fe80::3")], eth1: [info("2001:db8::3")] };
    assert.equal(new InterfaceAddresses("wifi0", [6], lan).addressFor(FAR), "fe80::3%wifi0");
    assert.equal(new InterfaceAddresses("eth1", [6], lan).addressFor(NEAR), "2001:db8::3");
  });

  it("tell which families can be reached at all", () => {
    assert.deepEqual(new InterfaceAddresses("tun0", [6, 4], INTERFACES).families, [4]);
    assert.deepEqual(new InterfaceAddresses("eth0", [6], INTERFACES).families, [6]);
    assert.equal(new InterfaceAddresses("tun0", [6, 4], INTERFACES).addressFor(FAR), undefined);
  });

  for (const [name, families, interfaces, words] of [
    [
      "eth7",
      [6, 4],
      INTERFACES,
      /^Cannot connect: there is no network interface "eth7" with an address; there are eth0, tun0$/,
    ],
    ["eth7", [6, 4], {}, / "eth7" with an address; there is none that is up$/],
    ["tun0", [6], INTERFACES, /^Cannot connect: the network interface "tun0" has no IPv6 address; it has 10\.8\.0\.2$/],
    ["tun0", [6, 4], { tun0: [] }, /"tun0" has no IPv6 or IPv4 address$/],
  ] as const) {
    it(`that are not there are CONNECT: ${String(words)}`, () => {
      let error: unknown;
      try {
        new InterfaceAddresses(name, families, interfaces as NodeJS.Dict<NetworkInterfaceInfo[]>);
      } catch (one) {
        error = one;
      }
      const { message, operation } = thrown(error, "CONNECT");
      assert.match(message, words);
      assert.equal(operation, "connect");
    });
  }
});

describe("the zone of an address", () => {
  const find = (): NodeJS.Dict<NetworkInterfaceInfo[]> => ({
    lo: [info("127.0.0.1"), { ...info("::1"), family: "IPv6", scopeid: 0 }],
    eth0: [{ ...info("fe80::5"), family: "IPv6", scopeid: 2 }],
    "7": [info("192.0.2.7")],
  });

  for (const [given, expected] of [
    ["192.0.2.1", "192.0.2.1"],
    ["fe80::1", "fe80::1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    ["fe80::1%2", "fe80::1%eth0"],
    ["fe80::1%7", "fe80::1%7"],
  ] as const) {
    it(`is named by its interface: ${given}`, { skip: process.platform === "win32" }, () => {
      assert.equal(zoned(given, "connect", find), expected);
    });
  }

  for (const zone of ["eth1", "3", "0"]) {
    it(`that is not there is named in the error: ${zone}`, { skip: process.platform === "win32" }, () => {
      const message = `there is no network interface "${zone}" for the zone of fe80::1%${zone}; there are 7, lo, eth0`;
      for (const [operation, code] of [
        ["connect", "CONNECT"],
        ["listen", "LISTEN"],
      ] as const) {
        const expected = { code: `ERR_ASYNCSOCKET_${code}`, operation, message: `Cannot ${operation}: ${message}` };
        assert.throws(() => zoned(`fe80::1%${zone}`, operation, find), expected);
      }
    });
  }
});
