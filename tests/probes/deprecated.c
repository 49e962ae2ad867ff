/* SPDX-License-Identifier: MPL-2.0 */
/* The old header still gives everything, and says that it is deprecated. */

#include <zmq_utils.h>

void *start(void);
void *start(void)
{
    return zmq_stopwatch_start();
}
