// SPDX-License-Identifier: MPL-2.0
//! Reading a large message straight into its own memory.

use crate::errno::Result;
use crate::msg::MsgBuilder;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Reads what is there into the memory of `body` and, if that lacks no more than that, on into
/// `rest`. Returns the number of bytes the kernel gave (0 at the end of the stream), and how many
/// of them lie in `rest`.
pub fn read_message(
    socket: BorrowedFd<'_>,
    body: &mut MsgBuilder,
    rest: &mut [u8],
) -> Result<std::io::Result<(usize, usize)>> {
    let lacking = body.remaining();
    let spare = body.spare(usize::MAX)?;
    let room = spare.len();
    let pieces = [
        libc::iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: room },
        libc::iovec { iov_base: rest.as_mut_ptr().cast(), iov_len: rest.len() },
    ];
    let count = if room == lacking { 2 } else { 1 };
    // SAFETY: both pieces are writable for their lengths and borrowed for this call.
    let read = unsafe { libc::readv(socket.as_raw_fd(), pieces.as_ptr(), count) };
    if read < 0 {
        return Ok(Err(std::io::Error::last_os_error()));
    }
    let read = read as usize;
    // SAFETY: the kernel has written the first `read` bytes of the pieces, in order.
    unsafe { body.advance(read.min(room)) };
    Ok(Ok((read, read.saturating_sub(room))))
}
