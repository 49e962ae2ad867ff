// SPDX-License-Identifier: MPL-2.0
//! tcp: listening, accepting, connecting.
//!
//! A listener is made in the thread that binds, so that its errors are those of `zmq_bind`.
//! Connecting is two steps around the wait for writability, which is the caller's.

#![forbid(unsafe_code)]

use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use socket2::{Domain, Socket};

use super::host::{self, Dns};
use super::listener::{Accept, ListenError, accept_with, listening};
use super::{Kind, SocketSettings, Stream, sockopt, sys};
use crate::endpoint::{Host, Transport};
use crate::errno::{Error, Result};

/// A listening tcp socket.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    transport: Transport,
    path: String,
    endpoint: Vec<u8>,
    settings: SocketSettings,
}

#[derive(Debug)]
struct Shared {
    socket: Socket,
    /// Another process may have the descriptor that was given, and listen on.
    adopted: bool,
    stopped: AtomicBool,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if *self.stopped.get_mut() {
            STOPPED.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Listeners that were stopped and still have their descriptors.
static STOPPED: AtomicUsize = AtomicUsize::new(0);
/// Beyond them a listener is left to its I/O thread, so that who binds and unbinds without a pause
/// does not use the descriptors up.
const MOST_STOPPED: usize = 16;

/// Stops a listener from any thread: its port can be bound again at once, and the I/O thread that
/// has the listener closes it when it comes to that.
#[derive(Debug)]
pub struct Stopper(Weak<Shared>);

impl Stopper {
    /// The descriptor of the listener, which listens no more. `None`: the I/O thread is to end it.
    pub fn stop(&self) -> Option<RawFd> {
        let shared = self.0.upgrade().filter(|shared| !shared.adopted)?;
        if STOPPED.fetch_add(1, Ordering::Relaxed) >= MOST_STOPPED {
            STOPPED.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        shared.stopped.store(true, Ordering::Release);
        // A socket that listens no more is no obstacle to SO_REUSEADDR. Should this fail, the port
        // is free when the listener is closed.
        let _ = shared.socket.shutdown(Shutdown::Both);
        Some(shared.socket.as_raw_fd())
    }
}

/// Listens on `host` and `port`, 0 for a port the system chooses. DNS names are looked up at
/// once.
///
/// # Errors
/// NODEV for an unknown host, INVAL for an unknown zone, and those of [`listen_on`].
pub fn listen(host: &Host, port: u16, settings: &SocketSettings) -> Result<Listener, ListenError> {
    listen_on(host::resolve_local(host, port, settings.ipv6, Dns::Allowed)?, settings)
}

/// Listens on `addr`.
///
/// # Errors
/// Those of bind(2) and listen(2): ADDRINUSE, ADDRNOTAVAIL, ACCES, ...; PERM for a priority that
/// takes a privilege, NODEV for an unknown device to bind to.
pub fn listen_on(addr: SocketAddr, settings: &SocketSettings) -> Result<Listener, ListenError> {
    let socket = listening(sockopt::open_tcp(&addr, settings)?, |socket| {
        // So that a port whose old connections linger in TIME_WAIT can be had again.
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        Ok(socket.listen(settings.backlog)?)
    })?;
    Ok(Listener::new(socket, false, settings)?)
}

/// Listens on the descriptor of `ZMQ_USE_FD`, which the listener then owns.
///
/// # Errors
/// BADF or NOTSOCK when it is no socket, INVAL when it does not listen or is not one of IP; it
/// then still is the application's.
pub fn adopt(descriptor: RawFd, settings: &SocketSettings) -> Result<Listener> {
    let socket = sys::adopt_listener(descriptor, &[Domain::IPV4, Domain::IPV6])?;
    Listener::new(socket, true, settings)
}

impl Listener {
    fn new(socket: Socket, adopted: bool, settings: &SocketSettings) -> Result<Listener> {
        let local_addr = socket.local_addr()?.as_socket().ok_or(Error::AFNOSUPPORT)?;
        let endpoint = host::endpoint_text(Transport::Tcp, &local_addr).into_bytes();
        let shared = Shared { socket, adopted, stopped: AtomicBool::new(false) };
        Ok(Listener {
            shared: Arc::new(shared),
            local_addr,
            transport: Transport::Tcp,
            path: String::new(),
            endpoint,
            settings: settings.clone(),
        })
    }

    /// The same for a transport over tcp, whose endpoints have this path (empty for none).
    pub fn carrying(self, transport: Transport, path: String) -> Listener {
        let endpoint = host::endpoint_text(transport, &self.local_addr) + &path;
        Listener { transport, path, endpoint: endpoint.into_bytes(), ..self }
    }

    /// One attempt to accept a connection; see [`Listener::accept`](super::Listener::accept).
    pub fn accept(&self) -> Result<Accept> {
        let result = accept_with(self.shared.socket.as_fd(), |descriptor| {
            let socket = Socket::from(descriptor);
            sockopt::mark_traffic(socket.as_fd(), &self.settings)?;
            sockopt::tune_tcp(&socket, &self.settings)?;
            Ok(Stream::from_socket(socket, Kind::Tcp))
        });
        match result {
            Err(_) if self.is_stopped() => Ok(Accept::WouldBlock),
            result => result,
        }
    }

    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::downgrade(&self.shared))
    }

    /// Whether a [`Stopper`] has come first.
    pub fn is_stopped(&self) -> bool {
        self.shared.stopped.load(Ordering::Acquire)
    }

    /// The endpoint bound to, in digits.
    pub fn endpoint(&self) -> &[u8] {
        &self.endpoint
    }

    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// What ends the endpoints of its connections.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The address bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.shared.socket.as_raw_fd()
    }
}

