// SPDX-License-Identifier: MPL-2.0
// The browser's side of the scenarios in tests/browser.py, which has the other side of each under
// the same name. The page asks for one after the other and says what came of it.

import { Zws, bytes, text } from "./zws.js";

const SECONDS = 20;
// Around every length of a header, a read of 64 KiB, and what is sent in fragments.
const LENGTHS = [0, 1, 123, 124, 125, 126, 127, 4096, 8191, 8192, 65533, 65534, 65535, 65536, 200000];
const MEGABYTE = 1 << 20;

function check(good, what) {
  if (!good) throw new Error(what);
}

function same(left, right) {
  if (left.length !== right.length) return false;
  for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return false;
  return true;
}

// All byte values, in an order of their own for each length.
function body(length) {
  const result = new Uint8Array(length);
  for (let i = 0; i < length; i++) result[i] = (i * 7 + (i >> 8) + length) & 255;
  return result;
}

async function open(...how) {
  const connection = new Zws(...how);
  await connection.opened;
  return connection;
}

async function echoes(connection, ...parts) {
  connection.send(...parts);
  const back = await connection.receive();
  check(back.length === parts.length, `${parts.length} parts, ${back.length} came back`);
  back.forEach((part, at) => {
    const sent = typeof parts[at] === "string" ? bytes(parts[at]) : parts[at];
    check(same(part, sent), `part ${at} of ${sent.length} bytes came back as ${part.length}`);
  });
}

async function traffic(connection) {
  await echoes(connection, "hello");
  await echoes(connection, "", "two", "", "");
  await echoes(connection, Uint8Array.from({ length: 256 }, (_, i) => i));
  for (const length of LENGTHS) await echoes(connection, body(length));
  await echoes(connection, ...LENGTHS.map(body));
  await echoes(connection, body(MEGABYTE));
  await echoes(connection, "head", body(3 * MEGABYTE + 1), body(70000), "tail");
}

// `clean` is what the browser says of it, whose own messages not yet sent count, too.
async function ends(connection, code, clean = true) {
  const event = await connection.closed;
  check(event.code === code, `closed with ${event.code} instead of ${code}`);
  check(clean === null || event.wasClean === clean, `wasClean is ${event.wasClean}`);
}

async function dealer({ router }) {
  const connection = await open(router, "DEALER", { identity: "page" });
  check(connection.socket.protocol === "ZWS2.0", connection.socket.protocol);
  check(text(connection.routingId) === "server", "the peer's routing id");
  await traffic(connection);
  connection.close();
  await ends(connection, 1005);
}

async function paths({ router }) {
  await echoes(await open(new URL("/a/path?with=query", router), "DEALER"), "hello");
}

