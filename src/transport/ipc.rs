// SPDX-License-Identifier: MPL-2.0
//! ipc: stream sockets of unix(7).
//!
//! An address is a path in the file system, `@name` for a name outside it (Linux), or, when
//! binding, `*` for a path that the library makes up. A bind removes whatever socket was at its
//! path before and leaves its own behind; only a path made up is removed at close.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::listener::{Accept, ListenError, accept_with, listening};
use super::{Kind, SocketSettings, Stream, sys};
use crate::endpoint::{IpcAddress, IpcBind};
use crate::errno::{Error, Result};
use crate::fork;
use crate::options::IpcFilters;

/// Where wildcard paths are made, the first that names a directory; else the current directory.
const TEMP_DIR_VARIABLES: &[&str] = &["TMPDIR", "TEMPDIR", "TMP"];

/// Who is at the other end of an ipc connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    pub pid: i32,
}

impl Credentials {
    /// Whether `ZMQ_IPC_FILTER_UID`, `_GID` and `_PID` let this peer in: nothing filters, or one
    /// of them names its user, its primary group, a group that lists its user as a member, or its
    /// process. May read the user and group databases.
    pub fn pass(&self, filters: &IpcFilters) -> bool {
        filters.is_empty()
            || filters.uids.contains(&self.uid)
            || filters.gids.contains(&self.gid)
            || filters.pids.contains(&self.pid)
            || self.is_member_of_any(&filters.gids)
    }

    fn is_member_of_any(&self, gids: &[u32]) -> bool {
        if gids.is_empty() {
            return false;
        }
        let user = sys::user_name(self.uid);
        user.is_some_and(|user| gids.iter().any(|&gid| sys::group_has_member(gid, &user)))
    }
}

/// A listening ipc socket.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    endpoint: Vec<u8>,
    wildcard: Option<WildcardPath>,
}

/// Listens on an address, or on a path made up for the occasion.
///
/// # Errors
/// ADDRINUSE for a name outside the file system, and those of bind(2) and mkdtemp(3): NOENT,
/// ACCES, ...; NAMETOOLONG when the directory for temporary files has too long a name.
pub fn listen(bind: &IpcBind, settings: &SocketSettings) -> Result<Listener, ListenError> {
    match bind {
        IpcBind::At(address) => Ok(Listener {
            socket: bound(address, settings)?,
            endpoint: address.endpoint(),
            wildcard: None,
        }),
        IpcBind::Wildcard => {
            let wildcard = WildcardPath::create()?;
            let address = IpcAddress::parse(wildcard.file.as_os_str().as_bytes())?;
            let socket = bound(&address, settings)?;
            Ok(Listener { socket, endpoint: address.endpoint(), wildcard: Some(wildcard) })
        }
    }
}

/// Listens on the descriptor of `ZMQ_USE_FD`, which the listener then owns; its file is left alone.
/// The endpoint is the descriptor's own, `address` only where the kernel does not tell.
///
/// # Errors
/// BADF or NOTSOCK when it is no socket, INVAL when it does not listen or is not a local one; it
/// then still is the application's.
pub fn adopt(descriptor: RawFd, address: &IpcAddress) -> Result<Listener> {
    let socket = sys::adopt_listener(descriptor, &[Domain::UNIX])?;
    let local = socket.local_addr();
    let endpoint = local.map_or_else(|_| address.endpoint(), |addr| endpoint_text(&addr));
    Ok(Listener { socket, endpoint, wildcard: None })
}

impl Listener {
    /// One attempt to accept a connection; see [`Listener::accept`](super::Listener::accept).
    pub fn accept(&self) -> Result<Accept> {
        accept_with(self.socket.as_fd(), |descriptor| Ok(Stream::new(descriptor, Kind::Ipc)))
    }

    /// The endpoint bound to; a wildcard's as it was made up.
    pub fn endpoint(&self) -> &[u8] {
        &self.endpoint
    }

    /// Stops listening and removes a wildcard's file and directory.
    ///
    /// # Errors
    /// Those of the removal; the descriptor is closed all the same.
    pub fn close(self) -> Result<()> {
        let Listener { socket, wildcard, .. } = self;
        drop(socket);
        wildcard.map_or(Ok(()), WildcardPath::remove)
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Connects to `address`; the kernel tells at once whether that works.
///
/// # Errors
/// Those of connect(2), each a failed attempt that may be repeated: CONNREFUSED, NOENT, ACCES,
/// AGAIN when the listener's backlog is full, ...
pub fn connect(address: &IpcAddress) -> Result<Stream> {
    let stream = open()?;
    connect_stream(&stream, address)?;
    Ok(stream)
}

/// A stream that is not connected yet.
pub fn open() -> Result<Stream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    Ok(Stream::from_socket(socket, Kind::Ipc))
}

/// Connects the stream; the errors are those of [`connect`].
pub fn connect_stream(stream: &Stream, address: &IpcAddress) -> Result<()> {
    Ok(stream.socket().connect(&socket_address(address)?)?)
}

/// The endpoint of a socket address; just `ipc://` for the unnamed end of a client.
pub(super) fn endpoint_text(addr: &SockAddr) -> Vec<u8> {
    let address = if let Some(path) = addr.as_pathname() {
        IpcAddress::Path(path.to_owned())
    } else if let Some(name) = addr.as_abstract_namespace() {
        IpcAddress::Abstract(name.to_owned())
    } else {
        return b"ipc://".into();
    };
    address.endpoint()
}

/// A socket that listens on `address`.
fn bound(address: &IpcAddress, settings: &SocketSettings) -> Result<Socket, ListenError> {
    let socket_address = socket_address(address)?;
    if let IpcAddress::Path(path) = address {
        // Left behind by an earlier run, or in use: the newcomer gets it either way.
        let _ = fs::remove_file(path);
    }
    let socket =
        Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None).map_err(Error::from)?;
    listening(socket, |socket| {
        socket.bind(&socket_address)?;
        Ok(socket.listen(settings.backlog)?)
    })
}

