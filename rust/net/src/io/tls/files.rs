//! PEM files to certificates and keys.

use std::path::Path;
use std::sync::Arc;

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument, pkcs5};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};

use super::{CertificateFiles, Password, TlsError};

/// RFC 7468 §11.
const ENCRYPTED: [&str; 2] = ["-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----END ENCRYPTED PRIVATE KEY-----"];
/// What RFC 1421 §4.6.1.1 has left: OpenSSL's own encryption, whose key is an MD5 of the password.
const TRADITIONAL: &str = "Proc-Type: 4,ENCRYPTED";

/// A certificate with its chain and key, which belong together.
pub(super) fn certified(
    files: &CertificateFiles,
    password: Option<&Password>,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates(&files.chain)?;
    let path = files.key.as_ref().unwrap_or(&files.chain);
    let key = provider
        .key_provider
        .load_private_key(private_key(path, password)?)
        .map_err(|error| TlsError::WrongKey { path: path.clone(), why: error.to_string() })?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        // Unknown: this kind of key does not tell its public half.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Arc::new(certified)),
        Err(Error::InconsistentKeys(_)) => Err(TlsError::Mismatch { chain: files.chain.clone(), key: path.clone() }),
        Err(error) => Err(TlsError::BrokenCertificate { path: files.chain.clone(), why: error.to_string() }),
    }
}

/// The authorities that clients' certificates may come from.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let broken = |error: Error| TlsError::BrokenCertificate { path: path.into(), why: error.to_string() };
        roots.add(certificate).map_err(broken)?;
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| broken(path, &error))?;
    if certificates.is_empty() { Err(TlsError::NoCertificate(path.into())) } else { Ok(certificates) }
}

fn private_key(path: &Path, password: Option<&Password>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let [begin, end] = ENCRYPTED.map(|line| text.find(line));
    if let (Some(begin), Some(end)) = (begin, end)
        && let Some(section) = text.get(begin..end + ENCRYPTED[1].len())
    {
        return decrypted(path, section, password.ok_or_else(|| TlsError::EncryptedKey(path.into()))?);
    }
    if text.contains(TRADITIONAL) {
        let why = "OpenSSL's traditional format".into();
        return Err(TlsError::UnknownEncryption { path: path.into(), why });
    }
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => {
            let certificates = text.contains("-----BEGIN CERTIFICATE-----");
            Err(TlsError::NoKey { path: path.into(), certificates })
        }
        Err(error) => Err(broken(path, &error)),
    }
}

/// The key in a section of PEM that is encrypted (PKCS #8, RFC 5958 §3).
fn decrypted(path: &Path, section: &str, password: &Password) -> Result<PrivateKeyDer<'static>, TlsError> {
    let (_, document) = SecretDocument::from_pem(section)
        .map_err(|error| TlsError::BrokenPem { path: path.into(), why: error.to_string() })?;
    let unknown = |error: pkcs8::Error| TlsError::UnknownEncryption { path: path.into(), why: error.to_string() };
    let key = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(unknown)?;
    match key.decrypt(&password.0) {
        Ok(key) => Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into()),
        // A wrong password shows in the padding, or else in what then is no key.
        Err(pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::DecryptFailed) | pkcs8::Error::Asn1(_)) => {
            Err(TlsError::WrongPassword(path.into()))
        }
        Err(error) => Err(unknown(error)),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.into(), source })
}

fn broken(path: &Path, error: &pem::Error) -> TlsError {
    let why = match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("the END line of {} is missing", String::from_utf8_lossy(end_marker).trim())
        }
        pem::Error::IllegalSectionStart { line } => {
            format!("{:?} begins nothing", String::from_utf8_lossy(line).trim())
        }
        other => other.to_string(),
    };
    TlsError::BrokenPem { path: path.into(), why }
}
