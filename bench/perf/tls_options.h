/* SPDX-License-Identifier: MPL-2.0 */
/* What a tls:// or wss:// endpoint needs: certificates, from the directory that the environment
 * variable PERF_CERTIFICATES names and that c-tests/certificates.sh has filled. */
#ifndef TLS_OPTIONS_H
#define TLS_OPTIONS_H

/* ZMQ_WSS_KEY_PEM and its relatives, which the header shows to programs that ask for drafts. */
enum { KEY_PEM = 103, CERT_PEM = 104, TRUST_PEM = 105, HOSTNAME = 106 };

static inline void set_pem(void *socket, int option, const char *name)
{
    const char *directory = getenv("PERF_CERTIFICATES");
    char path[512], text[16384];
    snprintf(path, sizeof path, "%s/%s", directory ? directory : ".", name);
    FILE *file = fopen(path, "rb");
    if (!file) {
        printf("cannot read %s\n", path);
        exit(EXIT_FAILURE);
    }
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    check(zmq_setsockopt(socket, option, text, size), "zmq_setsockopt");
}

static inline int is_secure(const char *endpoint)
{
    return strncmp(endpoint, "tls:", 4) == 0 || strncmp(endpoint, "wss:", 4) == 0;
}

static inline void prepare_server(void *socket, const char *endpoint)
{
    if (is_secure(endpoint)) {
        set_pem(socket, KEY_PEM, "server.key");
        set_pem(socket, CERT_PEM, "server.pem");
    }
}

static inline void prepare_client(void *socket, const char *endpoint)
{
    if (is_secure(endpoint)) {
        set_pem(socket, TRUST_PEM, "ca.pem");
        check(zmq_setsockopt(socket, HOSTNAME, "localhost", 9), "zmq_setsockopt");
    }
}

#endif
