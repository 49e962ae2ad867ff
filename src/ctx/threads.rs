// SPDX-License-Identifier: MPL-2.0
//! Names, affinity and scheduling of I/O threads (zmq_ctx_set(3)).

use crate::options::ContextOptions;

/// The name of an I/O thread, as short as the system wants it.
pub fn name(options: &ContextOptions, number: i32) -> String {
    let mut name = String::from_utf8_lossy(&options.thread_name_prefix).replace('\0', "");
    if !name.is_empty() {
        name.push('/');
    }
    name.push_str(&format!("ZMQbg/IO/{number}"));
    let cut = (0..=name.len().min(15)).rev().find(|at| name.is_char_boundary(*at));
    name.truncate(cut.unwrap_or(0));
    name
}

/// What an I/O thread does first. What the system refuses is left as it is.
pub fn preparation(options: &ContextOptions) -> Box<dyn FnOnce() + Send> {
    let cpus = options.thread_affinity_cpus.clone();
    let (policy, priority) = (options.thread_sched_policy, options.thread_priority);
    Box::new(move || {
        // SAFETY: plain calls on the calling thread with structures of our own; CPU_SET is given
        // numbers below the size of the set.
        unsafe {
            if !cpus.is_empty() {
                let mut set: libc::cpu_set_t = std::mem::zeroed();
                for cpu in cpus {
                    if let Ok(cpu) = usize::try_from(cpu)
                        && cpu < libc::CPU_SETSIZE as usize
                    {
                        libc::CPU_SET(cpu, &mut set);
                    }
                }
                libc::pthread_setaffinity_np(libc::pthread_self(), size_of_val(&set), &set);
            }
            if policy >= 0 {
                let mut param: libc::sched_param = std::mem::zeroed();
                if priority >= 0 && matches!(policy, libc::SCHED_FIFO | libc::SCHED_RR) {
                    param.sched_priority = priority;
                }
                libc::pthread_setschedparam(libc::pthread_self(), policy, &param);
            }
        }
    })
}
