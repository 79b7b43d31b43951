//! Verifies the signatures of tokens with ring, which the programs already have for TLS. Only
//! public keys are supported: a token that is signed with a shared secret, or unsigned, has no
//! verifier.

use std::sync::Once;

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature::{self, Verifier},
};
use ring::signature as ring_signature;

/// The signature algorithms that are accepted.
pub(super) const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: |algorithm, key| Ok(Box::new(RingVerifier::new(*algorithm, key)?)),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Installs the verifier for this process.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // No other code in this program installs one, so this cannot fail.
        PROVIDER.install_default().ok();
    });
}

struct RingVerifier {
    algorithm: Algorithm,
    check: Check,
}

enum Check {
    Rsa { parameters: &'static ring_signature::RsaParameters, modulus: Vec<u8>, exponent: Vec<u8> },
    Key(ring_signature::UnparsedPublicKey<Vec<u8>>),
}

impl RingVerifier {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, Error> {
        let rsa = |parameters| match key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                // Some issuers write the modulus with the leading zero that makes it positive.
                let modulus = n.iter().copied().skip_while(|byte| *byte == 0).collect();
                Ok(Check::Rsa { parameters, modulus, exponent: e.clone() })
            }
            DecodingKeyKind::SecretOrDer(_) => Err(Error::from(ErrorKind::InvalidKeyFormat)),
        };
        let raw = |parameters: &'static dyn ring_signature::VerificationAlgorithm| {
            Ok(Check::Key(ring_signature::UnparsedPublicKey::new(parameters, key.try_get_as_bytes()?.to_vec())))
        };
        let check = match algorithm {
            Algorithm::RS256 => rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::RS384 => rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::RS512 => rsa(&ring_signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::PS256 => rsa(&ring_signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::PS384 => rsa(&ring_signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::PS512 => rsa(&ring_signature::RSA_PSS_2048_8192_SHA512),
            Algorithm::ES256 => raw(&ring_signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::ES384 => raw(&ring_signature::ECDSA_P384_SHA384_FIXED),
            Algorithm::EdDSA => raw(&ring_signature::ED25519),
            _ => Err(ErrorKind::InvalidAlgorithm.into()),
        };
        Ok(Self { algorithm, check: check? })
    }
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        match &self.check {
            Check::Rsa { parameters, modulus, exponent } => {
                ring_signature::RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signed)
            }
            Check::Key(key) => key.verify(message, signed),
        }
        .map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
