//! TLS for the listeners: certificates and keys from files, given anew to each connection.
//!
//! | file | what is in it |
//! |---|---|
//! | `stream` | TLS on one connection |
//! | `files` | PEM files to certificates and keys |
//! | `names` | which certificate a client gets |
//! | `validity` | from when until when a certificate is valid |
//! | `error` | what can be wrong with all of these |

mod error;
mod files;
mod names;
mod stream;
mod validity;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{WebPkiClientVerifier, danger::ClientCertVerifier};

pub use self::error::TlsError;
pub use self::stream::TlsStream;
use crate::io::socket::Socket;

/// Where a certificate and its key are, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and behind it those that lead to one that clients know.
    pub chain: PathBuf,
    /// The private key; `None`: it stands in the same file.
    pub key: Option<PathBuf>,
}

/// The password of encrypted private keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub Vec<u8>);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Whether clients are to show certificates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientCertificates {
    /// They are not asked.
    #[default]
    Unwanted,
    /// They are asked; who has none may come in, who has a wrong one may not.
    Optional,
    /// Who has none may not come in.
    Required,
}

/// What an operator says about TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// For clients that name no host, and for hosts that none of the others is for.
    pub default: Option<CertificateFiles>,
    /// By host name; `*.example.org` is for every name that has one label in the star's place.
    pub named: Vec<(String, CertificateFiles)>,
    /// For each private key that is encrypted.
    pub password: Option<Password>,
    /// The authorities whose certificates clients may show, in PEM.
    pub authorities: Option<PathBuf>,
    /// Whether they must.
    pub client_certificates: ClientCertificates,
}

/// The certificates of a server. New connections get what the files said when they were last read.
pub struct Tls {
    files: TlsFiles,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the files. Beside the result there are warnings: what is valid, but will hardly please a client.
    pub fn load(files: TlsFiles) -> Result<(Tls, Vec<String>), TlsError> {
        let (config, warnings) = configure(&files)?;
        Ok((Tls { files, config: RwLock::new(Arc::new(config)) }, warnings))
    }

    /// Reads the files again. If something is wrong with them, everything stays as it was. Open connections go on as
    /// they are. Tickets for resuming sessions end with the settings that they were given under, so that nobody comes
    /// in by a certificate that is not trusted any more.
    pub fn reload(&self) -> Result<Vec<String>, TlsError> {
        let (config, warnings) = configure(&self.files)?;
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        Ok(warnings)
    }

    /// Puts TLS on a socket.
    pub(crate) fn wrap(&self, socket: Socket) -> Result<TlsStream, rustls::Error> {
        let config = self.config.read().unwrap_or_else(PoisonError::into_inner).clone();
        TlsStream::new(socket, config)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The cryptography. docs/architecture.md says why it is this one.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn configure(files: &TlsFiles) -> Result<(ServerConfig, Vec<String>), TlsError> {
    let provider = provider();
    let mut warnings = Vec::new();
    let names = names::Names::load(files, &provider, &mut warnings)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::library)?;
    let builder = match client_verifier(files, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(names));
    // RFC 6455 §4.1: the opening handshake is HTTP/1.1's.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Sessions are resumed from tickets that the clients keep: the server remembers nothing of them.
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(TlsError::library)?;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    // Each connection gives one ticket, enough for a client that comes back.
    config.send_tls13_tickets = 1;
    Ok((config, warnings))
}

fn client_verifier(
    files: &TlsFiles,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let path: &Path = match (&files.authorities, files.client_certificates) {
        (_, ClientCertificates::Unwanted) => return Ok(None),
        (None, _) => return Err(TlsError::NoAuthorities),
        (Some(path), _) => path,
    };
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(files::authorities(path)?), provider.clone());
    let builder = match files.client_certificates {
        ClientCertificates::Optional => builder.allow_unauthenticated(),
        ClientCertificates::Required | ClientCertificates::Unwanted => builder,
    };
    let verifier = builder.build().map_err(|error| TlsError::Library(error.to_string()))?;
    Ok(Some(verifier))
}
