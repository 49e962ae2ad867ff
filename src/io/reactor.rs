// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The I/O thread's loop.

use super::datagram::DatagramSpec;
use super::leaving::Leaving;
use super::listener::Listening;
use super::session::{ConnectSpec, ListenSpec, Session};
use super::timers::Timers;
use super::{SocketPort, next_id};
use crate::engine::{ASYNC_ONLY, Home, Link, Progress, Request, RxSet, Watch};
use crate::errno::Result;
use crate::pipe::asymmetric::heavy_fence;
use crate::transport::workers::Workers;
use crate::transport::{self, Resolver, Thread};
use crate::zmtp::Work;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long the I/O thread rests between two looks at connections it has promised to write to, at
/// first. Once a stream has been full for [`FULL_LOOKS`] the rest is twice as long, and twice again.
const PROMISE_REST: Duration = Duration::from_micros(50);
const FULL_LOOKS: u32 = 8;
const REST_DOUBLINGS: u32 = 4;
/// A stream is full if two rests bring a batch; longer ones than this must bring as much more.
const FULL_REST_DOUBLINGS: u32 = 2;
/// The I/O thread's rests end this close to their time.
const TIMER_SLACK_NS: u64 = 1000;
/// How long a sender may pause before what it began as a stream counts as ended: the I/O thread
/// has just been woken for it, and the last message of a short burst should not rest.
const BURST_PAUSE: Duration = Duration::from_micros(5);
/// When less than this was appended to all connections with promises between two looks, in bytes,
/// there is no stream any more.
const STREAM_VOLUME: u64 = if ASYNC_ONLY { 1 } else { 2048 };
/// So many promises at a time are a crowd. What goes to one of them goes to many, each of which
/// gets little between two looks: a stream is what goes to all of them.
const CROWD: usize = 32;
/// In a crowd a promise lasts so many looks that find nothing.
const QUIET_LOOKS: u8 = 16;
/// In a crowd the rests get longer while a write has less than this, in bytes.
const CROWD_WRITE: u64 = 8 * 1024;
/// How often the claims on read sets are looked after.
const CLAIM_TICK: Duration = Duration::from_millis(4);
/// Ticks without a claim before they stop.
const IDLE_TICKS: u32 = 10;

const WAKER: Token = Token(0);

/// What a token stands for: the low two bits of the number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A listener, a connecting or a handshaking session, a stream that leaves.
    Own = 0,
    /// A read set.
    Set = 1,
    /// An established connection whose kernel buffer was full.
    Output = 2,
}

pub(super) fn token(id: u64, source: Source) -> Token {
    Token((id as usize) << 2 | source as usize)
}

/// What others ask of an I/O thread.
pub enum Command {
    Listen(Box<ListenSpec>),
    Connect(Box<ConnectSpec>),
    Datagrams(Box<DatagramSpec>),
    /// Something about a link, by the number of its session.
    Request(u64, Request),
    /// Close a listener and its connections, or a connecting session.
    CloseEndpoint {
        endpoint: u64,
        linger: i32,
    },
    /// Close everything of a socket.
    CloseSocket {
        socket: u64,
        linger: i32,
    },
    AddSet {
        id: u64,
        set: Weak<RxSet>,
        port: Arc<dyn SocketPort>,
    },
    RemoveSet(u64),
    ReadSet(u64),
    TickSet(u64),
    Resolved(u64, Result<SocketAddr>),
    /// The ZAP handler has answered the handshake of this session, or is gone.
    Zap(u64),
    /// A step of the mechanism of this session was taken.
    Worked(u64, Weak<()>, Box<Work>),
    Stop,
}

/// Access to an I/O thread from others.
pub struct IoHandle {
    commands: Mutex<Vec<Command>>,
    waker: Waker,
    /// The thread has been woken and has not looked yet.
    woken: AtomicBool,
    registry: Registry,
    load: AtomicUsize,
    /// See [`RxSet::stream_look`].
    stream_looks: Arc<AtomicU64>,
    /// See [`Home::crowd`].
    crowd: AtomicU64,
}

impl IoHandle {
    pub fn post(&self, command: Command) {
        self.commands.lock().push(command);
        if !self.woken.swap(true, Ordering::AcqRel) {
            // The waker fails only when its counter is full, and then the thread is awake.
            let _ = self.waker.wake();
        }
    }

    /// Listeners and sessions on this thread.
    pub fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    pub fn add_load(&self, amount: isize) {
        self.load.fetch_add(amount as usize, Ordering::Relaxed);
    }

