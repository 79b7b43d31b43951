//! An authorization server, as a resource server sees it: its metadata, its keys, and tokens that
//! it signs.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use crate::programs;

/// A signing key (ES256) and its id.
pub struct SigningKey {
    name: String,
    pair: EcdsaKeyPair,
}

/// The authorization server. It answers until the test process ends.
pub struct Issuer {
    address: SocketAddr,
    keys: Arc<Mutex<Vec<Value>>>,
    reads: Arc<AtomicUsize>,
    elsewhere: Arc<Mutex<Elsewhere>>,
}

/// Overrides: the `jwks_uri` that the metadata names, and a redirect for requests for the keys.
#[derive(Default)]
struct Elsewhere {
    said: Option<String>,
    redirect: Option<String>,
}

impl SigningKey {
    /// Generates a key.
    pub fn new(name: &str) -> Self {
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("chance");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random);
        Self { name: name.to_owned(), pair: pair.expect("it was just made") }
    }

    /// The public key as a JWK.
    pub fn public(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = (base64(&point[1..33]), base64(&point[33..65]));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.name, "x": x, "y": y})
    }

    /// Signs a token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&json!({"alg": "ES256", "typ": "at+jwt", "kid": self.name}), claims)
    }

    /// Like [`Self::sign`], with any header.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let message = unsigned(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).expect("chance");
        format!("{message}.{}", base64(signature.as_ref()))
    }
}

/// An RSA signing key (RS256), by openssl.
pub struct RsaKey {
    name: String,
    folder: PathBuf,
}

impl RsaKey {
    /// Generates a key.
    pub fn new(name: &str) -> Self {
        let folder = programs::folder("rsa");
        openssl(&folder, &["genrsa", "-out", "key.pem", "2048"], "");
        Self { name: name.to_owned(), folder }
    }

    /// The public key as a JWK.
    pub fn public(&self) -> Value {
        let said = openssl(&self.folder, &["rsa", "-in", "key.pem", "-noout", "-modulus"], "");
        let said = String::from_utf8_lossy(&said).into_owned();
        let digits = said.trim().trim_start_matches("Modulus=");
        let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
        // With the leading zero byte that some issuers send.
        let modulus: Vec<u8> = std::iter::once(0).chain((0..digits.len()).step_by(2).map(byte)).collect();
        json!({"kty": "RSA", "use": "sig", "kid": self.name, "n": base64(&modulus), "e": "AQAB"})
    }

    /// Signs a token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        let message = unsigned(&json!({"alg": "RS256", "kid": self.name}), claims);
        let signature = openssl(&self.folder, &["dgst", "-sha256", "-sign", "key.pem"], &message);
        format!("{message}.{}", base64(&signature))
    }
}

impl Drop for RsaKey {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn openssl(folder: &Path, arguments: &[&str], input: &str) -> Vec<u8> {
    let mut command = Command::new("openssl");
    command.args(arguments).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = command.spawn().expect("openssl is installed");
    running.stdin.take().expect("a piped input").write_all(input.as_bytes()).expect("it reads");
    let said = running.wait_with_output().expect("it ends");
    assert!(said.status.success(), "openssl {arguments:?}");
    said.stdout
}

/// Returns a token's header and claims in their encoded form, without a signature.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64(header.to_string().as_bytes()), base64(claims.to_string().as_bytes()))
}

impl Issuer {
    /// Starts an issuer with these keys on a free local port.
    pub fn start(keys: &[&SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let issuer = Self { address, keys: Arc::default(), reads: Arc::default(), elsewhere: Arc::default() };
        issuer.publish(keys);
        let (keys, reads) = (Arc::clone(&issuer.keys), Arc::clone(&issuer.reads));
        let elsewhere = Arc::clone(&issuer.elsewhere);
        let serve = move || {
            for mut stream in listener.incoming().flatten() {
                let mut request = String::new();
                let mut lines = BufReader::new(&stream);
                lines.read_line(&mut request).ok();
                let mut line = String::new();
                while lines.read_line(&mut line).is_ok_and(|read| read > 2) {
                    line.clear();
                }
                let elsewhere = elsewhere.lock().expect("unpoisoned");
                let body = if request.contains("/.well-known/openid-configuration") {
                    let keys = elsewhere.said.clone().unwrap_or_else(|| format!("http://{address}/keys"));
                    json!({"issuer": format!("http://{address}"), "jwks_uri": keys})
                } else if let Some(to) = &elsewhere.redirect {
                    let head = format!(
                        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    );
                    stream.write_all(head.as_bytes()).ok();
                    continue;
                } else {
                    reads.fetch_add(1, Ordering::SeqCst);
                    json!({"keys": *keys.lock().expect("unpoisoned")})
                }
                .to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).ok();
            }
        };
        std::thread::Builder::new().name("issuer".into()).spawn(serve).expect("a thread");
        issuer
    }

    /// The issuer's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the `jwks_uri` in the issuer's metadata.
    pub fn say_keys_are_at(&self, url: &str) {
        self.elsewhere.lock().expect("unpoisoned").said = Some(url.to_owned());
    }

    /// Redirects requests for the issuer's keys to this address.
    pub fn redirect_keys_to(&self, url: &str) {
        self.elsewhere.lock().expect("unpoisoned").redirect = Some(url.to_owned());
    }

    /// Publishes these keys from now on, and no others.
    pub fn publish(&self, keys: &[&SigningKey]) {
        self.publish_all(keys.iter().map(|key| key.public()).collect());
    }

    /// Like [`Self::publish`], with any JWKs.
    pub fn publish_all(&self, keys: Vec<Value>) {
        *self.keys.lock().expect("unpoisoned") = keys;
    }

    /// How often clients have read the issuer's keys.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

/// Encodes bytes in base64url without padding, as JWTs do.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..=three.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}
