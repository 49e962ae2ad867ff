// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! Binding, connecting, and taking either back (zmq_bind(3), zmq_connect(3), zmq_unbind(3)).

use super::open::{Behind, Open};
use crate::abi::*;
use crate::ctx::inproc::Side;
use crate::endpoint::{
    self, BindEndpoint, ConnectEndpoint, Host, IpcAddress, Role, TcpBind, Transport, WsConnect,
    tcp_endpoint,
};
use crate::engine::{Inbound, Link, Outbound};
use crate::errno::{Error, Result};
use crate::io::{
    Command, ConnectSpec, ConnectTo, DatagramSpec, Event, IoHandle, ListenSpec, network_pipe,
    next_id,
};
use crate::options::Options;
use crate::pattern;
use crate::pipe::PipeId;
use crate::transport::host::{self, Dns};
use crate::transport::tls::{ClientTls, ServerTls};
use crate::transport::{ListenError, Listener, SocketSettings, Stream, ipc, plain, tcp, tls, udp};
use std::net::SocketAddr;
use std::sync::Arc;

/// What a socket has bound and connected, under the text that takes it back.
#[derive(Default)]
pub struct Endpoints(Vec<Entry>);

struct Entry {
    key: Vec<u8>,
    /// What `ZMQ_LAST_ENDPOINT` told, where that is not the key: good for taking it back as well.
    told: Vec<u8>,
    what: What,
}

impl Entry {
    fn is(&self, key: &[u8]) -> bool {
        self.key == key || self.told == key
    }
}

enum What {
    /// A listener or connecting session on an I/O thread.
    Remote {
        id: u64,
        home: Arc<IoHandle>,
        connecting: bool,
        /// Of a listener that has a port.
        stopper: Option<tcp::Stopper>,
    },
    InprocBound,
    InprocConnected(PipeId),
}

impl Endpoints {
    fn add(&mut self, key: Vec<u8>, what: What) {
        self.0.push(Entry { told: key.clone(), key, what });
    }

    /// Forgets the endpoint of this number.
    pub fn remove(&mut self, number: u64) {
        self.0.retain(|entry| !matches!(entry.what, What::Remote { id, .. } if id == number));
    }

    fn has_remote(&self, key: &[u8]) -> bool {
        self.0.iter().any(|entry| matches!(entry.what, What::Remote { .. }) && entry.key == key)
    }

    /// Everything under this text; of an inproc name that is bound and connected to, the binding.
    fn take(&mut self, key: &[u8]) -> Vec<Entry> {
        let bound = |entry: &Entry| entry.is(key) && matches!(entry.what, What::InprocBound);
        let only_bound = self.0.iter().any(bound);
        let (taken, kept) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|entry: &Entry| entry.is(key) && (bound(entry) || !only_bound));
        self.0 = kept;
        taken
    }
}

