//! An nginx in front of several servers, which it uses in turn.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::http;
use crate::programs::{self, Program};
use crate::wait;

/// A running nginx, which ends when this is dropped.
pub struct Nginx {
    folder: PathBuf,
    program: Option<Program>,
    /// The address that nginx listens on.
    pub address: SocketAddr,
}

impl Nginx {
    /// Starts an nginx in front of these servers, with persistent connections to them.
    pub fn start(servers: &[SocketAddr]) -> Self {
        let (folder, address) = (programs::folder("nginx"), http::free_address());
        let file = configure(&folder, address, servers);
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(&folder).arg("-e").arg(folder.join("errors"));
        command.env("PATH", "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin:/bin");
        let program = Program::start(&command, folder.join("said"), None);
        wait::until("nginx takes connections", || {
            assert!(!program.has_ended(), "{}", program.stderr());
            http::connect(address).is_some()
        });
        Self { folder, program: Some(program), address }
    }

    /// Sends new requests only to these servers from now on.
    pub fn send_to(&self, servers: &[SocketAddr]) {
        configure(&self.folder, self.address, servers);
        self.program.as_ref().expect("it runs").signal("HUP");
    }
}

fn configure(folder: &Path, address: SocketAddr, servers: &[SocketAddr]) -> PathBuf {
    let shown = folder.display();
    let asked: String = servers.iter().map(|server| format!("server {server} max_fails=1 fail_timeout=1s; ")).collect();
    // nginx keeps its temporary files in its own folder, not in the system's. It forwards the Host
    // header, as docs/run/http.md assumes.
    let kept: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {shown}/{what}; "))
        .concat();
    let settings = format!(
        "daemon off; pid {shown}/pid; error_log {shown}/errors;\nevents {{ }}\nhttp {{ access_log off; {kept}\n\
         upstream servers {{ {asked}keepalive 8; }}\nserver {{ listen {address}; location / {{ proxy_pass http://servers; \
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host; }} }} }}\n"
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, settings).expect("the folder can be written to");
    file
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.program.take());
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
