//! Which certificate a client gets: by the host name that it asks for (SNI, RFC 6066 §3).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{CertificateFiles, TlsError, TlsFiles, files, validity};

#[derive(Debug)]
pub(super) struct Names {
    default: Option<Arc<CertifiedKey>>,
    /// In lower case; `*.example.org` stands as `.example.org`.
    named: HashMap<String, Arc<CertifiedKey>>,
}

impl Names {
    pub(super) fn load(
        settings: &TlsFiles,
        provider: &CryptoProvider,
        warnings: &mut Vec<String>,
    ) -> Result<Names, TlsError> {
        let mut load = |files: &CertificateFiles| {
            let certified = files::certified(files, settings.password.as_ref(), provider)?;
            warnings.extend(untimely(&files.chain, &certified));
            Ok::<_, TlsError>(certified)
        };
        let default = settings.default.as_ref().map(&mut load).transpose()?;
        let mut named = HashMap::new();
        let mut foreign = Vec::new();
        for (name, files) in &settings.named {
            let key = key(name)?;
            let certified = load(files)?;
            foreign.extend(not_for(name, &files.chain, &certified));
            named.insert(key, certified);
        }
        warnings.extend(foreign);
        if default.is_none() && named.is_empty() {
            return Err(TlsError::NoCertificates);
        }
        Ok(Names { default, named })
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let wild = || name.find('.').and_then(|dot| self.named.get(&name[dot..]));
        self.named.get(&name).or_else(wild)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        named.or(self.default.as_ref()).cloned()
    }
}

/// How a name stands in the table.
fn key(name: &str) -> Result<String, TlsError> {
    let plain = name.strip_prefix("*.").unwrap_or(name);
    // RFC 6066 §3: addresses are not permitted in SNI, so no client would ever ask for one.
    match ServerName::try_from(plain) {
        Ok(ServerName::DnsName(_)) => {}
        _ => return Err(TlsError::WrongName(name.into())),
    }
    let star = if plain.len() < name.len() { "." } else { "" };
    Ok(format!("{star}{}", plain.trim_end_matches('.').to_ascii_lowercase()))
}

/// A warning if the certificate says that it is for others.
fn not_for(name: &str, path: &Path, certified: &CertifiedKey) -> Option<String> {
    let example = name.replacen('*', "any", 1);
    let certificate = ParsedCertificate::try_from(certified.end_entity_cert().ok()?).ok()?;
    let asked = ServerName::try_from(example).ok()?;
    verify_server_name(&certificate, &asked).err()?;
    Some(format!("the certificate in {} is not for {name}: clients will refuse it", path.display()))
}

/// A warning if the certificate's time has not come, or is over.
fn untimely(path: &Path, certified: &CertifiedKey) -> Option<String> {
    let validity = validity::read(certified.end_entity_cert().ok()?)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs() as i64;
    let path = path.display();
    if validity.not_after < now {
        let over = validity::date(validity.not_after);
        Some(format!("the certificate in {path} has expired on {over}: clients will refuse it"))
    } else if validity.not_before > now {
        let begins = validity::date(validity.not_before);
        Some(format!("the certificate in {path} is not valid before {begins}: clients will refuse it"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_in_lower_case_and_stars_stand_for_one_label() {
        assert_eq!(key("Example.ORG").unwrap(), "example.org");
        assert_eq!(key("*.Example.org").unwrap(), ".example.org");
        for wrong in ["", "*", "*.", "*.*.org", "a b", "127.0.0.1", "::1", "http://x"] {
            assert!(key(wrong).is_err(), "{wrong}");
        }
    }
}