impl Open {
    /// zmq_bind(3)
    pub(super) fn bind(&mut self, uri: &[u8]) -> Result<()> {
        let (transport, address) = endpoint::split(uri)?;
        transport.compatible(self.options.socket_type, Role::Bind)?;
        if transport == Transport::Inproc {
            self.context.inproc.bind(address, self.inproc_side())?;
            // Whoever has waited for the name is attached now, not with the next call: a SUB has
            // to tell a PUB its subscriptions even if the caller does nothing more.
            self.process_mail();
            self.endpoints.add(uri.to_vec(), What::InprocBound);
            self.last_endpoint = uri.to_vec();
            return Ok(());
        }
        let home = self.context.choose_io_thread(self.options.affinity)?;
        if transport == Transport::Udp {
            return self.bind_udp(uri, address, home);
        }
        let options = Arc::new(self.options.clone());
        let listener = match listen(transport, address, &options) {
            Ok(listener) => listener,
            Err(ListenError { error, fd }) => {
                if let Some(fd) = fd {
                    // What is not bound has an address with ipc only.
                    let local = if transport == Transport::Ipc { uri } else { b"" };
                    self.event(ZMQ_EVENT_CLOSED, fd as u64, local.to_vec());
                }
                self.event(ZMQ_EVENT_BIND_FAILED, error.raw() as u64, address.to_vec());
                return Err(error);
            }
        };
        let stopper = listener.stopper();
        let local = listener.endpoint().to_vec();
        self.event(ZMQ_EVENT_LISTENING, listener.fd() as u64, local.clone());
        let id = next_id();
        home.add_load(1);
        home.post(Command::Listen(Box::new(ListenSpec {
            endpoint: id,
            socket: self.id(),
            listener,
            options,
            port: self.port.clone(),
            lease: self.lease.clone(),
        })));
        // A service of tipc is known by its own name, and told by the socket's identity.
        let key = if transport == Transport::Tipc { uri.to_vec() } else { local.clone() };
        let what = What::Remote { id, home, connecting: false, stopper };
        self.endpoints.0.push(Entry { key, told: local.clone(), what });
        self.last_endpoint = local;
        Ok(())
    }

    /// zmq_connect(3)
    pub(super) fn connect(&mut self, uri: &[u8]) -> Result<()> {
        let (transport, address) = endpoint::split(uri)?;
        let socket_type = self.options.socket_type;
        transport.compatible(socket_type, Role::Connect)?;
        if transport == Transport::Inproc {
            self.check_connect_routing_id()?;
            let (mut pipe, end) = self.context.inproc.connect(address, self.inproc_side())?;
            self.give_routing_id(&mut pipe);
            pipe.outgoing = true;
            let peer = end.peer.as_ref().map(|peer| peer.end.clone());
            let id = self.attach(pipe, Behind::Inproc(end));
            if let Some(peer) = peer {
                peer.port().peer_attached();
            }
            self.endpoints.add(uri.to_vec(), What::InprocConnected(id));
            self.last_endpoint = uri.to_vec();
            return Ok(());
        }
        // To these types a second connection to the same peer is of no use, nor one to themselves.
        let one_connection = matches!(socket_type, ZMQ_DEALER | ZMQ_SUB | ZMQ_PUB | ZMQ_REQ);
        if one_connection && self.endpoints.has_remote(uri) {
            return Ok(());
        }
        let home = self.context.choose_io_thread(self.options.affinity)?;
        if transport == Transport::Udp {
            return self.connect_udp(uri, address, home);
        }
        let mut endpoint = uri.to_vec();
        let to = match ConnectEndpoint::parse(transport, address)? {
            ConnectEndpoint::Tcp(address) => ConnectTo::Tcp(address),
            ConnectEndpoint::Tls(address) => {
                let tls = ClientTls::new(&self.options, &address.host)?;
                ConnectTo::Tls(address, tls)
            }
            ConnectEndpoint::Ipc(address) => ConnectTo::Ipc(address),
            ConnectEndpoint::Ws(address) => {
                endpoint = self.check_websocket(transport, &address)?;
                ConnectTo::Ws(address)
            }
            ConnectEndpoint::Wss(address) => {
                endpoint = self.check_websocket(transport, &address)?;
                let tls = ClientTls::new(&self.options, &address.host)?;
                ConnectTo::Wss(address, tls)
            }
            ConnectEndpoint::Vsock(address) => ConnectTo::Plain(plain::Address::Vsock(address)),
            ConnectEndpoint::Tipc(address) => ConnectTo::Plain(plain::Address::Tipc(address)),
            ConnectEndpoint::Inproc(_) | ConnectEndpoint::Udp(_) => {
                return Err(Error::PROTONOSUPPORT);
            }
        };
        self.check_connect_routing_id()?;
        let options = Arc::new(self.options.clone());
        let id = next_id();
        let mut link = None;
        if !options.immediate {
            let (mut pipe, new_link) = network_pipe(id, &options, home.clone(), self.port.clone())?;
            pipe.awaiting_identity = options.recv_routing_id;
            self.give_routing_id(&mut pipe);
            pipe.outgoing = true;
            link = Some(new_link.clone());
            self.attach(pipe, Behind::Network(new_link, id));
        }
        home.add_load(1);
        home.post(Command::Connect(Box::new(ConnectSpec {
            id,
            socket: self.id(),
            to,
            endpoint: endpoint.clone(),
            options,
            port: self.port.clone(),
            lease: self.lease.clone(),
            link,
        })));
        self.endpoints
            .add(uri.to_vec(), What::Remote { id, home, connecting: true, stopper: None });
        self.last_endpoint = endpoint;
        Ok(())
    }

