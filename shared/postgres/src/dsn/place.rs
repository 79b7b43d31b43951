//! The addresses of the servers of a connection string.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use tokio_postgres::Config;

use super::{DsnError, given::Given};

/// The address at which a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Tcp(String, u16),
    Socket(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

const DEFAULT_PORT: u16 = 5432;
/// The folders in which servers create their sockets: the default of Debian and Red Hat, and of a
/// server built from source.
const SOCKET_FOLDERS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Reads hosts, addresses and ports, and sets them in the driver's configuration. Returns at least
/// one place.
pub(super) fn places(given: &Given<'_>, config: &mut Config) -> Result<Vec<Place>, DsnError> {
    let mut ports = Vec::new();
    for port in given.list("port") {
        let number = if port.is_empty() { Some(DEFAULT_PORT) } else { port.parse().ok().filter(|port| *port > 0) };
        let bad = || DsnError::BadValue { option: "port", expected: "a number from 1 to 65535".to_owned() };
        ports.push(number.ok_or_else(bad)?);
    }
    let mut addresses = Vec::new();
    for address in given.list("hostaddr") {
        let bad = |_| DsnError::BadValue { option: "hostaddr", expected: "an IP address".to_owned() };
        addresses.push(address.parse::<IpAddr>().map_err(bad)?);
    }
    let first_port = ports.first().copied().unwrap_or(DEFAULT_PORT);
    let mut hosts: Vec<String> = given.list("host").into_iter().map(str::to_owned).collect();
    if hosts.is_empty() {
        // Without a host, the address is also the name that a certificate is verified against.
        hosts = addresses.iter().map(IpAddr::to_string).collect();
    }
    if hosts.is_empty() {
        hosts.push(default_host(first_port));
    }
    hosts.iter_mut().filter(|host| host.is_empty()).for_each(|host| *host = default_host(first_port));
    if !addresses.is_empty() && addresses.len() != hosts.len() {
        return Err(DsnError::Malformed("has another number of hosts than of hostaddrs"));
    }
    if ports.len() > 1 && ports.len() != hosts.len() {
        return Err(DsnError::Malformed(
            "has another number of ports than of hosts; write one for all, or one for each",
        ));
    }
    let sockets = hosts.iter().filter(|host| host.starts_with('/')).count();
    if sockets > 0 && (sockets < hosts.len() || !addresses.is_empty()) {
        return Err(DsnError::Malformed("names sockets and network addresses together; name one kind"));
    }
    let mut places = Vec::new();
    for (at, host) in hosts.iter().enumerate() {
        let port = ports.get(at).copied().unwrap_or(first_port);
        config.port(port);
        if sockets > 0 {
            config.host_path(host);
            places.push(Place::Socket(Path::new(host).join(format!(".s.PGSQL.{port}"))));
        } else {
            config.host(host);
            places.push(Place::Tcp(host.clone(), port));
        }
    }
    for address in addresses {
        config.hostaddr(address);
    }
    Ok(places)
}

/// Returns the local server: by its socket if there is one, as in libpq.
fn default_host(port: u16) -> String {
    let has_socket = |folder: &&&str| Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    SOCKET_FOLDERS.iter().find(has_socket).copied().unwrap_or("localhost").to_owned()
}
