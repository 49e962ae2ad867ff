// SPDX-License-Identifier: MPL-2.0
//
// The HTTP upgrade by hand (RFC 45, RFC 6455), for raw peers of ws.
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include "harness.h"

// The example of RFC 6455.
#define RFC_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define REQUEST(protocols)                                                                         \
    "GET /zeromq HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"     \
    "Sec-WebSocket-Key: " RFC_KEY "\r\nSec-WebSocket-Protocol: " protocols "\r\n"                      \
    "Sec-WebSocket-Version: 13\r\n\r\n"
#define RESPONSE(protocol)                                                                         \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Protocol: " protocol "\r\n\r\n"

static inline uint32_t turn(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

// SHA-1 of fewer than 120 bytes (FIPS 180-4).
static inline void sha1(const char *text, size_t size, unsigned char digest[20]) {
    unsigned char blocks[128] = {0};
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    size_t total = size < 56 ? 64 : 128;
    memcpy(blocks, text, size);
    blocks[size] = 0x80;
    blocks[total - 2] = (unsigned char)(size * 8 >> 8);
    blocks[total - 1] = (unsigned char)(size * 8);
    for (size_t at = 0; at < total; at += 64) {
        uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)blocks[at + 4 * i] << 24 | (uint32_t)blocks[at + 4 * i + 1] << 16 |
                   (uint32_t)blocks[at + 4 * i + 2] << 8 | blocks[at + 4 * i + 3];
        for (int i = 16; i < 80; i++)
            w[i] = turn(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20   ? (b & c) | (~b & d)
                         : i < 40 ? b ^ c ^ d
                         : i < 60 ? (b & c) | (b & d) | (c & d)
                                  : b ^ c ^ d;
            uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
            uint32_t next = turn(a, 5) + f + e + k + w[i];
            e = d, d = c, c = turn(b, 30), b = a, a = next;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
    }
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(state[i / 4] >> (24 - i % 4 * 8));
}

// What a server answers to this key.
static inline void accept_key(const char *key, char accept[29]) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[128];
    unsigned char digest[21] = {0};
    int size = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(text, (size_t)size, digest);
    for (int i = 0; i < 7; i++) {
        uint32_t group =
            (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 | digest[3 * i + 2];
        for (int k = 0; k < 4; k++)
            accept[4 * i + k] = digits[group >> (18 - 6 * k) & 63];
    }
    accept[27] = '=';
    accept[28] = '\0';
}

// Reads up to the empty line that ends a request or a response.
static inline void read_head(int fd, char head[2048]) {
    size_t size = 0;
    do {
        CHECK(size < 2047);
        RAW_READ(fd, head + size++, 1);
        head[size] = '\0';
    } while (size < 4 || strcmp(head + size - 4, "\r\n\r\n") != 0);
}

// A raw listener; the endpoint is for ws.
static inline int listen_ws(char endpoint[80], const char *path) {
    char tcp[64];
    int listener = RAW_LISTEN(tcp);
    snprintf(endpoint, 80, "ws%s%s", tcp + 3, path);
    return listener;
}

// Reads a client's request, answers it with this sub-protocol.
static inline void accept_upgrade(int fd, const char *protocol) {
    char request[2048], response[512], accept[29], key[64];
    read_head(fd, request);
    const char *at = strstr(request, "Sec-WebSocket-Key: ");
    CHECK(at != NULL && sscanf(at, "Sec-WebSocket-Key: %63s", key) == 1);
    accept_key(key, accept);
    int size = snprintf(response, sizeof response,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n"
                        "Sec-WebSocket-Protocol: %s\r\n\r\n",
                        accept, protocol);
    RAW_SEND(fd, response, (size_t)size);
}

#endif