    /// What arrives at the address is for this DISH or DGRAM socket.
    fn bind_udp(&mut self, uri: &[u8], address: &[u8], home: Arc<IoHandle>) -> Result<()> {
        let BindEndpoint::Udp(address) = BindEndpoint::parse(Transport::Udp, address)? else {
            return Err(Error::INVAL);
        };
        let (stream, endpoint) = udp::bind(&address, &SocketSettings::from(&self.options))?;
        let (outbound, inbound) = match self.options.socket_type {
            ZMQ_DGRAM => {
                let ipv6 = stream.local_addr().is_ok_and(|address| address.is_ipv6());
                (Outbound::Addressed { ipv6 }, Inbound::Addressed)
            }
            _ => (Outbound::Nowhere, Inbound::Grouped),
        };
        self.begin_datagrams(uri, endpoint, home, stream, outbound, Some(inbound))
    }

    /// What this RADIO socket sends goes to the address.
    fn connect_udp(&mut self, uri: &[u8], address: &[u8], home: Arc<IoHandle>) -> Result<()> {
        let ConnectEndpoint::Udp(address) = ConnectEndpoint::parse(Transport::Udp, address)? else {
            return Err(Error::INVAL);
        };
        let (stream, to) = udp::connect(&address, &SocketSettings::from(&self.options))?;
        self.begin_datagrams(uri, address.endpoint(), home, stream, Outbound::To(to), None)
    }

    fn begin_datagrams(
        &mut self,
        uri: &[u8],
        endpoint: Vec<u8>,
        home: Arc<IoHandle>,
        stream: Stream,
        outbound: Outbound,
        inbound: Option<Inbound>,
    ) -> Result<()> {
        let options = Arc::new(self.options.clone());
        let id = next_id();
        let (mut pipe, link) = network_pipe(id, &options, home.clone(), self.port.clone())?;
        pipe.outgoing = true;
        // Nobody can join a group by datagrams.
        self.attach_as(pipe, Behind::Network(link.clone(), id), true);
        home.add_load(1);
        home.post(Command::Datagrams(Box::new(DatagramSpec {
            id,
            socket: self.id(),
            stream,
            outbound,
            inbound,
            endpoint: endpoint.clone(),
            options,
            port: self.port.clone(),
            lease: self.lease.clone(),
            link,
        })));
        let what = What::Remote { id, home, connecting: true, stopper: None };
        self.endpoints.0.push(Entry { key: uri.to_vec(), told: endpoint.clone(), what });
        self.last_endpoint = endpoint;
        Ok(())
    }

    /// The endpoint of ws or wss as it is told. Each attempt looks the name up again, but one that
    /// is unknown is told at once, unless a proxy is to look it up.
    fn check_websocket(&self, transport: Transport, address: &WsConnect) -> Result<Vec<u8>> {
        if self.options.socks_proxy.is_empty() {
            host::resolve_remote(&address.host, address.port, self.options.ipv6)?;
        }
        Ok(address.endpoint(transport).into_bytes())
    }

