// SPDX-License-Identifier: MPL-2.0
// One side of a session, see tests/programs.py: node session.js bind|connect REQUESTS NEWS

"use strict"

const assert = require("assert")
const fs = require("fs")
const zmq = require("zeromq")

const SIZES = [0, 1, 33, 34, 255, 256, 8192, 100000]
const NEWS = 10

// Who connects has nothing left to send in the end but subscriptions, for who is gone by then.
function options(linger) {
  return { receiveTimeout: 20000, linger }
}

async function receive(socket) {
  return (await socket.receive()).map(String)
}

async function bind(requests, news) {
  const server = new zmq.Reply(options(20000))
  await server.bind(requests)
  const publisher = new zmq.XPublisher(options(20000))
  await publisher.bind(news)
  // Waited for while the other socket is at work in the same event loop.
  const subscription = receive(publisher)
  for (let stopped = false; !stopped; ) {
    const request = await receive(server)
    await server.send(request)
    stopped = request[0] === "stop"
  }
  assert.deepStrictEqual(await subscription, ["\x01news"])
  for (let i = 0; i < NEWS; i++) {
    await publisher.send(["sport", `${i}`])
    await publisher.send(["news", `${i}`])
  }
  // The subscriber's answer: it has all of them.
  await server.send(await receive(server))
  return [server, publisher]
}

async function connect(requests, news) {
  const client = new zmq.Request(options(0))
  client.connect(requests)
  for (const size of SIZES) {
    const parts = ["echo", "x".repeat(size), ""]
    await client.send(parts)
    assert.deepStrictEqual(await receive(client), parts)
  }
  await client.send("stop")
  await receive(client)
  const subscriber = new zmq.Subscriber(options(0))
  subscriber.subscribe("news")
  subscriber.connect(news)
  for (let i = 0; i < NEWS; i++) {
    assert.deepStrictEqual(await receive(subscriber), ["news", `${i}`])
  }
  await client.send("end")
  await receive(client)
  return [client, subscriber]
}

async function main([role, requests, news]) {
  const sockets = await { bind, connect }[role](requests, news)
  const found = fs.readFileSync("/proc/self/maps", "utf8").match(/\/\S*\/libzmq[^/\s]*/g)
  console.log([...new Set(found)].join(" "))
  sockets.forEach((socket) => socket.close())
}

main(process.argv.slice(2))
