//! Python's settings to the network's. Ranges are checked where users see it, in `hubbub.limits` and `hubbub.hub`.

use std::os::fd::{FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use hubbub_net::{
    Bind, CertificateFiles, ClientCertificates, Compression, CompressionMode, Cors, Endpoint, EngineIo, Folder, Limits,
    Open, Password, Policy, Proxies, Rate, RatePolicy, Service, Settings, TlsFiles, Transports, Trust,
};
use pyo3::prelude::*;

use crate::{errors, opening};

/// Reads `hubbub.Limits` and the endpoints.
pub(crate) fn settings(limits: &Bound<'_, PyAny>, endpoints: Vec<Endpoint>, shards: usize) -> PyResult<Settings> {
    Ok(Settings {
        limits: Limits {
            max_message_bytes: limits.getattr("max_message_bytes")?.extract()?,
            max_empty_fragments: limits.getattr("max_empty_fragments")?.extract()?,
            message_timeout: seconds(limits, "message_timeout")?,
            handshake_timeout: seconds(limits, "handshake_timeout")?,
            request_timeout: seconds(limits, "request_timeout")?.filter(|timeout| !timeout.is_zero()),
            keep_alive_timeout: seconds(limits, "keep_alive_timeout")?,
            max_body_bytes: limits.getattr("max_body_bytes")?.extract()?,
            inbox_bytes: limits.getattr("inbox_bytes")?.extract()?,
            inbox_messages: limits.getattr("inbox_messages")?.extract()?,
            message_rate: rate(limits, "messages_per_second", limits.getattr("messages_burst")?.extract()?)?,
            rate_policy: rate_policy(&limits.getattr("rate_policy")?.extract::<String>()?)?,
            outbox_bytes: limits.getattr("outbox_bytes")?.extract()?,
            high_water_bytes: limits.getattr("high_water_bytes")?.extract()?,
            unsent_bytes: limits.getattr("unsent_bytes")?.extract::<Option<u64>>()?.map(at_most_i32),
            posted_bytes: limits.getattr("posted_bytes")?.extract()?,
            outbox_policy: policy(&limits.getattr("outbox_policy")?.extract::<String>()?)?,
            ping_interval: seconds(limits, "ping_interval")?,
            ping_timeout: seconds(limits, "ping_timeout")?,
            close_timeout: seconds(limits, "close_timeout")?.unwrap_or(Duration::MAX / 4),
            session_timeout: seconds(limits, "session_timeout")?.unwrap_or(Duration::MAX / 4),
            resume_bytes: limits.getattr("resume_bytes")?.extract()?,
            rooms_per_session: limits.getattr("rooms_per_session")?.extract()?,
            history_messages: limits.getattr("history_messages")?.extract()?,
            history_bytes: limits.getattr("history_bytes")?.extract()?,
            histories_bytes: limits.getattr("histories_bytes")?.extract()?,
            history_timeout: seconds(limits, "history_timeout")?.unwrap_or(Duration::MAX / 4),
        },
        endpoints,
        max_head_bytes: limits.getattr("max_head_bytes")?.extract()?,
        max_head_fields: limits.getattr("max_head_fields")?.extract()?,
        max_sessions: limits.getattr("max_sessions")?.extract()?,
        max_handshakes: limits.getattr("max_handshakes")?.extract()?,
        max_sessions_per_address: limits.getattr("max_sessions_per_address")?.extract()?,
        polling_sessions_per_address: limits.getattr("polling_sessions_per_address")?.extract()?,
        handshake_rate: rate(limits, "handshakes_per_second", None)?,
        proxies: Proxies::default(),
        server_field: None,
        access_log: true,
        introduces: true,
        tcp_nodelay: true,
        shards,
        tls: None,
    })
}

/// Reads `hubbub.hub.Endpoint`.
pub(crate) fn endpoint(endpoint: &Bound<'_, PyAny>) -> PyResult<Endpoint> {
    Ok(Endpoint {
        path: endpoint.getattr("path")?.extract()?,
        subprotocols: endpoint.getattr("subprotocols")?.extract()?,
        origins: endpoint.getattr("origins")?.extract()?,
        compression: compression(&endpoint.getattr("compression")?)?,
        asks: !endpoint.getattr("decide")?.is_none(),
        service: service(endpoint)?,
    })
}

fn service(endpoint: &Bound<'_, PyAny>) -> PyResult<Service> {
    if !endpoint.getattr("serve")?.is_none() {
        return Ok(Service::Http);
    }
    if let Some(folder) = folder(&endpoint.getattr("folder")?)? {
        return Ok(Service::Files(folder));
    }
    if let Some(readers) = readers(&endpoint.getattr("readers")?)? {
        return Ok(Service::Figures(readers));
    }
    let transports: Option<Vec<String>> = endpoint.getattr("transports")?.extract()?;
    match (endpoint.getattr("service")?.extract::<String>()?.as_str(), transports) {
        ("websocket", _) => Ok(Service::WebSocket),
        ("events", _) => Ok(Service::Events),
        ("comet", names) => {
            let has = |name: &str| names.as_ref().is_none_or(|names| names.iter().any(|other| other == name));
            Ok(Service::Comet(Transports {
                websocket: has("websocket"),
                eventsource: has("eventsource"),
                iframe: has("iframe"),
                polling: has("polling"),
            }))
        }
        ("engineio", _) => engineio(&endpoint.getattr("engineio")?).map(Box::new).map(Service::EngineIo),
        (other, _) => Err(errors::wrong_setting(format!("unknown service {other:?}"))),
    }
}

/// Reads `hubbub._engineio.EngineIo`.
fn engineio(settings: &Bound<'_, PyAny>) -> PyResult<EngineIo> {
    let transports: Vec<String> = settings.getattr("transports")?.extract()?;
    let has = |name: &str| transports.iter().any(|other| other == name);
    let time = |name: &str| settings.getattr(name)?.extract().map(Duration::from_secs_f64);
    Ok(EngineIo {
        websocket: has("websocket"),
        polling: has("polling"),
        upgrades: settings.getattr("allow_upgrades")?.extract()?,
        ping_interval: time("ping_interval")?,
        ping_timeout: time("ping_timeout")?,
        upgrade_timeout: time("upgrade_timeout")?,
        max_payload: settings.getattr("max_payload")?.extract()?,
        cookie: settings.getattr("cookie")?.extract()?,
        cors: cors(&settings.getattr("cors")?)?,
        fields: fields(settings.getattr("fields")?.extract()?)?,
        tells: !settings.getattr("refused")?.is_none(),
    })
}

/// Fields that stand in every answer, if they can.
fn fields(fields: Vec<(String, String)>) -> PyResult<Vec<(String, String)>> {
    opening::check(&fields).map(|()| fields)
}

/// Reads `(open, credentials, exposed, headers, max_age)`, or `None`.
fn cors(cors: &Bound<'_, PyAny>) -> PyResult<Cors> {
    if cors.is_none() {
        return Ok(Cors::default());
    }
    let open: Option<String> = cors.get_item(0)?.extract()?;
    let list = |index: usize| {
        let names: Option<String> = cors.get_item(index)?.extract()?;
        fields(names.into_iter().map(|names| ("Access-Control".into(), names)).collect())
            .map(|mut fields| fields.pop().map(|(_, names)| names))
    };
    Ok(Cors {
        open: match open.as_deref() {
            None => Open::Unsaid,
            Some("*") => Open::Everyone,
            Some(_) => Open::Each,
        },
        credentials: cors.get_item(1)?.extract()?,
        exposed: list(2)?,
        headers: list(3)?,
        max_age: cors.get_item(4)?.extract()?,
    })
}

/// Reads `hubbub._folders.Folder`, or `None`.
fn folder(folder: &Bound<'_, PyAny>) -> PyResult<Option<Folder>> {
    if folder.is_none() {
        return Ok(None);
    }
    Ok(Some(Folder {
        path: folder.getattr("path")?.extract()?,
        index: folder.getattr("index")?.extract()?,
        fields: folder.getattr("headers")?.extract()?,
        dotfiles: folder.getattr("dotfiles")?.extract()?,
        follow_symlinks: folder.getattr("follow_symlinks")?.extract()?,
        cache_bytes: folder.getattr("cache_bytes")?.extract()?,
    }))
}

/// Reads who may read the figures, by name; `None`: it is an endpoint for sessions.
fn readers(readers: &Bound<'_, PyAny>) -> PyResult<Option<Trust>> {
    let names: Option<Vec<String>> = readers.extract()?;
    names.map(|names| trust(&names)).transpose()
}

/// Reads addresses, networks, `unix` and `*`.
fn trust(names: &[String]) -> PyResult<Trust> {
    Trust::parse(names.iter().map(String::as_str))
        .map_err(|name| errors::wrong_setting(format!("{name:?} is no address or network")))
}

/// Reads `hubbub.Compression`, or `None`.
fn compression(setting: &Bound<'_, PyAny>) -> PyResult<Option<Compression>> {
    if setting.is_none() {
        return Ok(None);
    }
    let mode = match setting.getattr("mode")?.extract::<String>()?.as_str() {
        "shared" => CompressionMode::Shared,
        "per-session" => CompressionMode::PerSession,
        other => return Err(errors::wrong_setting(format!("unknown compression mode {other:?}"))),
    };
    Ok(Some(Compression {
        mode,
        level: setting.getattr("level")?.extract()?,
        threshold_bytes: setting.getattr("threshold_bytes")?.extract()?,
        window_bits: setting.getattr("window_bits")?.extract()?,
    }))
}

/// Reads `("tcp", host, port, backlog, reuse_port)`, `("unix", path, backlog, mode, group)`, `("fd", number)` or `("embedded", backlog)`.
pub(crate) fn bind(bind: &Bound<'_, PyAny>) -> PyResult<Bind> {
    let kind: String = bind.get_item(0)?.extract()?;
    match kind.as_str() {
        "tcp" => Ok(Bind::Tcp {
            host: bind.get_item(1)?.extract()?,
            port: bind.get_item(2)?.extract()?,
            backlog: bind.get_item(3)?.extract()?,
            reuse_port: bind.get_item(4)?.extract()?,
        }),
        "unix" => Ok(Bind::Unix {
            path: bind.get_item(1)?.extract()?,
            backlog: bind.get_item(2)?.extract()?,
            mode: bind.get_item(3)?.extract()?,
            group: bind.get_item(4)?.extract()?,
        }),
        "fd" => Ok(Bind::Descriptor(adopt(bind.get_item(1)?.extract()?)?)),
        "embedded" => Ok(Bind::Embedded { backlog: bind.get_item(1)?.extract()? }),
        other => Err(errors::wrong_setting(format!("unknown kind of address {other:?}"))),
    }
}

/// Reads `(default, named, authorities, cert_reqs, password)`: what `hubbub._tls` has made of the `ssl_*` arguments.
pub(crate) fn tls(tls: &Bound<'_, PyAny>) -> PyResult<TlsFiles> {
    type Files = (PathBuf, Option<PathBuf>);
    let default: Option<Files> = tls.get_item(0)?.extract()?;
    let named: Vec<(String, Files)> = tls.get_item(1)?.extract()?;
    let authorities = tls.get_item(2)?.extract()?;
    let wanted: u8 = tls.get_item(3)?.extract()?;
    let password: Option<Vec<u8>> = tls.get_item(4)?.extract()?;
    let files = |(chain, key): Files| CertificateFiles { chain, key };
    Ok(TlsFiles {
        default: default.map(files),
        named: named.into_iter().map(|(name, pair)| (name, files(pair))).collect(),
        password: password.map(Password),
        authorities,
        // The numbers of Python's `ssl.CERT_NONE`, `CERT_OPTIONAL` and `CERT_REQUIRED`.
        client_certificates: match wanted {
            0 => ClientCertificates::Unwanted,
            1 => ClientCertificates::Optional,
            _ => ClientCertificates::Required,
        },
    })
}

/// Reads `(names, protocol)`: what `hubbub._addresses` has made of `trusted_proxies` and `proxy_protocol`.
pub(crate) fn proxies(proxies: &Bound<'_, PyAny>) -> PyResult<Proxies> {
    let names: Vec<String> = proxies.get_item(0)?.extract()?;
    Ok(Proxies { trusted: trust(&names)?, protocol: proxies.get_item(1)?.extract()? })
}

/// The kernel's own number for it has 31 bits.
fn at_most_i32(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).min(i32::MAX as u32)
}

