//! Certificates, and clients that speak TLS.

use std::path::PathBuf;
use std::sync::Arc;

use hubbub_net::{CertificateFiles, Settings, Tls, TlsFiles};
use rustls::client::{ClientConfig, Resumption};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConnection, RootCertStore, SupportedProtocolVersion};

/// A file of `tests/certificates`, whose `make.sh` says what is in each.
pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/certificates")).join(name)
}

pub(crate) fn pair(name: &str) -> CertificateFiles {
    CertificateFiles { chain: file(&format!("{name}.pem")), key: Some(file(&format!("{name}.key"))) }
}

pub(crate) fn files() -> TlsFiles {
    TlsFiles { default: Some(pair("localhost")), ..TlsFiles::default() }
}

/// The same settings, with TLS.
pub(crate) fn secure(settings: Settings) -> Settings {
    with(files(), settings)
}

pub(crate) fn with(files: TlsFiles, settings: Settings) -> Settings {
    let (tls, warnings) = Tls::load(files).unwrap();
    assert_eq!(warnings, Vec::<String>::new());
    Settings { tls: Some(Arc::new(tls)), ..settings }
}

/// What a client trusts and shows.
pub(crate) struct Trust {
    pub(crate) versions: &'static [&'static SupportedProtocolVersion],
    pub(crate) identity: Option<&'static str>,
    pub(crate) alpn: Vec<Vec<u8>>,
}

impl Default for Trust {
    fn default() -> Trust {
        Trust { versions: rustls::ALL_VERSIONS, identity: None, alpn: Vec::new() }
    }
}

pub(crate) fn config(trust: Trust) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file("ca.pem")).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(trust.versions).unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match trust.identity {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let chain = CertificateDer::pem_file_iter(file(&format!("{name}.pem"))).unwrap();
            let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        }
    };
    config.alpn_protocols = trust.alpn;
    config.resumption = Resumption::in_memory_sessions(8);
    Arc::new(config)
}

pub(crate) fn connection(name: &'static str) -> ClientConnection {
    connection_with(config(Trust::default()), name)
}

pub(crate) fn connection_with(config: Arc<ClientConfig>, name: &'static str) -> ClientConnection {
    ClientConnection::new(config, name.try_into().unwrap()).unwrap()
}