fn socket_address(address: &IpcAddress) -> Result<SockAddr> {
    match address {
        IpcAddress::Path(path) => Ok(SockAddr::unix(path)?),
        IpcAddress::Abstract(name) if sys::ABSTRACT_NAMES => {
            Ok(SockAddr::unix(OsStr::from_bytes(&[b"\0", name.as_slice()].concat()))?)
        }
        IpcAddress::Abstract(_) => Err(Error::INVAL),
    }
}

/// A path made up for a wildcard bind: a directory of its own with the socket in it.
#[derive(Debug)]
struct WildcardPath {
    directory: PathBuf,
    file: PathBuf,
    /// A forked child closes its copy of the socket, but the path is still the parent's.
    generation: u32,
    removed: bool,
}

impl WildcardPath {
    fn create() -> Result<WildcardPath> {
        let parent = TEMP_DIR_VARIABLES
            .iter()
            .filter_map(std::env::var_os)
            .map(PathBuf::from)
            .find(|directory| directory.is_dir())
            .unwrap_or_default();
        WildcardPath::create_in(&parent)
    }

    fn create_in(parent: &Path) -> Result<WildcardPath> {
        let directory = sys::make_unique_directory(parent.join("tmpXXXXXX"))?;
        let file = directory.join("socket");
        let generation = fork::generation();
        Ok(WildcardPath { directory, file, generation, removed: false })
    }

    fn remove(mut self) -> Result<()> {
        self.remove_once()
    }

    fn remove_once(&mut self) -> Result<()> {
        if self.removed || self.generation != fork::generation() {
            return Ok(());
        }
        self.removed = true;
        fs::remove_file(&self.file)?;
        Ok(fs::remove_dir(&self.directory)?)
    }
}