    /// A read set watched by this thread.
    pub fn read_set(self: &Arc<IoHandle>, port: Arc<dyn SocketPort>) -> Result<Arc<RxSet>> {
        let id = next_id();
        let watch = SetWatch { home: self.clone(), id };
        let set = Arc::new(RxSet::new(Box::new(watch), self.stream_looks.clone())?);
        self.post(Command::AddSet { id, set: Arc::downgrade(&set), port });
        Ok(set)
    }
}

impl Home for IoHandle {
    fn request(&self, token: usize, request: Request) {
        self.post(Command::Request(token as u64, request));
    }

    fn crowd(&self) -> u64 {
        self.crowd.load(Ordering::Relaxed)
    }
}

struct SetWatch {
    home: Arc<IoHandle>,
    id: u64,
}

impl Watch for SetWatch {
    fn watch(&self, fd: RawFd) {
        let token = token(self.id, Source::Set);
        if self.home.registry.register(&mut SourceFd(&fd), token, Interest::READABLE).is_err() {
            self.read_now();
        }
    }

    fn unwatch(&self, fd: RawFd) {
        let _ = self.home.registry.deregister(&mut SourceFd(&fd));
    }

    fn read_now(&self) {
        self.home.post(Command::ReadSet(self.id));
    }

    fn tick(&self) {
        self.home.post(Command::TickSet(self.id));
    }
}

impl Drop for SetWatch {
    fn drop(&mut self) {
        self.home.post(Command::RemoveSet(self.id));
    }
}

/// A running I/O thread.
pub struct IoThread {
    pub handle: Arc<IoHandle>,
    thread: Option<Thread>,
}

impl IoThread {
    /// Starts a thread of this name; `prepare` runs on it first (affinity, priority).
    pub fn start(
        name: String,
        resolver: Arc<Resolver>,
        prepare: Box<dyn FnOnce() + Send>,
    ) -> Result<IoThread> {
        let poll = Poll::new()?;
        let handle = Arc::new(IoHandle {
            commands: Mutex::new(Vec::new()),
            waker: Waker::new(poll.registry(), WAKER)?,
            woken: AtomicBool::new(false),
            registry: poll.registry().try_clone()?,
            load: AtomicUsize::new(0),
            crowd: AtomicU64::new(0),
            stream_looks: Arc::default(),
        });
        let mut reactor = Reactor::new(poll, handle.clone(), resolver);
        let thread = Thread::start(&name, move || {
            prepare();
            transport::set_timer_slack(TIMER_SLACK_NS);
            reactor.run();
        })?;
        Ok(IoThread { handle, thread: Some(thread) })
    }

    /// Ends the thread once its sessions are gone.
    pub fn stop(&mut self) {
        self.handle.post(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// Try to connect (again).
    Connect(u64),
    /// The attempt to connect takes too long.
    ConnectTimeout(u64),
    Handshake(u64),
    Heartbeat(u64),
    Linger(u64),
    /// The peer of a stream that leaves takes too long to close.
    Leave(u64),
    /// Accept again, after descriptors ran out.
    Accept(u64),
}

struct WatchedSet {
    set: Weak<RxSet>,
    port: Arc<dyn SocketPort>,
    ticking: bool,
    uses: u64,
    idle_ticks: u32,
}

struct Promise {
    session: u64,
    /// What was appended and what was written at the last look.
    appended: u64,
    sent: u64,
    age: Age,
    /// How many looks in a row have found nothing.
    quiet: u8,
    /// The output was given back, but for a last look.
    released: bool,
}

/// How long a promise has been there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    /// Nobody has looked yet.
    New,
    /// One look.
    Fresh,
    Settled,
}

/// One look at all promises.
struct Look {
    /// Bytes appended to all of them before the last look.
    volume: u64,
    crowd: bool,
    /// Writes, and their bytes.
    writes: u64,
    written: u64,
    /// The thread that left the connection looked at last, and how many in a row are from it.
    thread: u64,
    in_a_row: usize,
}

pub(super) struct Reactor {
    poll: Poll,
    pub(super) handle: Arc<IoHandle>,
    pub(super) resolver: Arc<Resolver>,
    /// For steps of a handshake that may wait for others than the peer.
    pub(super) workers: Workers,
    pub(super) sessions: HashMap<u64, Session>,
    pub(super) listeners: HashMap<u64, Listening>,
    pub(super) leaving: HashMap<u64, Leaving>,
    sets: HashMap<u64, WatchedSet>,
    pub(super) timers: Timers<Timer>,
    promises: Vec<Promise>,
    /// Of the outputs given back some take a heavy fence before the last look.
    released_from_streams: bool,
    /// Some promises are fresh.
    fresh_promises: bool,
    /// Bytes appended to them between the last two looks.
    promised_volume: u64,
    /// How many looks in a row have found a stream whose sender writes all of it.
    full_looks: u32,
    /// How often the rest was doubled for a crowd.
    crowd_doublings: u32,
    /// Looks at promises so far.
    looks: u64,
    ticking: usize,
    next_tick: Instant,
    pub(super) now: Instant,
    stopping: bool,
}

impl Reactor {
    fn new(poll: Poll, handle: Arc<IoHandle>, resolver: Arc<Resolver>) -> Reactor {
        Reactor {
            poll,
            handle,
            resolver,
            workers: Workers::new("ZMQbg/Handshake"),
            sessions: HashMap::new(),
            listeners: HashMap::new(),
            leaving: HashMap::new(),
            sets: HashMap::new(),
            timers: Timers::new(),
            promises: Vec::new(),
            released_from_streams: false,
            fresh_promises: false,
            promised_volume: 0,
            full_looks: 0,
            crowd_doublings: 0,
            looks: 0,
            ticking: 0,
            next_tick: Instant::now(),
            now: Instant::now(),
            stopping: false,
        }
    }

