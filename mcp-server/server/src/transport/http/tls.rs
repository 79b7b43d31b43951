//! HTTPS with certificate files that are reloaded when they change, so a renewal needs no restart.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use shared::listener::Handshake;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Interval between two checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// A certificate chain and its key.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    acceptor: TlsAcceptor,
    /// The modification times of the files, if they could be read.
    written: [Option<SystemTime>; 2],
    looked: Instant,
}

impl Tls {
    /// Reads both files. An error is a sentence.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, String> {
        let current = Current {
            written: [written(certificate), written(key)],
            acceptor: acceptor(certificate, key)?,
            looked: Instant::now(),
        };
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), current: Mutex::new(current) })
    }

    /// Returns the acceptor for the next connection. Unusable files leave the previous one in
    /// place.
    fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock();
        if current.looked.elapsed() >= CHECK_INTERVAL {
            current.looked = Instant::now();
            let now = [written(&self.certificate), written(&self.key)];
            if now != current.written {
                match acceptor(&self.certificate, &self.key) {
                    Ok(acceptor) => {
                        tracing::info!(certificate = %self.certificate.display(), "the certificate was read again");
                        (current.acceptor, current.written) = (acceptor, now);
                    }
                    // The renewal may be half done; the next check tries again.
                    Err(error) => tracing::warn!(error, "the certificate that was in use stays in use"),
                }
            }
        }
        current.acceptor.clone()
    }
}

impl Handshake for Tls {
    type Stream = TlsStream<TcpStream>;

    async fn accept(&self, stream: TcpStream) -> std::io::Result<Self::Stream> {
        self.acceptor().accept(stream).await
    }
}

fn written(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|about| about.modified()).ok()
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let unread =
        |path: &Path, error: rustls::pki_types::pem::Error| format!("{} cannot be read: {error}", path.display());
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unread(certificate, error))?;
    if chain.is_empty() {
        return Err(format!("{} holds no certificate", certificate.display()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| format!("{} and {} do not make a pair: {error}", certificate.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
