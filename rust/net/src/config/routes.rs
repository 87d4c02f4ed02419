//! Which endpoint a request path belongs to.

use matchit::Router;

use crate::config::settings::{Endpoint, Service};

/// The endpoints by path.
#[derive(Debug)]
pub(crate) struct Routes {
    router: Router<usize>,
    /// The endpoints' own paths, by number.
    paths: Vec<Option<String>>,
    default: Option<usize>,
    mounts: Vec<Mount>,
    /// The endpoints that answer plain requests at their very path; often there is none.
    answering: Vec<usize>,
}

/// An endpoint for all that is below a prefix.
#[derive(Debug)]
struct Mount {
    /// Without a `/` at the end.
    prefix: String,
    number: usize,
    /// It has files: no WebSocket opens there, and what it does not have is for the next one.
    files: bool,
}

/// An endpoint's number and what the path's `{names}` stood for.
pub(crate) type Matched = (usize, Vec<(String, String)>);

impl Routes {
    /// Reads the patterns; says which one cannot be served and why.
    pub(crate) fn new(endpoints: &[Endpoint]) -> Result<Self, String> {
        let paths = endpoints.iter().map(|endpoint| endpoint.path.clone()).collect();
        let mut routes =
            Routes { router: Router::new(), paths, default: None, mounts: Vec::new(), answering: Vec::new() };
        for (number, endpoint) in endpoints.iter().enumerate() {
            if endpoint.service.is_below() {
                let prefix = endpoint.path.as_deref().unwrap_or_default();
                if !prefix.is_empty() && !prefix.starts_with('/') {
                    return Err(format!("endpoint path {prefix:?} does not begin with '/'"));
                }
                let files = matches!(endpoint.service, Service::Files(_));
                routes.mounts.push(Mount { prefix: prefix.trim_end_matches('/').to_owned(), number, files });
                continue;
            }
            let Some(path) = &endpoint.path else {
                routes.default = Some(number);
                continue;
            };
            if !path.starts_with('/') {
                return Err(format!("endpoint path {path:?} does not begin with '/'"));
            }
            if endpoint.service.answers() {
                routes.answering.push(number);
            }
            routes.router.insert(path.as_str(), number).map_err(|error| format!("endpoint path {path:?}: {error}"))?;
        }
        // The longest prefix first; of two that are the same, files before who serves everything, then the first one
        // given.
        routes.mounts.sort_by_key(|mount| (std::cmp::Reverse(mount.prefix.len()), !mount.files));
        Ok(routes)
    }

    /// The endpoints that may serve this path, in the order in which they are to be asked. All but those with files
    /// serve whatever they are asked for.
    ///
    /// WebSockets: an endpoint with this path, then the longest prefix, then the default. Other requests: an endpoint
    /// with this path that answers such requests, then prefixes from the longest to the shortest, then the rest, which
    /// can only refuse.
    pub(crate) fn candidates<'a>(&'a self, path: &'a str, upgrade: bool) -> impl Iterator<Item = Matched> + use<'a> {
        let first = std::iter::once_with(move || {
            let some = upgrade || !self.answering.is_empty();
            let found = some.then(|| self.exact(path)).flatten();
            found.filter(|(number, _)| upgrade || self.answering.contains(number))
        });
        let prefixes = self.below(path, upgrade, usize::from(upgrade));
        let refusing = std::iter::once_with(move || (!upgrade).then(|| self.exact(path)).flatten());
        let default = self.default.map(|number| (number, Vec::new()));
        // The default's WebSockets are before those of who serves everything.
        let everything = self.below(path, upgrade, 0).filter(move |_| upgrade);
        first.flatten().chain(prefixes).chain(refusing.flatten()).chain(default).chain(everything)
    }

    /// The path of an endpoint that whoever asks for this one, which is nobody's, may have meant: by a slash more or less,
    /// or in lower case.
    pub(crate) fn similar(&self, path: &str) -> Option<&str> {
        let lower = path.to_ascii_lowercase();
        let shorter = lower.trim_end_matches('/');
        let longer = format!("{shorter}/");
        [path.trim_end_matches('/'), &format!("{path}/"), &lower, shorter, &longer]
            .into_iter()
            .find_map(|other| self.router.at(other).ok())
            .and_then(|found| self.paths.get(*found.value)?.as_deref())
    }

    fn exact(&self, path: &str) -> Option<Matched> {
        let found = self.router.at(path).ok()?;
        let params = found.params.iter().map(|(name, value)| (name.into(), value.into()));
        Some((*found.value, params.collect()))
    }

    /// The endpoints whose prefixes, of at least so many bytes, the path begins with.
    fn below<'a>(&'a self, path: &'a str, upgrade: bool, least: usize) -> impl Iterator<Item = Matched> + use<'a> {
        let found = self.mounts.iter().filter(move |mount| mount.prefix.len() >= least && mount.has(path));
        found.filter(move |mount| !(upgrade && mount.files)).map(|mount| (mount.number, Vec::new()))
    }
}

