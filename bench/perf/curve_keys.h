/* SPDX-License-Identifier: MPL-2.0 */
/* CURVE for the perf tools: key pairs made for this test and good for nothing else. */
#ifndef CURVE_KEYS_H
#define CURVE_KEYS_H

#define SERVER_PUBLIC_KEY "1U<FnsjP/OHvdTqL{W87bDRA)9qYQ!<Pt[(Foz5C"
#define SERVER_SECRET_KEY "?6TevlmvIp]bQq@.Cy=?wPMW#.><$eI=0xj.m7dT"
#define CLIENT_PUBLIC_KEY "cV8kXut*[jc(<6)s$*!EgT%Pb+Hip9Qb^NhkhkTg"
#define CLIENT_SECRET_KEY "BwA}j?W01Wr&HpWNf=fNG9KS*s2?qEN0vNn/tQe2"

/* Sets a key option from its Z85 text, closing zero included. */
static inline void set_key(void *socket, int option, const char *key)
{
    check(zmq_setsockopt(socket, option, key, strlen(key) + 1), "zmq_setsockopt");
}

static inline void enable_curve_server(void *socket)
{
    int server = 1;
    check(zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &server, sizeof server), "zmq_setsockopt");
    set_key(socket, ZMQ_CURVE_SECRETKEY, SERVER_SECRET_KEY);
}

static inline void enable_curve_client(void *socket)
{
    set_key(socket, ZMQ_CURVE_SECRETKEY, CLIENT_SECRET_KEY);
    set_key(socket, ZMQ_CURVE_PUBLICKEY, CLIENT_PUBLIC_KEY);
    set_key(socket, ZMQ_CURVE_SERVERKEY, SERVER_PUBLIC_KEY);
}

#endif
