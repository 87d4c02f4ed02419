//! What can be wrong with certificates and keys, in words for the operator.

use std::fmt;
use std::path::PathBuf;

/// TLS cannot be set up like this.
#[derive(Debug)]
pub enum TlsError {
    /// A file cannot be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no PEM file, or a broken one.
    BrokenPem {
        /// Which.
        path: PathBuf,
        /// What is broken.
        why: String,
    },
    /// There is no certificate in the file.
    NoCertificate(PathBuf),
    /// A certificate cannot be understood.
    BrokenCertificate {
        /// The file that it is in.
        path: PathBuf,
        /// What is broken.
        why: String,
    },
    /// There is no private key in the file.
    NoKey {
        /// Which file.
        path: PathBuf,
        /// It has certificates instead.
        certificates: bool,
    },
    /// The private key is encrypted, and no password was given.
    EncryptedKey(PathBuf),
    /// The private key is encrypted with another password.
    WrongPassword(PathBuf),
    /// The private key is encrypted in a way that is not understood.
    UnknownEncryption {
        /// The file that it is in.
        path: PathBuf,
        /// What is not understood.
        why: String,
    },
    /// The private key cannot be understood, or is of a kind that TLS does not use.
    WrongKey {
        /// The file that it is in.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The private key is another certificate's.
    Mismatch {
        /// The certificate's file.
        chain: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Not a host name.
    WrongName(String),
    /// Neither a default certificate nor one for a name.
    NoCertificates,
    /// Clients are to show certificates, but nothing says whose.
    NoAuthorities,
    /// The TLS library refuses.
    Library(String),
}

impl TlsError {
    pub(super) fn library(error: rustls::Error) -> TlsError {
        TlsError::Library(error.to_string())
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Unreadable { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            TlsError::BrokenPem { path, why } => write!(f, "{} is no PEM file: {why}", path.display()),
            TlsError::NoCertificate(path) => write!(f, "{} has no certificate in PEM format", path.display()),
            TlsError::BrokenCertificate { path, why } => {
                write!(f, "the certificate in {} cannot be used: {why}", path.display())
            }
            TlsError::NoKey { path, certificates: false } => {
                write!(f, "{} has no private key in PEM format", path.display())
            }
            TlsError::NoKey { path, certificates: true } => {
                write!(f, "{} has no private key, only certificates", path.display())
            }
            TlsError::EncryptedKey(path) => {
                let path = path.display();
                write!(
                    f,
                    "the private key in {path} is encrypted: ssl_keyfile_password is needed, or \
                     `openssl pkey -in {path} -out FILE`, which decrypts it"
                )
            }
            TlsError::WrongPassword(path) => {
                write!(f, "the private key in {} is encrypted with another password", path.display())
            }
            TlsError::UnknownEncryption { path, why } => {
                let path = path.display();
                write!(
                    f,
                    "the private key in {path} is encrypted in a way that is not understood ({why}); \
                     `openssl pkcs8 -topk8 -v2 aes256 -in {path} -out FILE` encrypts it as PKCS #8"
                )
            }
            TlsError::WrongKey { path, why } => {
                write!(f, "the private key in {} cannot be used: {why}", path.display())
            }
            TlsError::Mismatch { chain, key } => {
                let (chain, key) = (chain.display(), key.display());
                write!(f, "the private key in {key} does not belong to the first certificate in {chain}")
            }
            TlsError::WrongName(name) => {
                write!(f, "{name:?} is no host name that a certificate can be chosen by")
            }
            TlsError::NoCertificates => write!(f, "TLS needs a certificate and its private key"),
            TlsError::NoAuthorities => {
                write!(f, "client certificates need the authorities that they may come from")
            }
            TlsError::Library(why) => write!(f, "TLS cannot be set up: {why}"),
        }
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TlsError::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}
