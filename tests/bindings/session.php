<?php
// SPDX-License-Identifier: MPL-2.0
// One side of a session, see tests/programs.py: php session.php bind|connect REQUESTS NEWS

const SIZES = [0, 1, 33, 34, 255, 256, 8192, 100000];
const NEWS = 10;

function fail(string $what): never
{
    fwrite(STDERR, "php: $what\n");
    exit(1);
}

// Who connects has nothing left to send in the end but subscriptions, for who is gone by then.
function socket(ZMQContext $context, int $type, int $linger): ZMQSocket
{
    $socket = new ZMQSocket($context, $type);
    $socket->setSockOpt(ZMQ::SOCKOPT_RCVTIMEO, 20000);
    $socket->setSockOpt(ZMQ::SOCKOPT_SNDTIMEO, 20000);
    $socket->setSockOpt(ZMQ::SOCKOPT_LINGER, $linger);
    return $socket;
}

function receive(ZMQSocket $socket): array
{
    $parts = $socket->recvMulti();
    return $parts === false ? fail('nothing came') : $parts;
}

function bind(ZMQContext $context, string $requests, string $news): void
{
    $server = socket($context, ZMQ::SOCKET_REP, 20000);
    $server->bind($requests);
    $publisher = socket($context, ZMQ::SOCKET_XPUB, 20000);
    $publisher->bind($news);
    do {
        $request = receive($server);
        $server->sendMulti($request);
    } while ($request[0] !== 'stop');
    // Polled for, as an event loop would.
    $poll = new ZMQPoll();
    $poll->add($publisher, ZMQ::POLL_IN);
    $readable = $writable = [];
    if ($poll->poll($readable, $writable, 20000) !== 1 || receive($publisher) !== ["\x01news"]) {
        fail('no subscription');
    }
    for ($i = 0; $i < NEWS; $i++) {
        $publisher->sendMulti(['sport', "$i"]);
        $publisher->sendMulti(['news', "$i"]);
    }
    // The subscriber's answer: it has all of them.
    $server->sendMulti(receive($server));
}

function connect(ZMQContext $context, string $requests, string $news): void
{
    $client = socket($context, ZMQ::SOCKET_REQ, 0);
    $client->connect($requests);
    foreach (SIZES as $size) {
        $client->sendMulti(['echo', str_repeat('x', $size), '']);
        if (receive($client) !== ['echo', str_repeat('x', $size), '']) {
            fail("echo of $size");
        }
    }
    $client->sendMulti(['stop']);
    receive($client);
    $subscriber = socket($context, ZMQ::SOCKET_SUB, 0);
    $subscriber->setSockOpt(ZMQ::SOCKOPT_SUBSCRIBE, 'news');
    $subscriber->connect($news);
    for ($i = 0; $i < NEWS; $i++) {
        if (receive($subscriber) !== ['news', "$i"]) {
            fail("news $i");
        }
    }
    $client->sendMulti(['end']);
    receive($client);
}

[, $role, $requests, $news] = $argv;
$role(new ZMQContext(1, false), $requests, $news);
preg_match_all('~/\S*/libzmq[^/\s]*~', file_get_contents('/proc/self/maps'), $found);
echo implode(' ', array_unique($found[0])), "\n";
