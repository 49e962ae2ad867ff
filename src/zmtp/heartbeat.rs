// SPDX-License-Identifier: MPL-2.0
//! When to send a PING, and when silence has lasted too long.
//!
//! Three timers: the interval between PINGs; the timeout, which starts with a PING unless it is
//! running; the TTL the peer asked for with its own PING, likewise. Any traffic stops the last
//! two. For peers of ZMTP 3.0 and later only.
//!
//! The owner of a connection calls [`Heartbeat::on_traffic`] for what it has read *before*
//! [`Heartbeat::handle_timeout`], so that bytes waiting in the kernel count.
//!
//! RFC 37, heartbeating.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use super::command::{Command, ttl_ms};

/// The options of heartbeats, in the units of zmq_setsockopt(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeartbeatConfig {
    /// `ZMQ_HEARTBEAT_IVL` in ms; 0 sends no PING.
    pub interval_ms: i32,
    /// `ZMQ_HEARTBEAT_TIMEOUT` in ms; -1 is the interval, 0 waits for ever.
    pub timeout_ms: i32,
    /// `ZMQ_HEARTBEAT_TTL`, in tenths of a second as PING carries it.
    pub ttl_deciseconds: u16,
}

impl Default for HeartbeatConfig {
    fn default() -> HeartbeatConfig {
        HeartbeatConfig { interval_ms: 0, timeout_ms: -1, ttl_deciseconds: 0 }
    }
}

/// What is to be done when a timer has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatAction {
    None,
    /// Send [`Heartbeat::ping`].
    SendPing,
    /// Close the connection: a timeout error.
    Expired,
}

/// The timers of one connection.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    interval: Option<Duration>,
    timeout: Option<Duration>,
    ttl_deciseconds: u16,
    next_ping: Option<Instant>,
    timeout_at: Option<Instant>,
    ttl_at: Option<Instant>,
}

impl Heartbeat {
    pub fn new(config: HeartbeatConfig) -> Heartbeat {
        let interval = positive_ms(config.interval_ms);
        let timeout = if config.timeout_ms < 0 { interval } else { positive_ms(config.timeout_ms) };
        Heartbeat {
            interval,
            timeout,
            ttl_deciseconds: config.ttl_deciseconds,
            next_ping: None,
            timeout_at: None,
            ttl_at: None,
        }
    }

    /// The handshake is complete.
    pub fn on_established(&mut self, now: Instant) {
        self.next_ping = after(now, self.interval);
    }

    /// A message or a command has come from the peer. Cheap; once a batch of them is enough.
    #[inline]
    pub fn on_traffic(&mut self) {
        self.timeout_at = None;
        self.ttl_at = None;
    }

    /// The traffic was a PING with this TTL; to be called after [`Heartbeat::on_traffic`].
    pub fn on_ping(&mut self, now: Instant, ttl_deciseconds: u16) {
        if self.ttl_at.is_none() && ttl_deciseconds > 0 {
            let ttl = Duration::from_millis(u64::from(ttl_ms(ttl_deciseconds)));
            self.ttl_at = after(now, Some(ttl));
        }
    }

    /// What has become due at `now`. Silence that lasted too long comes before another PING.
    pub fn handle_timeout(&mut self, now: Instant) -> HeartbeatAction {
        let due = |timer: Option<Instant>| timer.is_some_and(|at| at <= now);
        if due(self.timeout_at) || due(self.ttl_at) {
            return HeartbeatAction::Expired;
        }
        if !due(self.next_ping) {
            return HeartbeatAction::None;
        }
        self.next_ping = after(now, self.interval);
        if self.timeout_at.is_none() {
            self.timeout_at = after(now, self.timeout);
        }
        HeartbeatAction::SendPing
    }

    /// When to call [`Heartbeat::handle_timeout`] next, if ever.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.next_ping, self.timeout_at, self.ttl_at].into_iter().flatten().min()
    }

    /// The command to send for [`HeartbeatAction::SendPing`].
    pub fn ping(&self) -> Command<'static> {
        Command::Ping { ttl_deciseconds: self.ttl_deciseconds, context: &[] }
    }
}