    fn run(&mut self) {
        let mut events = Events::with_capacity(256);
        while !self.stopping || !self.sessions.is_empty() || !self.listeners.is_empty() {
            self.wait(&mut events);
            self.now = Instant::now();
            for event in events.iter() {
                self.handle_event(event);
            }
            self.handle_commands();
            while let Some((id, timer)) = self.timers.pop_due(self.now) {
                self.handle_timer(id, timer);
            }
            self.keep_promises();
            self.look_after_claims();
        }
    }

    fn wait(&mut self, events: &mut Events) {
        let mut timeout = self.timers.next_due().map(|at| at.saturating_duration_since(self.now));
        if self.ticking > 0 {
            let tick = self.next_tick.saturating_duration_since(self.now);
            timeout = Some(timeout.map_or(tick, |timeout| timeout.min(tick)));
        }
        let promised = !self.promises.is_empty();
        self.looks += u64::from(promised);
        self.handle.stream_looks.store(if promised { self.looks } else { 0 }, Ordering::Relaxed);
        if ASYNC_ONLY && promised {
            timeout = Some(Duration::ZERO);
        } else if promised {
            self.rest();
            timeout = Some(Duration::ZERO);
        }
        if self.poll.poll(events, timeout).is_err() {
            events.clear();
        }
    }