/// So many in a second, or `None` for no limit.
fn rate(limits: &Bound<'_, PyAny>, name: &str, burst: Option<u32>) -> PyResult<Option<Rate>> {
    let per_second: Option<f64> = limits.getattr(name)?.extract()?;
    Ok(per_second.map(|per_second| Rate::new(per_second, burst)))
}

/// The two policies for sending too fast by name.
fn rate_policy(name: &str) -> PyResult<RatePolicy> {
    match name {
        "pause" => Ok(RatePolicy::Pause),
        "close" => Ok(RatePolicy::Close),
        other => Err(errors::wrong_setting(format!("a rate policy is \"pause\" or \"close\", not {other:?}"))),
    }
}

/// The three policies by name.
pub(crate) fn policy(name: &str) -> PyResult<Policy> {
    match name {
        "close" => Ok(Policy::Close),
        "drop" => Ok(Policy::Drop),
        "drop_oldest" => Ok(Policy::DropOldest),
        other => {
            let text = format!("an outbox policy is \"close\", \"drop\" or \"drop_oldest\", not {other:?}");
            Err(errors::wrong_setting(text))
        }
    }
}

/// A duration, or `None` for no limit.
pub(crate) fn seconds(limits: &Bound<'_, PyAny>, name: &str) -> PyResult<Option<Duration>> {
    let seconds: Option<f64> = limits.getattr(name)?.extract()?;
    Ok(seconds.map(Duration::from_secs_f64))
}

/// Takes over a descriptor: the caller (`hubbub.hub`) has duplicated it for us.
#[allow(unsafe_code)]
fn adopt(fd: i32) -> PyResult<OwnedFd> {
    if fd < 0 {
        return Err(errors::wrong_setting(format!("{fd} is no descriptor")));
    }
    // SAFETY: the number comes from `os.dup` in hubbub.hub, made for this call; nobody else owns or closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