impl Mount {
    fn has(&self, path: &str) -> bool {
        // `*`, of an OPTIONS for the server as a whole, is below the empty prefix only.
        let below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        self.prefix.is_empty() || path.strip_prefix(self.prefix.as_str()).is_some_and(below)
    }
}

/// What is left of a path behind the prefix of the endpoint that it was found below.
pub(crate) fn rest<'a>(endpoint: &Endpoint, path: &'a str) -> &'a str {
    let prefix = endpoint.path.as_deref().unwrap_or_default().trim_end_matches('/');
    path.strip_prefix(prefix).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::files::Folder;
    use crate::io::peer::Trust;

    fn routes(paths: &[Option<&str>]) -> Result<Routes, String> {
        let endpoint = |path: &Option<&str>| Endpoint { path: path.map(Into::into), ..Endpoint::default() };
        Routes::new(&paths.iter().map(endpoint).collect::<Vec<_>>())
    }

    impl Routes {
        fn find(&self, path: &str, upgrade: bool) -> Option<Matched> {
            self.candidates(path, upgrade).next()
        }
    }

    #[test]
    fn a_path_finds_its_endpoint_or_the_default() {
        let routes = routes(&[None, Some("/chat/{room}"), Some("/chat/lobby")]).unwrap();
        assert_eq!(routes.find("/chat/red", true), Some((1, vec![("room".into(), "red".into())])));
        assert_eq!(routes.find("/chat/lobby", true), Some((2, vec![])));
        assert_eq!(routes.find("/elsewhere", true), Some((0, vec![])));
    }

    #[test]
    fn http_is_served_below_prefixes_and_websockets_where_nobody_else_does() {
        let endpoint = |path: Option<&str>, http| {
            let service = if http { Service::Http } else { Service::WebSocket };
            Endpoint { path: path.map(Into::into), service, ..Endpoint::default() }
        };
        let endpoints = [
            endpoint(None, true),
            endpoint(Some("/api"), true),
            endpoint(Some("/api/v2/"), true),
            endpoint(Some("/api/live"), false),
        ];
        let routes = Routes::new(&endpoints).unwrap();
        let number = |path, upgrade| routes.find(path, upgrade).map(|(number, _)| number);
        for (path, http, websocket) in [
            ("/", 0, 0),
            ("*", 0, 0),
            ("/apix", 0, 0),
            ("/api", 1, 1),
            ("/api/", 1, 1),
            ("/api/live", 1, 3),
            ("/api/live/x", 1, 1),
            ("/api/v2", 2, 2),
            ("/api/v2/x", 2, 2),
        ] {
            assert_eq!((number(path, false), number(path, true)), (Some(http), Some(websocket)), "{path}");
        }
        let routes = Routes::new(&[endpoint(None, true), endpoint(None, false)]).unwrap();
        assert_eq!(routes.find("/", true), Some((1, vec![])));
        assert_eq!(routes.find("/", false), Some((0, vec![])));
    }

    #[test]
    fn files_come_before_who_serves_everything_and_are_no_place_for_websockets() {
        let endpoint = |path: &str, service| {
            let path = (!path.is_empty()).then(|| path.into());
            Endpoint { path, service, ..Endpoint::default() }
        };
        let files = || Service::Files(Folder::new("public"));
        let routes = Routes::new(&[
            endpoint("", Service::Http),
            endpoint("/", files()),
            endpoint("/assets", files()),
            endpoint("/assets/live", Service::WebSocket),
            endpoint("/api", Service::Http),
            endpoint("/metrics", Service::Figures(Trust::default())),
            endpoint("", Service::WebSocket),
        ])
        .unwrap();
        let all =
            |path, upgrade| -> Vec<usize> { routes.candidates(path, upgrade).map(|(number, _)| number).collect() };
        assert_eq!(all("/assets/a.css", false), [2, 1, 0, 6]);
        assert_eq!(all("/assets", false), [2, 1, 0, 6]);
        assert_eq!(all("/assetsx", false), [1, 0, 6]);
        assert_eq!(all("/assets/live", false), [2, 1, 0, 3, 6]);
        assert_eq!(all("/assets/live", true), [3, 6, 0]);
        assert_eq!(all("/assets/a.css", true), [6, 0]);
        assert_eq!(all("/api/x", false), [4, 1, 0, 6]);
        assert_eq!(all("/metrics", false)[0], 5);
        assert_eq!(all("*", false), [1, 0, 6]);
    }

    #[test]
    fn without_a_default_other_paths_find_nothing() {
        assert_eq!(routes(&[Some("/a")]).unwrap().find("/b", true), None);
    }

    #[test]
    fn a_bad_pattern_is_named() {
        assert!(routes(&[Some("/{a")]).unwrap_err().contains("/{a"));
        assert!(routes(&[Some("x")]).unwrap_err().contains("begin with '/'"));
        assert!(routes(&[Some("/{a}"), Some("/{b}")]).is_err());
    }
}
