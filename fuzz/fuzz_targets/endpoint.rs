// SPDX-License-Identifier: MPL-2.0
//! Endpoint strings of all transports. Nothing is resolved: the C functions see only endpoints that
//! they have to refuse, and inproc.
#![no_main]

use ferrozmq_fuzz::{Input, memory};
use libfuzzer_sys::fuzz_target;
use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::OnceLock;
use zmq::abi::*;
use zmq::endpoint::{
    BindEndpoint, ConnectEndpoint, IpcBind, TipcBind, Transport, parse_bind, parse_connect, split,
};
use zmq::errno::Error;
use zmq::ffi::context::zmq_ctx_new;
use zmq::ffi::general::zmq_errno;
use zmq::ffi::socket::{zmq_bind, zmq_close, zmq_connect, zmq_disconnect, zmq_socket, zmq_unbind};

fuzz_target!(|data: &[u8]| memory::bounded(data.len() + 4096, || run(data)));

const SCHEMES: [&[u8]; 12] = [
    b"",
    b"inproc://",
    b"ipc://",
    b"tcp://",
    b"tls://",
    b"ws://",
    b"wss://",
    b"udp://",
    b"tipc://",
    b"vsock://",
    b"pgm://",
    b"tcp:/",
];

type Call = unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int;

fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let scheme = input.choose(&SCHEMES);
    let choice = input.u8();
    let uri = [scheme, input.rest()].concat();

    if let Ok((transport, address)) = split(&uri) {
        assert_eq!([transport.scheme().as_bytes(), b"://", address].concat(), uri);
        assert_eq!(Transport::from_scheme(transport.scheme().as_bytes()), Some(transport));
        assert_eq!(BindEndpoint::parse(transport, address), parse_bind(&uri));
        assert_eq!(ConnectEndpoint::parse(transport, address), parse_connect(&uri));
    }
    let (bind, connect) = (parse_bind(&uri), parse_connect(&uri));
    if let Ok(endpoint) = &bind {
        check_bind(endpoint);
    }
    if let Ok(endpoint) = &connect {
        check_connect(endpoint);
    }
    if choice & 3 == 0 {
        let name = matches!(connect, Ok(ConnectEndpoint::Inproc(_)));
        calls(&uri, name, bind.err(), connect.err());
    }
}

/// What is shown is the same endpoint.
fn check_bind(endpoint: &BindEndpoint) {
    let text = match endpoint {
        BindEndpoint::Ipc(IpcBind::At(address)) => address.endpoint(),
        BindEndpoint::Udp(address) => address.endpoint(),
        BindEndpoint::Tipc(TipcBind::Service(address)) => address.endpoint().into_bytes(),
        BindEndpoint::Vsock(address) => address.endpoint().into_bytes(),
        _ => return,
    };
    let again = parse_bind(&text).expect("what was formatted");
    match (endpoint, &again) {
        // It is shown without its domain.
        (BindEndpoint::Tipc(_), BindEndpoint::Tipc(_)) => {}
        _ => assert_eq!(*endpoint, again),
    }
}

fn check_connect(endpoint: &ConnectEndpoint) {
    let text = match endpoint {
        ConnectEndpoint::Inproc(_) => return,
        ConnectEndpoint::Ipc(address) => address.endpoint(),
        ConnectEndpoint::Tcp(address) => address.endpoint(Transport::Tcp).into_bytes(),
        ConnectEndpoint::Tls(address) => address.endpoint(Transport::Tls).into_bytes(),
        ConnectEndpoint::Ws(address) => address.endpoint(Transport::Ws).into_bytes(),
        ConnectEndpoint::Wss(address) => address.endpoint(Transport::Wss).into_bytes(),
        ConnectEndpoint::Udp(address) => address.endpoint(),
        ConnectEndpoint::Tipc(address) => address.endpoint().into_bytes(),
        ConnectEndpoint::Vsock(address) => address.endpoint().into_bytes(),
    };
    let again = parse_connect(&text).expect("what was formatted");
    match (endpoint, &again) {
        (ConnectEndpoint::Tipc(_), ConnectEndpoint::Tipc(_)) => {}
        _ => assert_eq!(*endpoint, again),
    }
}

/// The errors are the parser's, and nothing is left behind.
fn calls(uri: &[u8], inproc: bool, bind: Option<Error>, connect: Option<Error>) {
    static CONTEXT: OnceLock<usize> = OnceLock::new();
    // SAFETY: no arguments.
    let context = *CONTEXT.get_or_init(|| unsafe { zmq_ctx_new() } as usize) as *mut c_void;
    let end = uri.iter().position(|&byte| byte == 0).unwrap_or(uri.len());
    let Ok(text) = CString::new(&uri[..end]) else { return };
    let whole = end == uri.len();
    // SAFETY: a live context.
    let socket = unsafe { zmq_socket(context, ZMQ_DEALER) };
    assert!(!socket.is_null());
    let refused = |call: Call, errors: &[Error]| {
        // SAFETY: a live socket, a string.
        let (status, errno) = unsafe { (call(socket, text.as_ptr()), zmq_errno()) };
        assert_eq!(status, -1, "{text:?}");
        assert!(errors.iter().any(|error| error.raw() == errno), "{text:?}: {errno}, {errors:?}");
    };
    let udp = uri.starts_with(b"udp://");
    let incompatible = if udp { Error::NOCOMPATPROTO } else { Error::INVAL };
    if whole && let Some(error) = bind {
        refused(zmq_bind, &[error, incompatible]);
    }
    if whole && let Some(error) = connect {
        refused(zmq_connect, &[error, incompatible]);
    }
    if inproc && whole {
        // SAFETY: as above.
        unsafe {
            assert_eq!(zmq_connect(socket, text.as_ptr()), 0);
            assert_eq!(zmq_bind(socket, text.as_ptr()), 0);
            assert_eq!(zmq_unbind(socket, text.as_ptr()), 0);
            assert_eq!(zmq_disconnect(socket, text.as_ptr()), 0);
        }
    }
    let nothing = [Error::NOENT, Error::INVAL, Error::PROTONOSUPPORT, Error::NOCOMPATPROTO];
    if whole && (bind.is_some() || inproc) {
        refused(zmq_unbind, &nothing);
        refused(zmq_disconnect, &nothing);
    }
    // SAFETY: a live socket.
    assert_eq!(unsafe { zmq_close(socket) }, 0);
}
