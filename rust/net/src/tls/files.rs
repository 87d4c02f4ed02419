//! PEM files to certificates and keys.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};

use super::{CertificateFiles, TlsError};

/// A certificate with its chain and key, which belong together.
pub(super) fn certified(files: &CertificateFiles, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates(&files.chain)?;
    let path = files.key.as_ref().unwrap_or(&files.chain);
    let key = provider
        .key_provider
        .load_private_key(private_key(path)?)
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

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    // RFC 7468 §11, and the older way that RFC 1421 §4.6.1.1 has left.
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::EncryptedKey(path.into()));
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
