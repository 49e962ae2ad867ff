/* SPDX-License-Identifier: MPL-2.0 */
/* Prints which shared library the perf tools get with the present LD_LIBRARY_PATH. */
#define _GNU_SOURCE
#include <zmq.h>

#include <dlfcn.h>
#include <stdio.h>

int main(void)
{
    int major, minor, patch;
    zmq_version(&major, &minor, &patch);
    Dl_info library;
    if (!dladdr(dlsym(RTLD_DEFAULT, "zmq_version"), &library))
        return 1;
    printf("library: %s\n", library.dli_fname);
    printf("version: %d.%d.%d\n", major, minor, patch);
    return 0;
}