    /// Leaves connections with promises to their senders for a while.
    fn rest(&self) {
        if self.fresh_promises {
            let begin = Instant::now();
            while begin.elapsed() < BURST_PAUSE {
                transport::sched_yield();
            }
            return;
        }
        // mio counts in milliseconds; this rest is shorter.
        let mut fds =
            [libc::pollfd { fd: self.poll.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
        let rest = PROMISE_REST * (1 << self.rest_doublings());
        let _ = transport::poll_fds(&mut fds, Some(rest));
    }

    fn rest_doublings(&self) -> u32 {
        (self.full_looks / FULL_LOOKS).min(REST_DOUBLINGS).max(self.crowd_doublings)
    }

    fn handle_event(&mut self, event: &mio::event::Event) {
        if event.token() == WAKER {
            return;
        }
        let id = (event.token().0 >> 2) as u64;
        match event.token().0 & 3 {
            0 => {
                if self.listeners.contains_key(&id) {
                    self.accept(id);
                } else if !self.leaving_ready(id) {
                    self.session_ready(id);
                }
            }
            1 => self.read_set(id),
            _ => self.write_session(id),
        }
    }

    fn handle_commands(&mut self) {
        self.handle.woken.store(false, Ordering::Release);
        let commands = std::mem::take(&mut *self.handle.commands.lock());
        for command in commands {
            match command {
                Command::Listen(spec) => self.listen(*spec),
                Command::Connect(spec) => self.connect(*spec),
                Command::Datagrams(spec) => self.begin_datagrams(*spec),
                Command::Request(id, request) => self.handle_request(id, request),
                Command::CloseEndpoint { endpoint, linger } => {
                    self.close_endpoint(endpoint, linger);
                }
                Command::CloseSocket { socket, linger } => self.close_socket(socket, linger),
                Command::AddSet { id, set, port } => {
                    let watched = WatchedSet { set, port, ticking: false, uses: 0, idle_ticks: 0 };
                    self.sets.insert(id, watched);
                    self.read_set(id);
                }
                Command::RemoveSet(id) => {
                    if self.sets.remove(&id).is_some_and(|set| set.ticking) {
                        self.ticking -= 1;
                    }
                }
                Command::ReadSet(id) => self.read_set(id),
                Command::TickSet(id) => {
                    if let Some(set) = self.sets.get_mut(&id)
                        && !set.ticking
                    {
                        set.ticking = true;
                        set.idle_ticks = 0;
                        self.ticking += 1;
                        self.next_tick = self.now + CLAIM_TICK;
                    }
                }
                Command::Resolved(id, address) => self.resolved(id, address),
                Command::Zap(id) => self.continue_handshake(id),
                Command::Worked(id, mark, work) => self.handshake_worked(id, &mark, *work),
                Command::Stop => self.stopping = true,
            }
        }
    }

    fn handle_request(&mut self, id: u64, request: Request) {
        match request {
            Request::Promise => self.promise(id),
            Request::Blocked => self.watch_output(id),
            Request::WriteFailed(error) => self.write_failed(id, error),
            Request::Failed(failure) => self.traffic_failed(id, failure),
            Request::PipeClosed => self.pipe_closed(id),
            Request::PingTtl { deciseconds, traffic } => {
                self.ping_ttl(id, deciseconds, traffic);
            }
        }
    }

    // Reading for sockets nobody waits on.

    fn read_set(&mut self, id: u64) {
        let Some(set) = self.sets.get(&id).and_then(|watched| watched.set.upgrade()) else {
            return;
        };
        if set.io_read() {
            self.handle.post(Command::ReadSet(id));
        }
    }

    fn look_after_claims(&mut self) {
        if self.ticking == 0 || self.now < self.next_tick {
            return;
        }
        self.next_tick = self.now + CLAIM_TICK;
        for watched in self.sets.values_mut() {
            if !watched.ticking {
                continue;
            }
            let Some(set) = watched.set.upgrade() else { continue };
            let uses = set.uses();
            if set.is_claimed() && uses == watched.uses {
                watched.port.take_back();
            }
            watched.uses = uses;
            let idle = !set.is_claimed() || set.has_sleepers();
            watched.idle_ticks = if idle { watched.idle_ticks + 1 } else { 0 };
            if watched.idle_ticks > IDLE_TICKS && set.stop_ticking() {
                watched.ticking = false;
                self.ticking -= 1;
            }
        }
    }

    // Writing what others leave.

    pub(super) fn promise(&mut self, id: u64) {
        if let Some(session) = self.sessions.get_mut(&id)
            && !std::mem::replace(&mut session.promised, true)
        {
            let settled = ASYNC_ONLY || self.promises.len() >= CROWD;
            let age = if settled { Age::Settled } else { Age::New };
            self.promises.push(Promise {
                session: id,
                appended: 0,
                sent: 0,
                age,
                quiet: 0,
                released: false,
            });
        }
    }

    /// A stream's messages are written by the sender itself, batch by batch; what it leaves behind
    /// when it pauses is written here. Once the stream has become a trickle the output is given
    /// back, so that every message is written at once again.
    fn keep_promises(&mut self) {
        self.fresh_promises = false;
        self.full_looks =
            if self.promises.is_empty() { 0 } else { self.full_looks.saturating_add(1) };
        let mut promises = std::mem::take(&mut self.promises);
        let mut look = Look {
            volume: std::mem::take(&mut self.promised_volume),
            crowd: !ASYNC_ONLY && promises.len() >= CROWD,
            writes: 0,
            written: 0,
            thread: 0,
            in_a_row: 0,
        };
        promises.retain_mut(|promise| {
            self.keep_promise(promise, &mut look) || self.end_promise(promise)
        });
        let crowd = if look.in_a_row >= CROWD { look.thread } else { 0 };
        self.handle.crowd.store(crowd, Ordering::Relaxed);
        let small = look.writes >= CROWD as u64 && look.written < CROWD_WRITE * look.writes;
        self.crowd_doublings = if look.crowd && small {
            (self.crowd_doublings + 1).min(REST_DOUBLINGS)
        } else {
            self.crowd_doublings.saturating_sub(1)
        };
        if promises.iter().any(|promise| promise.released) {
            if std::mem::take(&mut self.released_from_streams) {
                heavy_fence();
            }
            promises.retain_mut(|promise| {
                !std::mem::take(&mut promise.released)
                    || self.link(promise.session).is_some_and(|link| !link.was_released())
                    || self.end_promise(promise)
            });
        }
        self.promises.append(&mut promises);
    }

    fn link(&self, session: u64) -> Option<Arc<Link>> {
        self.sessions.get(&session)?.link.clone()
    }

    /// Forgets a promise. Always false.
    fn end_promise(&mut self, promise: &Promise) -> bool {
        if let Some(session) = self.sessions.get_mut(&promise.session) {
            session.promised = false;
        }
        false
    }

    /// False: the promise has been taken back.
    fn keep_promise(&mut self, promise: &mut Promise, look: &mut Look) -> bool {
        let Some(link) = self.link(promise.session) else { return false };
        let before = (promise.appended, promise.sent);
        promise.appended = link.appended();
        promise.sent = link.sent();
        let appended = promise.appended - before.0;
        let stream = match std::mem::replace(&mut promise.age, Age::Settled) {
            Age::New => {
                promise.age = Age::Fresh;
                self.fresh_promises = true;
                return true;
            }
            Age::Fresh => appended > 0,
            Age::Settled => {
                promise.quiet = if appended > 0 { 0 } else { promise.quiet.saturating_add(1) };
                match look.crowd {
                    true => promise.quiet < QUIET_LOOKS,
                    false => appended > 0 && appended.max(look.volume) >= STREAM_VOLUME,
                }
            }
        };
        self.promised_volume += appended;
        if look.crowd {
            let thread = link.promised_by();
            look.in_a_row = if thread == look.thread { look.in_a_row + 1 } else { 1 };
            look.thread = thread;
        }
        // Two more rests like this one, or like the longest that counts, and the sender has a batch
        // to write; or it is just writing one, and has written another since the last look.
        let waiting = promise.appended.saturating_sub(promise.sent);
        let batch = link.batch();
        let in_a_rest = appended >> self.rest_doublings().saturating_sub(FULL_REST_DOUBLINGS);
        let full = stream
            && match waiting < batch {
                true => waiting + 2 * in_a_rest >= batch,
                false => promise.sent != before.1 && 2 * in_a_rest >= batch,
            };
        if !full {
            self.full_looks = 0;
        }
        let left_behind = !stream || (promise.sent == before.1 && !full);
        if link.has_waiting() && (left_behind || ASYNC_ONLY) {
            let progress = if look.crowd { link.io_write_once() } else { link.io_write() };
            let keep = self.write_link(promise.session, progress);
            look.writes += 1;
            look.written += link.sent() - promise.sent;
            promise.sent = link.sent();
            if !keep {
                return false;
            }
        }
        promise.released = !stream && link.release(&mut self.released_from_streams);
        true
    }

    /// Acts on a round of writing. True: the promise to write stays.
    pub(super) fn write_link(&mut self, id: u64, progress: Option<Progress>) -> bool {
        match progress {
            None | Some(Progress::More) => true,
            Some(Progress::Drained) => {
                self.output_drained(id);
                true
            }
            Some(Progress::Blocked) => {
                self.watch_output(id);
                false
            }
            Some(Progress::Detached) => false,
            Some(Progress::Failed(error)) => {
                self.handle.post(Command::Request(id, Request::WriteFailed(error)));
                false
            }
        }
    }

    /// The kernel has room again.
    fn write_session(&mut self, id: u64) {
        let Some(link) = self.link(id) else { return };
        match link.io_write() {
            // Still full: the next edge tells.
            Some(Progress::Blocked) => {}
            progress => {
                self.unwatch_output(id);
                if self.write_link(id, progress) {
                    self.promise(id);
                }
            }
        }
    }

    pub(super) fn register(&self, fd: RawFd, id: u64, source: Source, interest: Interest) {
        let token = token(id, source);
        let registry = self.poll.registry();
        if registry.register(&mut SourceFd(&fd), token, interest).is_err() {
            let _ = registry.reregister(&mut SourceFd(&fd), token, interest);
        }
    }

    pub(super) fn deregister(&self, fd: RawFd) {
        let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
    }
}
