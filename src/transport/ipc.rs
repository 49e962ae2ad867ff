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

use super::listener::{Accept, accept_with};
use super::{Kind, SocketSettings, Stream, sys};
use crate::errno::{Error, Result};

/// Bytes of a path with its NUL that fit into a socket address.
const MAX_PATH: usize = 108;

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
    /// Whether the options `ZMQ_IPC_FILTER_UID`, `_GID` and `_PID` let this peer in: all are
    /// empty, or any of them names its user, its primary group, a group that lists its user as a
    /// member, or its process.
    pub fn pass(&self, uids: &[u32], gids: &[u32], pids: &[i32]) -> bool {
        let unfiltered = uids.is_empty() && gids.is_empty() && pids.is_empty();
        unfiltered
            || uids.contains(&self.uid)
            || gids.contains(&self.gid)
            || pids.contains(&self.pid)
            || self.is_member_of_any(gids)
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
    endpoint: String,
    /// Removed last, after the socket is closed.
    wildcard: Option<WildcardPath>,
}

/// Listens on `path`, or on the descriptor of `ZMQ_USE_FD`, whose file is left alone.
///
/// # Errors
/// NAMETOOLONG, INVAL for an empty name or an unsuitable descriptor, ADDRINUSE for a name outside
/// the file system, and those of bind(2) and mkdtemp(3): NOENT, ACCES, ...
pub fn listen(path: &OsStr, settings: &SocketSettings) -> Result<Listener> {
    if let Some(descriptor) = settings.use_fd {
        let address = Address::parse(path)?;
        let socket = sys::adopt_listener(descriptor, &[Domain::UNIX])?;
        return Ok(Listener { socket, endpoint: address.endpoint(), wildcard: None });
    }
    let wildcard = match path.as_bytes().first() {
        Some(b'*') => Some(WildcardPath::create()?),
        _ => None,
    };
    let path = wildcard.as_ref().map_or(path, |wildcard| wildcard.file.as_os_str());
    let address = Address::parse(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    if let Address::Path(path) = address {
        // Left behind by an earlier run, or in use: the newcomer gets it either way.
        let _ = fs::remove_file(path);
    }
    socket.bind(&address.to_socket_address()?)?;
    socket.listen(settings.backlog)?;
    let endpoint = address.endpoint();
    Ok(Listener { socket, endpoint, wildcard })
}

impl Listener {
    /// One attempt to accept a connection; see [`Listener::accept`](super::Listener::accept).
    pub fn accept(&self) -> Result<Accept> {
        accept_with(self.socket.as_fd(), |descriptor| Ok(Stream::new(descriptor, Kind::Ipc)))
    }

    /// The endpoint bound to; a wildcard's as it was made up.
    pub fn endpoint(&self) -> &str {
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

/// Connects to `path`; the kernel tells at once whether that works.
///
/// # Errors
/// NAMETOOLONG and INVAL for an address that can never work, see [`check_address`]. The rest are
/// failed attempts that may be repeated: CONNREFUSED, NOENT, ACCES, AGAIN when the listener's
/// backlog is full, ...
pub fn connect(path: &OsStr) -> Result<Stream> {
    let address = Address::parse(path)?.to_socket_address()?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.connect(&address)?;
    Ok(Stream::from_socket(socket, Kind::Ipc))
}

/// Whether `path` can be an ipc address, as `zmq_connect` checks it.
///
/// # Errors
/// NAMETOOLONG for 108 bytes or more, INVAL for an empty name outside the file system.
pub fn check_address(path: &OsStr) -> Result<()> {
    Address::parse(path).map(|_| ())
}

/// The endpoint of a socket address: `ipc://path`, `ipc://@name`, or `ipc://` for the unnamed end
/// of a client.
pub(super) fn endpoint_text(addr: &SockAddr) -> String {
    if let Some(path) = addr.as_pathname() {
        Address::Path(path).endpoint()
    } else if let Some(name) = addr.as_abstract_namespace() {
        Address::Abstract(name).endpoint()
    } else {
        "ipc://".into()
    }
}

#[derive(Clone, Copy)]
enum Address<'a> {
    Path(&'a Path),
    /// Without the `@`.
    Abstract(&'a [u8]),
}

impl Address<'_> {
    fn parse(text: &OsStr) -> Result<Address<'_>> {
        if text.len() >= MAX_PATH {
            return Err(Error::NAMETOOLONG);
        }
        if text.is_empty() || text.as_bytes().contains(&0) {
            return Err(Error::INVAL);
        }
        match text.as_bytes().strip_prefix(b"@") {
            Some([]) => Err(Error::INVAL),
            Some(name) if sys::ABSTRACT_NAMES => Ok(Address::Abstract(name)),
            _ => Ok(Address::Path(Path::new(text))),
        }
    }

    fn to_socket_address(self) -> Result<SockAddr> {
        Ok(match self {
            Address::Path(path) => SockAddr::unix(path)?,
            Address::Abstract(name) => SockAddr::unix(OsStr::from_bytes(&[b"\0", name].concat()))?,
        })
    }

    fn endpoint(self) -> String {
        match self {
            Address::Path(path) => format!("ipc://{}", path.display()),
            Address::Abstract(name) => format!("ipc://@{}", String::from_utf8_lossy(name)),
        }
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
        let generation = sys::fork_generation();
        Ok(WildcardPath { directory, file, generation, removed: false })
    }

    fn remove(mut self) -> Result<()> {
        self.remove_once()
    }

    fn remove_once(&mut self) -> Result<()> {
        if self.removed || self.generation != sys::fork_generation() {
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
        let listener = listen(path.as_os_str(), &SocketSettings::default()).unwrap();
        assert_eq!(listener.endpoint(), format!("ipc://{}", path.display()));
        assert!(matches!(listener.accept(), Ok(Accept::WouldBlock)));

        let client = connect(path.as_os_str()).unwrap();
        let server = accepted(&listener);
        assert_eq!(server.local_endpoint(), listener.endpoint());
        assert_eq!(server.remote_endpoint(), "ipc://");
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
        assert_eq!(connect(path.as_os_str()).unwrap_err(), Error::CONNREFUSED);
        // The file left behind is no obstacle, and a live one is taken over.
        let second = listen(path.as_os_str(), &SocketSettings::default()).unwrap();
        let third = listen(path.as_os_str(), &SocketSettings::default()).unwrap();
        let _client = connect(path.as_os_str()).unwrap();
        accepted(&third);
        assert!(matches!(second.accept(), Ok(Accept::WouldBlock)));
    }

    #[test]
    fn names_outside_the_file_system() {
        let name = format!("@ferrozmq-test-{}", std::process::id());
        let listener = listen(name.as_ref(), &SocketSettings::default()).unwrap();
        assert_eq!(listener.endpoint(), format!("ipc://{name}"));
        let again = listen(name.as_ref(), &SocketSettings::default());
        assert_eq!(again.unwrap_err(), Error::ADDRINUSE);
        let client = connect(name.as_ref()).unwrap();
        assert_eq!(client.remote_endpoint(), listener.endpoint());
        assert_eq!(accepted(&listener).local_endpoint(), listener.endpoint());
    }

    #[test]
    fn wildcards_are_removed_at_close() {
        let listener = listen("*".as_ref(), &SocketSettings::default()).unwrap();
        let endpoint = listener.endpoint().to_owned();
        let path = Path::new(endpoint.strip_prefix("ipc://").unwrap()).to_owned();
        let directory = path.parent().unwrap().to_owned();
        assert!(path.ends_with("socket") && path.exists());
        connect(path.as_os_str()).unwrap();
        listener.close().unwrap();
        assert!(!directory.exists());

        // A removal that fails is reported.
        let listener = listen("*anything".as_ref(), &SocketSettings::default()).unwrap();
        let directory = listener.wildcard.as_ref().unwrap().directory.clone();
        let foreign = directory.join("foreign");
        fs::write(&foreign, "").unwrap();
        assert_eq!(listener.close().unwrap_err().raw(), libc::ENOTEMPTY);
        fs::remove_dir_all(directory).unwrap();

        // Without a close they are removed silently, and so is half a bind.
        let listener = listen("*".as_ref(), &SocketSettings::default()).unwrap();
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
    fn bad_addresses() {
        let long = "x".repeat(108);
        for (text, expected) in [
            (long.as_str(), Err(Error::NAMETOOLONG)),
            (&long[1..], Ok(())),
            ("@", Err(Error::INVAL)),
            ("", Err(Error::INVAL)),
            ("*", Ok(())),
            ("@x", Ok(())),
        ] {
            assert_eq!(check_address(text.as_ref()), expected, "{text}");
        }
        let settings = SocketSettings::default();
        assert_eq!(listen(long.as_ref(), &settings).unwrap_err(), Error::NAMETOOLONG);
        assert_eq!(listen("/nonexistent/s".as_ref(), &settings).unwrap_err(), Error::NOENT);
        assert_eq!(connect("/nonexistent/s".as_ref()).unwrap_err(), Error::NOENT);
    }

    #[test]
    fn a_descriptor_of_the_application() {
        let dir = TempDir::new();
        let path = dir.path("socket");
        let made = UnixListener::bind(&path).unwrap();
        let settings =
            SocketSettings { use_fd: Some(made.into_raw_fd()), ..SocketSettings::default() };
        let listener = listen(path.as_os_str(), &settings).unwrap();
        assert_eq!(listener.endpoint(), format!("ipc://{}", path.display()));
        let _client = connect(path.as_os_str()).unwrap();
        accepted(&listener);
        listener.close().unwrap();
        assert!(path.exists());
    }

    #[test]
    fn filters() {
        let root = Credentials { uid: 0, gid: 0, pid: 42 };
        assert!(root.pass(&[], &[], &[]));
        assert!(root.pass(&[0], &[], &[]));
        assert!(root.pass(&[1], &[0], &[1]));
        assert!(root.pass(&[], &[], &[42]));
        assert!(!root.pass(&[1], &[4_000_000_000], &[43]));
    }
}
