//! TLS to Postgres, with exactly the verification that the connection string asks for.
//!
//! Files are read again for each connection, so that a renewed certificate takes effect without a
//! restart. A connection string that needs no file reads none.

use std::{error::Error, path::Path, path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
    server::ParsedCertificate,
};
use tokio_postgres::{Socket, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::DsnError;

/// The verification of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// Only that the server holds the certificate's key. This protects from eavesdroppers, but not
    /// from impostors.
    Nothing,
    /// That a trusted authority issued the certificate.
    Chain,
    /// That a trusted authority issued the certificate for this host's name.
    ChainAndName,
}

/// The trusted authorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// The system's trust store; `SSL_CERT_FILE` overrides it, as for other programs.
    System,
    /// The certificates in a file.
    File(PathBuf),
}

/// The TLS settings of a connection string.
#[derive(Debug, Clone)]
pub(super) struct TlsOptions {
    pub(super) check: Check,
    pub(super) roots: Roots,
    /// The paths of the client's certificate and key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    /// Whether TLS starts without an SSLRequest, which Postgres 17 and newer support.
    pub(super) direct: bool,
}

/// Creates TLS connections for `tokio_postgres` and its pool.
#[derive(Debug, Clone)]
pub struct Tls(Arc<TlsOptions>);

impl Tls {
    pub(super) fn new(options: TlsOptions) -> Self {
        Self(Arc::new(options))
    }

    fn client_config(&self) -> Result<ClientConfig, DsnError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (roots, pinned) = match self.0.check {
            Check::Nothing => (RootCertStore::empty(), Vec::new()),
            Check::Chain | Check::ChainAndName => self.0.roots.read()?,
        };
        let verifier = Verifier { check: self.0.check, roots, pinned, provider: Arc::clone(&provider) };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the default protocol versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &self.0.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let private = PrivateKeyDer::from_pem_file(key).map_err(unusable(key))?;
                builder.with_client_auth_cert(chain, private).map_err(unusable(certificate))?
            }
        };
        if self.0.direct {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(config)
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = Box<dyn Error + Send + Sync>;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, Self::Error> {
        let mut connector = MakeRustlsConnect::new(self.client_config()?);
        Ok(MakeTlsConnect::<Socket>::make_tls_connect(&mut connector, host)?)
    }
}

impl Roots {
    /// Reads the trusted authorities, and the certificates that a file names.
    fn read(&self) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), DsnError> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::System => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() { Err(DsnError::NoSystemRoots) } else { Ok((roots, Vec::new())) }
            }
            Self::File(path) => {
                let named = certificates(path)?;
                for certificate in &named {
                    roots.add(certificate.clone()).map_err(unusable(path))?;
                }
                Ok((roots, named))
            }
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, DsnError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.and_then(|all| if all.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(all) });
    read.map_err(unusable(path))
}

/// Returns the converter of an error about the certificate or key file at `path`.
fn unusable<E: Error + Send + Sync + 'static>(path: &Path) -> impl FnOnce(E) -> DsnError {
    let path = path.to_owned();
    move |error| DsnError::CertificateFile { path, source: Box::new(error) }
}

#[derive(Debug)]
struct Verifier {
    check: Check,
    roots: RootCertStore,
    pinned: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.check == Check::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        let certificate = ParsedCertificate::try_from(end_entity)?;
        // A self-signed server certificate, as Postgres' manual creates one, is trusted if the file
        // names that very certificate. The check of the chain would refuse it, because rustls
        // rightly rejects an authority's certificate as a server's.
        if !self.pinned.iter().any(|pinned| pinned == end_entity) {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        }
        if self.check == Check::ChainAndName {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    // Signatures are verified even if nothing else is: channel binding would be useless if a server
    // need not hold its certificate's key.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