impl Drop for WildcardPath {
    /// For binds that fail half-way and listeners dropped without a close; nobody hears of errors.
    fn drop(&mut self) {
        if self.remove_once() == Err(Error::NOENT) {
            let _ = fs::remove_dir(&self.directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ReadOutcome, WriteOutcome};
    use super::*;
    use crate::endpoint::{BindEndpoint, parse_bind};
    use std::os::fd::IntoRawFd;
    use std::os::unix::net::UnixListener;

    /// A directory that is removed with all that is in it.
    struct TempDir(PathBuf);

    impl TempDir {
        fn new() -> TempDir {
            let template = std::env::temp_dir().join("ferrozmq-XXXXXX");
            TempDir(sys::make_unique_directory(template).unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn address(path: &Path) -> IpcAddress {
        IpcAddress::parse(path.as_os_str().as_bytes()).unwrap()
    }

    fn listening(text: &str) -> Result<Listener> {
        match parse_bind(format!("ipc://{text}").as_bytes()) {
            Ok(BindEndpoint::Ipc(bind)) => Ok(listen(&bind, &SocketSettings::default())?),
            other => panic!("{other:?}"),
        }
    }

    fn accepted(listener: &Listener) -> Stream {
        match listener.accept().unwrap() {
            Accept::Accepted(accepted) => {
                assert_eq!(accepted.peer, None);
                accepted.stream
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn listen_connect_accept() {
        let dir = TempDir::new();
        let path = dir.path("socket");
        let listener = listening(path.to_str().unwrap()).unwrap();
        assert_eq!(listener.endpoint(), address(&path).endpoint());
        assert!(matches!(listener.accept(), Ok(Accept::WouldBlock)));

        let client = connect(&address(&path)).unwrap();
        let server = accepted(&listener);
        assert_eq!(server.local_endpoint(), listener.endpoint());
        assert_eq!(server.remote_endpoint(), b"ipc://");
        assert_eq!(client.remote_endpoint(), listener.endpoint());
        for stream in [&client, &server] {
            assert!(
                stream.socket().nonblocking().unwrap() && sys::is_close_on_exec(stream.as_fd())
            );
        }
        let pid = std::process::id().cast_signed();
        assert_eq!(server.credentials().unwrap().pid, pid);

        assert_eq!(client.write_one(b"hello"), Ok(WriteOutcome::Wrote(5)));
        assert_eq!(server.read_into(&mut [0; 8]), Ok(ReadOutcome::Read(5)));
        assert_eq!(server.read_into(&mut [0; 8]), Ok(ReadOutcome::WouldBlock));
        drop(client);
        assert_eq!(server.read_into(&mut [0; 8]), Ok(ReadOutcome::Closed));

        listener.close().unwrap();
        assert!(path.exists());
        assert_eq!(connect(&address(&path)).unwrap_err(), Error::CONNREFUSED);
        // The file left behind is no obstacle, and a live one is taken over.
        let second = listening(path.to_str().unwrap()).unwrap();
        let third = listening(path.to_str().unwrap()).unwrap();
        let _client = connect(&address(&path)).unwrap();
        accepted(&third);
        assert!(matches!(second.accept(), Ok(Accept::WouldBlock)));
    }

    #[test]
    fn names_outside_the_file_system() {
        let name = format!("@ferrozmq-test-{}", std::process::id());
        let listener = listening(&name).unwrap();
        assert_eq!(listener.endpoint(), format!("ipc://{name}").as_bytes());
        let again = listening(&name);
        assert_eq!(again.unwrap_err(), Error::ADDRINUSE);
        let client = connect(&IpcAddress::parse(name.as_bytes()).unwrap()).unwrap();
        assert_eq!(client.remote_endpoint(), listener.endpoint());
        assert_eq!(accepted(&listener).local_endpoint(), listener.endpoint());
    }

    #[test]
    fn wildcards_are_removed_at_close() {
        let listener = listening("*").unwrap();
        let path = listener.endpoint().strip_prefix(b"ipc://").unwrap();
        let path = Path::new(OsStr::from_bytes(path)).to_owned();
        let directory = path.parent().unwrap().to_owned();
        assert!(path.ends_with("socket") && path.exists());
        connect(&address(&path)).unwrap();
        listener.close().unwrap();
        assert!(!directory.exists());

        // A removal that fails is reported.
        let listener = listening("*anything").unwrap();
        let directory = listener.wildcard.as_ref().unwrap().directory.clone();
        let foreign = directory.join("foreign");
        fs::write(&foreign, "").unwrap();
        assert_eq!(listener.close().unwrap_err().raw(), libc::ENOTEMPTY);
        fs::remove_dir_all(directory).unwrap();

        // Without a close they are removed silently, and so is half a bind.
        let listener = listening("*").unwrap();
        let directory = listener.wildcard.as_ref().unwrap().directory.clone();
        drop(listener);
        assert!(!directory.exists());
        let dir = TempDir::new();
        let half = WildcardPath::create_in(&dir.0).unwrap();
        let directory = half.directory.clone();
        assert!(directory.starts_with(&dir.0) && directory.exists());
        drop(half);
        assert!(!directory.exists());
    }

    #[test]
    fn failures() {
        let settings = SocketSettings::default();
        let nowhere = address(Path::new("/nonexistent/socket"));
        let refused = listen(&IpcBind::At(nowhere.clone()), &settings).unwrap_err();
        assert_eq!(refused.error, Error::NOENT);
        assert!(refused.fd.is_some());
        assert_eq!(connect(&nowhere).unwrap_err(), Error::NOENT);
    }

    #[test]
    fn a_full_backlog() {
        let dir = TempDir::new();
        let address = address(&dir.path("socket"));
        let settings = SocketSettings { backlog: 0, ..SocketSettings::default() };
        let _listener = listen(&IpcBind::At(address.clone()), &settings).unwrap();
        let _first = connect(&address).unwrap();
        assert_eq!(connect(&address).unwrap_err(), Error::AGAIN);
    }

    #[test]
    fn a_descriptor_of_the_application() {
        let dir = TempDir::new();
        let path = dir.path("socket");
        let made = UnixListener::bind(&path).unwrap();
        let listener = adopt(made.into_raw_fd(), &address(&path)).unwrap();
        assert_eq!(listener.endpoint(), address(&path).endpoint());
        let _client = connect(&address(&path)).unwrap();
        accepted(&listener);
        listener.close().unwrap();
        assert!(path.exists());
    }

    #[test]
    fn filters() {
        let peer = Credentials { uid: 4_000_000_001, gid: 4_000_000_002, pid: 42 };
        for (uids, gids, pids, pass) in [
            (vec![], vec![], vec![], true),
            (vec![peer.uid], vec![], vec![], true),
            (vec![1], vec![peer.gid], vec![1], true),
            (vec![1], vec![0], vec![1, 42], true),
            (vec![1], vec![], vec![], false),
            (vec![], vec![0], vec![], false),
            (vec![], vec![], vec![43], false),
        ] {
            let filters = IpcFilters { uids, gids, pids };
            assert_eq!(peer.pass(&filters), pass, "{filters:?}");
        }
    }
}