export const scenarios = {
  dealer,

  paths,

  req: async ({ router, rep }) => {
    for (const endpoint of [router, rep]) {
      const connection = await open(endpoint, "REQ");
      for (let i = 0; i < 50; i++) await echoes(connection, `request ${i}`, body(i * 100));
      await echoes(connection, body(MEGABYTE));
      connection.close();
      await connection.closed;
    }
  },

  // Many messages under way at once, in both directions.
  stream: async ({ router }) => {
    const connection = await open(router, "DEALER");
    const count = 5000;
    for (let i = 0; i < count; i++) connection.send(`${i}`, body(i % 500));
    for (let i = 0; i < count; i++) {
      const [number, rest] = await connection.receive();
      check(text(number) === `${i}`, `${text(number)} instead of ${i}`);
      check(same(rest, body(i % 500)), `body of ${i}`);
    }
  },

  many_connections: async ({ router }) => {
    const all = await Promise.all(Array.from({ length: 30 }, () => open(router, "DEALER")));
    await Promise.all(
      all.map(async (connection, at) => {
        for (let i = 0; i < 20; i++) await echoes(connection, `${at}`, body(i * 1000));
      }),
    );
    for (const connection of all) connection.close(1000);
    for (const connection of all) await ends(connection, 1000);
  },

  sub: async ({ pub, router }) => {
    const control = await open(router, "DEALER", { identity: "control" });
    const connection = await open(pub, "SUB");
    // What comes between the first "go" and "end"; the others are still on their way.
    const round = async (go) => {
      connection.subscribe(go);
      while (text((await connection.receive())[0]) !== go);
      control.send("seen");
      const topics = [];
      for (;;) {
        const [topic, ...rest] = await connection.receive();
        if (text(topic) === go) continue;
        if (text(topic) === "end") return topics.join();
        topics.push(text(topic));
        if (rest.length > 0) check(same(rest[0], body(MEGABYTE)), "the body of a megabyte");
      }
    };
    connection.subscribe("a");
    connection.subscribe("end");
    let topics = await round("go 1");
    check(topics === "apple,ant,a", `${topics} for a`);
    connection.unsubscribe("a");
    connection.subscribe("ban");
    connection.subscribe(Uint8Array.of(0, 255));
    topics = await round("go 2");
    check(topics === "banana,\0\ufffd!", `${topics} for ban`);
    connection.subscribe("");
    topics = await round("go 3");
    check(topics === "apple,banana,ant,a,\0\ufffd!", `${topics} for everything`);
  },

  heartbeats: async ({ router }) => {
    const connection = await open(router, "DEALER");
    // The browser answers PING between, and in the middle of, these.
    for (let i = 0; i < 300; i++) await echoes(connection, body(i * 50));
    await echoes(connection, body(4 * MEGABYTE));
  },

  // The server closes its socket, and another one comes up at the same place.
  server_closes_and_comes_back: async ({ router }) => {
    for (let turn = 0; turn < 3; turn++) {
      let connection;
      for (;;) {
        try {
          connection = await open(router, "DEALER");
          break;
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      }
      await echoes(connection, `turn ${turn}`);
      connection.send("close");
      // What was sent before still comes, by linger.
      for (let i = 0; i < 100; i++) {
        check(text((await connection.receive())[0]) === `${i}`, "messages before the end");
      }
      await ends(connection, 1000);
    }
  },

  server_unbinds: async ({ router }) => {
    const connection = await open(router, "DEALER");
    connection.send("unbind");
    await ends(connection, 1000);
  },

  // It closes without having read what the browser goes on sending.
  server_closes_unread: async ({ pull, router }) => {
    const control = await open(router, "DEALER");
    const connection = await open(pull, "PUSH");
    for (let i = 0; i < 200; i++) connection.send(body(50000));
    control.send("close");
    await ends(connection, 1000, null);
  },

  page_closes: async ({ router }) => {
    for (const [how, code] of [[[], 1005], [[1000], 1000], [[1000, "done"], 1000], [[3001, "x"], 3001]]) {
      const connection = await open(router, "DEALER");
      await echoes(connection, "hello");
      connection.close(...how);
      await ends(connection, code);
    }
  },

  violations: async ({ router }) => {
    for (const what of ["text", new Uint8Array(0)]) {
      const connection = await open(router, "DEALER");
      connection.socket.send(what);
      await ends(connection, 1002);
    }
    await echoes(await open(router, "DEALER"), "another connection");
  },

  too_big: async ({ router }) => {
    const connection = await open(router, "DEALER");
    await echoes(connection, body(1000));
    connection.send(body(1001));
    await ends(connection, 1009);
    const fragments = await open(router, "DEALER");
    fragments.send(body(MEGABYTE));
    await ends(fragments, 1009, null);
  },

  wrong_protocol: async ({ router }) => {
    for (const protocols of [["chat"], ["ZWS2.0x", "zws2.0"], []]) {
      const connection = new Zws(router, "DEALER", { protocols });
      await ends(connection, 1006, false);
    }
  },

  wss: dealer,
  wss_paths: paths,

  wss_server_closes: async ({ router }) => {
    const connection = await open(router, "DEALER");
    await echoes(connection, "hello");
    connection.send("unbind");
    await ends(connection, 1000);
  },

  wss_of_a_stranger: async ({ router }) => {
    const connection = new Zws(router, "DEALER");
    await ends(connection, 1006, false);
  },
};

function limited(promise) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${SECONDS} s`)), SECONDS * 1000);
  });
  return Promise.race([promise, limit]).finally(() => clearTimeout(timer));
}

async function post(path, report) {
  const answer = await fetch(path, { method: "POST", body: JSON.stringify(report) });
  return answer.json();
}

async function main() {
  for (;;) {
    const { name, endpoints } = await post("/next", Object.keys(scenarios));
    if (!name) break;
    let error = null;
    try {
      await limited(scenarios[name](endpoints));
    } catch (failure) {
      error = `${failure.stack ?? failure}`;
    }
    await post("/result", { name, error });
  }
}

main();
