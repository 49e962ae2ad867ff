// SPDX-License-Identifier: MPL-2.0
//! The count of forks. In a process of its own: a forked child holds, until it exits, copies of
//! whatever descriptors the tests beside it have just closed.

use zmq::transport::fork_generation;

#[test]
fn a_child_is_of_another_generation() {
    let generation = fork_generation();
    // SAFETY: the child calls nothing but what is allowed after a fork, and exits.
    let status = unsafe {
        match libc::fork() {
            0 => libc::_exit(if fork_generation() == generation + 1 { 7 } else { 8 }),
            child => {
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                status
            }
        }
    };
    assert_eq!(libc::WEXITSTATUS(status), 7);
    assert_eq!(fork_generation(), generation);
}
