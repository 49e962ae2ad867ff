/* SPDX-License-Identifier: MPL-2.0 */
/*
 * Deprecated: everything that this header once declared is in zmq.h. The note
 * is a message and not a warning, so that -Werror builds keep working.
 */

#ifndef __ZMQ_UTILS_H_INCLUDED__
#define __ZMQ_UTILS_H_INCLUDED__

#if defined __GNUC__ || defined __clang__ || defined _MSC_VER
#pragma message("zmq_utils.h is deprecated; include zmq.h")
#endif

#include "zmq.h"

#endif /* __ZMQ_UTILS_H_INCLUDED__ */