fn positive_ms(ms: i32) -> Option<Duration> {
    u64::try_from(ms).ok().filter(|&ms| ms > 0).map(Duration::from_millis)
}

fn after(now: Instant, delay: Option<Duration>) -> Option<Instant> {
    delay.and_then(|delay| now.checked_add(delay))
}

#[cfg(test)]
mod tests {
    use super::HeartbeatAction::{Expired, None as Nothing, SendPing};
    use super::*;

    struct Clock(Instant);

    impl Clock {
        fn at(&self, ms: u64) -> Instant {
            self.0 + Duration::from_millis(ms)
        }
    }

    fn heartbeat(interval_ms: i32, timeout_ms: i32) -> (Heartbeat, Clock) {
        let clock = Clock(Instant::now());
        let config = HeartbeatConfig { interval_ms, timeout_ms, ttl_deciseconds: 7 };
        let mut heartbeat = Heartbeat::new(config);
        assert_eq!(heartbeat.poll_timeout(), None);
        heartbeat.on_established(clock.at(0));
        (heartbeat, clock)
    }

    #[test]
    fn off_by_default() {
        let mut heartbeat = Heartbeat::new(HeartbeatConfig::default());
        let now = Instant::now();
        heartbeat.on_established(now);
        assert_eq!(heartbeat.poll_timeout(), None);
        assert_eq!(heartbeat.handle_timeout(now + Duration::from_secs(86_400)), Nothing);
    }

    #[test]
    fn pings_at_the_interval_while_there_is_traffic() {
        let (mut heartbeat, clock) = heartbeat(100, -1);
        assert_eq!(heartbeat.ping(), Command::Ping { ttl_deciseconds: 7, context: b"" });
        for round in 1..5 {
            assert_eq!(heartbeat.poll_timeout(), Some(clock.at(100 * round)));
            assert_eq!(heartbeat.handle_timeout(clock.at(100 * round - 1)), Nothing);
            assert_eq!(heartbeat.handle_timeout(clock.at(100 * round)), SendPing);
            heartbeat.on_traffic();
        }
    }

    #[test]
    fn the_timeout_runs_from_the_first_unanswered_ping() {
        let (mut heartbeat, clock) = heartbeat(100, 250);
        for ms in [100, 200, 300] {
            assert_eq!(heartbeat.handle_timeout(clock.at(ms)), SendPing);
        }
        assert_eq!(heartbeat.poll_timeout(), Some(clock.at(350)));
        assert_eq!(heartbeat.handle_timeout(clock.at(349)), Nothing);
        assert_eq!(heartbeat.clone().handle_timeout(clock.at(350)), Expired);
        heartbeat.on_traffic();
        assert_eq!(heartbeat.handle_timeout(clock.at(350)), Nothing);
        assert_eq!(heartbeat.handle_timeout(clock.at(400)), SendPing);
    }

    #[test]
    fn the_timeout_is_the_interval_unless_given() {
        let (mut first, clock) = heartbeat(100, -1);
        assert_eq!(first.handle_timeout(clock.at(100)), SendPing);
        assert_eq!(first.handle_timeout(clock.at(200)), Expired);
        let (mut second, clock) = heartbeat(100, 0);
        for round in 1..10 {
            assert_eq!(second.handle_timeout(clock.at(100 * round)), SendPing);
        }
    }

    #[test]
    fn the_ttl_of_the_peer() {
        let (mut heartbeat, clock) = heartbeat(0, -1);
        heartbeat.on_ping(clock.at(0), 0);
        assert_eq!(heartbeat.poll_timeout(), None);
        heartbeat.on_ping(clock.at(0), 3);
        heartbeat.on_ping(clock.at(200), 3);
        assert_eq!(heartbeat.poll_timeout(), Some(clock.at(300)));
        heartbeat.on_traffic();
        heartbeat.on_ping(clock.at(250), 1000);
        assert_eq!(heartbeat.handle_timeout(clock.at(100_249)), Nothing);
        assert_eq!(heartbeat.handle_timeout(clock.at(100_250)), Expired);
    }
}