/// A stream to connect to `addr` with [`connect_stream`].
///
/// # Errors
/// Those of socket(2) and of the options set before a connect.
pub fn open(addr: SocketAddr, settings: &SocketSettings) -> Result<Stream> {
    Ok(Stream::from_socket(sockopt::open_tcp(&addr, settings)?, Kind::Tcp))
}

/// Starts connecting to `addr`, from the address `source` if there is one. True: connected
/// already. Otherwise wait for writability, then call [`connect_finish`].
///
/// # Errors
/// Those of bind(2) and connect(2). Each of them is a failed attempt that may be repeated after
/// the reconnect interval.
pub fn connect_stream(
    stream: &Stream,
    addr: SocketAddr,
    source: Option<SocketAddr>,
    settings: &SocketSettings,
) -> Result<bool> {
    let socket = stream.socket();
    if let Some(source) = source {
        // One source port may serve connections to several peers.
        socket.set_reuse_address(true)?;
        socket.bind(&source.into())?;
    }
    match socket.connect(&addr.into()).map_err(Error::from) {
        Ok(()) => sockopt::tune_tcp(socket, settings).map(|()| true),
        // After a signal the connect goes on without the caller, as connect(2) says.
        Err(Error::INPROGRESS | Error::INTR) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Finishes a connect whose stream became writable.
///
/// # Errors
/// Why it failed. CONNREFUSED is what `ZMQ_RECONNECT_STOP_CONN_REFUSED` asks for; like every other
/// error it may be followed by another attempt.
pub fn connect_finish(stream: &Stream, settings: &SocketSettings) -> Result<()> {
    if let Some(error) = stream.socket().take_error()? {
        return Err(error.into());
    }
    sockopt::tune_tcp(stream.socket(), settings)
}

#[cfg(test)]
mod tests {
    use super::super::{Accepted, Keepalive, ReadOutcome, WriteOutcome, poll_fds};
    use super::*;
    use std::net::Ipv4Addr;
    use std::os::fd::IntoRawFd;
    use std::time::Duration;

    const LOOPBACK: Host = Host::V4(Ipv4Addr::LOCALHOST);

    fn name(name: &str) -> Host {
        Host::Name { name: name.to_owned(), zone: None }
    }

    fn wait(fd: RawFd, events: libc::c_short) {
        let mut fds = [libc::pollfd { fd, events, revents: 0 }];
        assert_eq!(poll_fds(&mut fds, Some(Duration::from_secs(10))), Ok(1));
    }

    fn accepted(listener: &Listener) -> Accepted {
        wait(listener.as_raw_fd(), libc::POLLIN);
        match listener.accept().unwrap() {
            Accept::Accepted(accepted) => accepted,
            other => panic!("{other:?}"),
        }
    }

    fn connected(addr: SocketAddr, settings: &SocketSettings) -> Stream {
        let stream = open(addr, settings).unwrap();
        if !connect_stream(&stream, addr, None, settings).unwrap() {
            wait(stream.fd(), libc::POLLOUT);
            connect_finish(&stream, settings).unwrap();
        }
        stream
    }

    #[test]
    fn listen_connect_accept() {
        let settings = SocketSettings {
            keepalive: Keepalive { on: Some(true), ..Keepalive::default() },
            maxrt: 1234,
            tos: 8,
            ..SocketSettings::default()
        };
        let listener = listen(&LOOPBACK, 0, &settings).unwrap();
        let addr = listener.local_addr();
        assert_eq!(listener.endpoint(), format!("tcp://{addr}").as_bytes());
        let listener = listener.carrying(Transport::Ws, "/path".to_owned());
        assert_eq!(listener.endpoint(), format!("ws://{addr}/path").as_bytes());
        assert_eq!((listener.transport(), listener.path()), (Transport::Ws, "/path"));
        let listener = listener.carrying(Transport::Tcp, String::new());
        assert!(matches!(listener.accept(), Ok(Accept::WouldBlock)));

        let client = connected(addr, &settings);
        let Accepted { stream: server, peer } = accepted(&listener);
        assert_eq!(peer, Some(client.local_addr().unwrap()));
        assert_eq!(server.peer_address().as_deref(), Some("127.0.0.1"));
        assert_eq!(server.local_endpoint(), listener.endpoint());
        assert_eq!(client.remote_endpoint(), listener.endpoint());
        assert_eq!(client.local_endpoint(), server.remote_endpoint());
        assert!(!client.is_connected_to_itself());
        assert_eq!(server.credentials(), Err(Error::AFNOSUPPORT));
        for stream in [&client, &server] {
            let socket = stream.socket();
            assert!(socket.nonblocking().unwrap() && sys::is_close_on_exec(socket.as_fd()));
            assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_millis(1234)));
            assert_eq!(socket.tos_v4().unwrap(), 8);
            assert_eq!(
                socket.tcp_congestion().unwrap().split(|&byte| byte == 0).next(),
                Some(&b"reno"[..])
            );
        }

        assert_eq!(client.write_one(b"hello"), Ok(WriteOutcome::Wrote(5)));
        wait(server.fd(), libc::POLLIN);
        assert_eq!(server.read_into(&mut [0; 8]), Ok(ReadOutcome::Read(5)));
        drop(client);
        wait(server.fd(), libc::POLLIN);
        assert_eq!(server.read_into(&mut [0; 8]), Ok(ReadOutcome::Closed));
    }

    #[test]
    fn a_tiny_send_buffer_writes_in_parts_and_blocks() {
        let settings =
            SocketSettings { sndbuf: Some(4096), rcvbuf: Some(4096), ..SocketSettings::default() };
        let listener = listen(&LOOPBACK, 0, &settings).unwrap();
        let client = connected(listener.local_addr(), &settings);
        let server = accepted(&listener).stream;

        let data: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        let (mut sent, mut received) = (0, Vec::new());
        let (mut blocked, mut parts) = (0, 0);
        while received.len() < data.len() {
            if sent < data.len() {
                match client.write_one(&data[sent..]).unwrap() {
                    WriteOutcome::Wrote(count) => {
                        assert!(count > 0);
                        parts += usize::from(sent + count < data.len());
                        sent += count;
                        continue;
                    }
                    WriteOutcome::WouldBlock => blocked += 1,
                }
            }
            let mut buffer = [0; 8192];
            wait(server.fd(), libc::POLLIN);
            if let ReadOutcome::Read(count) = server.read_into(&mut buffer).unwrap() {
                received.extend_from_slice(&buffer[..count]);
            }
        }
        assert!(blocked > 0 && parts > 0);
        assert!(received == data);
    }

    #[test]
    fn a_port_in_use_and_an_address_of_somebody_else() {
        let settings = SocketSettings::default();
        let listener = listen(&Host::Any, 0, &settings).unwrap();
        let port = listener.local_addr().port();
        assert_eq!(listener.endpoint(), format!("tcp://0.0.0.0:{port}").as_bytes());
        assert_eq!(listen(&Host::Any, port, &settings).unwrap_err().error, Error::ADDRINUSE);
        assert_eq!(
            listen(&Host::V4([192, 0, 2, 1].into()), 0, &settings).unwrap_err().error,
            Error::ADDRNOTAVAIL
        );
        assert_eq!(listen(&name("no name"), 0, &settings).unwrap_err().error, Error::NODEV);
        assert_eq!(
            listen(&Host::V6 { addr: 1.into(), zone: None }, 0, &settings).unwrap_err().error,
            Error::NODEV
        );

        // A connection that the listener's end closed first keeps the port for a while.
        let client = connected(format!("127.0.0.1:{port}").parse().unwrap(), &settings);
        drop(accepted(&listener));
        drop((listener, client));
        listen(&Host::Any, port, &settings).unwrap();
    }

    #[test]
    fn an_ipv6_listener_takes_ipv4_connections() {
        if !sys::ipv6_supported() {
            return;
        }
        let settings = SocketSettings { ipv6: true, ..SocketSettings::default() };
        let listener = listen(&Host::Any, 0, &settings).unwrap();
        let port = listener.local_addr().port();
        assert_eq!(listener.endpoint(), format!("tcp://[::]:{port}").as_bytes());
        let addr = format!("127.0.0.1:{port}").parse().unwrap();
        let _client = connected(addr, &SocketSettings::default());
        let server = accepted(&listener).stream;
        assert_eq!(server.peer_address().as_deref(), Some("::ffff:127.0.0.1"));
    }

    #[test]
    fn nobody_listens() {
        let settings = SocketSettings::default();
        let listener = listen(&name("lo"), 0, &settings).unwrap();
        let addr = listener.local_addr();
        drop(listener);
        let stream = open(addr, &settings).unwrap();
        assert_eq!(connect_stream(&stream, addr, None, &settings), Ok(false));
        wait(stream.fd(), libc::POLLOUT);
        assert_eq!(connect_finish(&stream, &settings), Err(Error::CONNREFUSED));
    }

    #[test]
    fn a_source_address() {
        let settings = SocketSettings::default();
        let listener = listen(&LOOPBACK, 0, &settings).unwrap();
        let addr = listener.local_addr();
        let source = "127.0.0.2:0".parse::<SocketAddr>().unwrap();
        let stream = open(addr, &settings).unwrap();
        connect_stream(&stream, addr, Some(source), &settings).unwrap();
        let Accepted { peer, .. } = accepted(&listener);
        assert_eq!(peer.unwrap().ip(), source.ip());

        let foreign = "192.0.2.1:0".parse().unwrap();
        let stream = open(addr, &settings).unwrap();
        let result = connect_stream(&stream, addr, Some(foreign), &settings);
        assert_eq!(result, Err(Error::ADDRNOTAVAIL));
    }

    #[test]
    fn a_connection_to_itself() {
        let settings = SocketSettings::default();
        let listener = listen(&LOOPBACK, 0, &settings).unwrap();
        let addr = listener.local_addr();
        drop(listener);
        let stream = open(addr, &settings).unwrap();
        connect_stream(&stream, addr, Some(addr), &settings).unwrap();
        wait(stream.fd(), libc::POLLOUT);
        connect_finish(&stream, &settings).unwrap();
        assert!(stream.is_connected_to_itself());
    }

    #[test]
    fn a_descriptor_of_the_application() {
        let made = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = made.local_addr().unwrap();
        let settings = SocketSettings::default();
        let listener = adopt(made.into_raw_fd(), &settings).unwrap();
        assert_eq!(listener.endpoint(), format!("tcp://{addr}").as_bytes());
        let _client = connected(addr, &settings);
        accepted(&listener);
        assert_eq!(adopt(-5, &settings).unwrap_err(), Error::BADF);
    }
}