    /// zmq_unbind(3) and zmq_disconnect(3), which are the same.
    pub(super) fn take_back(&mut self, uri: &[u8]) -> Result<()> {
        let (transport, address) = endpoint::split(uri)?;
        transport.compatible(self.options.socket_type, Role::Terminate)?;
        let mut taken = self.endpoints.take(uri);
        if taken.is_empty() && matches!(transport, Transport::Tcp | Transport::Tls) {
            for key in resolved_keys(transport, address, self.options.ipv6) {
                taken = self.endpoints.take(&key);
                if !taken.is_empty() {
                    break;
                }
            }
        }
        if taken.is_empty() {
            return Err(Error::NOENT);
        }
        let linger = self.options.linger;
        for Entry { told, what, .. } in taken {
            self.stop(&what, told);
            match what {
                What::InprocBound => {
                    self.context.inproc.unbind(address, self.id())?;
                }
                What::InprocConnected(pipe) => self.detach(pipe),
                What::Remote { id, home, connecting, .. } => {
                    home.post(Command::CloseEndpoint { endpoint: id, linger });
                    for (pipe, link) in self.pipes_of(id) {
                        if connecting {
                            self.detach(pipe);
                        } else {
                            // What was received can still be read; nothing more comes from now
                            // on, though the I/O thread may still be sending the rest.
                            link.close_inbound();
                            self.peer_ended(pipe);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The socket is about to be closed: its ports are free from here on.
    pub(super) fn stop_listening(&mut self) {
        for Entry { told, what, .. } in std::mem::take(&mut self.endpoints).0 {
            self.stop(&what, told);
        }
    }

    /// Stops a listener that has a port, before its I/O thread comes to close it.
    fn stop(&self, what: &What, endpoint: Vec<u8>) {
        if let What::Remote { stopper: Some(stopper), .. } = what
            && let Some(fd) = stopper.stop()
        {
            self.event(ZMQ_EVENT_CLOSED, fd as u64, endpoint);
        }
    }

    /// The pipes of an endpoint's connections, and the links behind them.
    fn pipes_of(&self, endpoint: u64) -> Vec<(PipeId, Arc<Link>)> {
        let links = self.behind.iter().filter_map(|(pipe, behind)| match behind {
            Behind::Network(link, of) if *of == endpoint => Some((*pipe, link.clone())),
            _ => None,
        });
        links.collect()
    }

    /// ZMQ_CONNECT_ROUTING_ID names a peer that is there already: EADDRINUSE.
    fn check_connect_routing_id(&self) -> Result<()> {
        match &self.connect_routing_id {
            Some(id) if self.pattern.knows_routing_id(id) => Err(Error::ADDRINUSE),
            _ => Ok(()),
        }
    }

    fn give_routing_id(&mut self, pipe: &mut crate::pipe::Pipe) {
        if let Some(id) = self.connect_routing_id.take() {
            pipe.routing_id = id;
            pipe.awaiting_identity = false;
        }
    }

    fn inproc_side(&self) -> Side {
        Side {
            socket: self.id(),
            socket_type: self.options.socket_type,
            port: self.port.clone(),
            sndhwm: self.options.sndhwm,
            rcvhwm: self.options.rcvhwm,
            routing_id: self.options.routing_id.clone(),
            recv_routing_id: self.options.recv_routing_id,
            hello: self.options.hello_to_send().unwrap_or_default().to_vec(),
            disconnect: self.options.disconnect_to_receive().unwrap_or_default().to_vec(),
            conflate: match pattern::supports_conflate(self.options.socket_type) {
                (sends, receives) if self.options.conflate => (sends, receives),
                _ => (false, false),
            },
        }
    }

    fn event(&self, event: i32, value: u64, local: Vec<u8>) {
        self.port.monitor.report(&Event {
            event: event as u64,
            values: vec![value],
            local,
            remote: Vec::new(),
            bound: true,
        });
    }
}

fn listen(
    transport: Transport,
    address: &[u8],
    options: &Options,
) -> Result<Listener, ListenError> {
    let settings = SocketSettings::from(options);
    let adopted = (options.use_fd != -1).then_some(options.use_fd);
    match (transport, adopted) {
        (Transport::Tcp, Some(fd)) => Ok(Listener::Tcp(tcp::adopt(fd, &settings)?)),
        (Transport::Tls | Transport::Ws | Transport::Wss, Some(fd)) => {
            over_tcp(transport, String::new(), options, || Ok(tcp::adopt(fd, &settings)?))
        }
        (Transport::Ipc, Some(fd)) => {
            Ok(Listener::Ipc(ipc::adopt(fd, &IpcAddress::parse(address)?)?))
        }
        _ => match BindEndpoint::parse(transport, address)? {
            BindEndpoint::Tcp(bind) => listen_tcp(&bind, &settings).map(Listener::Tcp),
            BindEndpoint::Tls(bind) => {
                over_tcp(transport, String::new(), options, || listen_tcp(&bind, &settings))
            }
            BindEndpoint::Ws(bind) | BindEndpoint::Wss(bind) => {
                over_tcp(transport, bind.path, options, || {
                    let ipv6 = options.ipv6;
                    let dns = Dns::Forbidden;
                    let address = host::resolve_local(&bind.host, bind.port, ipv6, dns)?;
                    tcp::listen_on(address, &settings)
                })
            }
            BindEndpoint::Ipc(bind) => ipc::listen(&bind, &settings).map(Listener::Ipc),
            BindEndpoint::Vsock(address) => {
                plain::listen_vsock(address, &settings).map(Listener::Plain)
            }
            BindEndpoint::Tipc(bind) => plain::listen_tipc(bind, &settings).map(Listener::Plain),
            BindEndpoint::Inproc(_) | BindEndpoint::Udp(_) => Err(Error::PROTONOSUPPORT.into()),
        },
    }
}

fn listen_tcp(bind: &TcpBind, settings: &SocketSettings) -> Result<tcp::Listener, ListenError> {
    if let Some(source) = &bind.source {
        host::resolve_local(source, 0, settings.ipv6, Dns::Forbidden)?;
    }
    tcp::listen(&bind.host, bind.port, settings)
}

/// A listener of a transport over tcp. What TLS needs is looked at before anything is opened.
fn over_tcp(
    transport: Transport,
    path: String,
    options: &Options,
    listen: impl FnOnce() -> Result<tcp::Listener, ListenError>,
) -> Result<Listener, ListenError> {
    let tls = match transport {
        Transport::Tls | Transport::Wss => Some(Arc::new(ServerTls::new(options)?)),
        _ => None,
    };
    let tcp = listen()?.carrying(transport, path);
    Ok(match tls {
        Some(tls) => Listener::Tls(tls::Listener::new(tcp, tls)),
        None => Listener::Tcp(tcp),
    })
}

/// The texts under which an endpoint of tcp or tls given by name may be known: none, if one could
/// not connect to it.
fn resolved_keys(transport: Transport, address: &[u8], ipv6: bool) -> Vec<Vec<u8>> {
    let key = |address: &SocketAddr| {
        tcp_endpoint(transport, address, host::zone_name(address).as_deref()).into_bytes()
    };
    let Ok(ConnectEndpoint::Tcp(connect) | ConnectEndpoint::Tls(connect)) =
        ConnectEndpoint::parse(transport, address)
    else {
        return Vec::new();
    };
    let Ok(addresses) = host::resolve_remote(&connect.host, connect.port, ipv6) else {
        return Vec::new();
    };
    let mut keys: Vec<Vec<u8>> = addresses.iter().take(1).map(key).collect();
    if let Ok(BindEndpoint::Tcp(bind) | BindEndpoint::Tls(bind)) =
        BindEndpoint::parse(transport, address)
        && bind.host != Host::Any
        && let Ok(address) = host::resolve_local(&bind.host, bind.port, ipv6, Dns::Allowed)
    {
        keys.push(key(&address));
    }
    keys
}
