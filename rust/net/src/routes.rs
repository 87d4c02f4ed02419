//! Which endpoint a request path belongs to.

use matchit::Router;

use crate::settings::Endpoint;

/// The endpoints by path.
#[derive(Debug)]
pub(crate) struct Routes {
    router: Router<usize>,
    default: Option<usize>,
    /// Endpoints of the router that take other requests than WebSocket handshakes.
    by_http: Vec<usize>,
    /// Those that serve HTTP, by prefix without a `/` at the end, the longest first.
    mounts: Vec<(String, usize)>,
}

/// An endpoint's number and what the path's `{names}` stood for.
pub(crate) type Matched = (usize, Vec<(String, String)>);

impl Routes {
    /// Reads the patterns; says which one cannot be served and why.
    pub(crate) fn new(endpoints: &[Endpoint]) -> Result<Self, String> {
        let mut routes = Routes { router: Router::new(), default: None, by_http: Vec::new(), mounts: Vec::new() };
        for (number, endpoint) in endpoints.iter().enumerate() {
            if endpoint.service.is_below() {
                let prefix = endpoint.path.as_deref().unwrap_or_default();
                if !prefix.is_empty() && !prefix.starts_with('/') {
                    return Err(format!("endpoint path {prefix:?} does not begin with '/'"));
                }
                routes.mounts.push((prefix.trim_end_matches('/').to_owned(), number));
                continue;
            }
            if endpoint.service.opens_by_http() {
                routes.by_http.push(number);
            }
            let Some(path) = &endpoint.path else {
                routes.default = Some(number);
                continue;
            };
            if !path.starts_with('/') {
                return Err(format!("endpoint path {path:?} does not begin with '/'"));
            }
            routes.router.insert(path.as_str(), number).map_err(|error| format!("endpoint path {path:?}: {error}"))?;
        }
        // Stable: of two with the same prefix, the first one given is found.
        routes.mounts.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(routes)
    }

    /// WebSockets: an endpoint with this path, then one that serves HTTP below a prefix, then the default. Other
    /// requests are first of all for those that serve HTTP, unless an endpoint of this path takes them.
    pub(crate) fn find(&self, path: &str, upgrade: bool) -> Option<Matched> {
        let exact = self.router.at(path).ok();
        if !upgrade
            && exact.as_ref().is_none_or(|found| !self.by_http.contains(found.value))
            && let Some(number) = self.mount(path, 0)
        {
            return Some((number, Vec::new()));
        }
        if let Some(found) = exact {
            let params = found.params.iter().map(|(name, value)| (name.into(), value.into()));
            return Some((*found.value, params.collect()));
        }
        self.mount(path, 1).or(self.default).or_else(|| self.mount(path, 0)).map(|number| (number, Vec::new()))
    }

    /// The endpoint with the longest prefix, of at least so many bytes, that the path begins with.
    fn mount(&self, path: &str, least: usize) -> Option<usize> {
        let below =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // `*`, of an OPTIONS for the server as a whole, is below the empty prefix only.
        let found =
            self.mounts.iter().find(|(prefix, _)| prefix.len() >= least && (prefix.is_empty() || below(prefix)));
        found.map(|(_, number)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Service;

    fn routes(paths: &[Option<&str>]) -> Result<Routes, String> {
        let endpoint = |path: &Option<&str>| Endpoint { path: path.map(Into::into), ..Endpoint::default() };
        Routes::new(&paths.iter().map(endpoint).collect::<Vec<_>>())
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
