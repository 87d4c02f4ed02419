//! Which endpoint a request path belongs to.

use matchit::Router;

use crate::settings::Endpoint;

/// The endpoints by path.
#[derive(Debug)]
pub(crate) struct Routes {
    router: Router<usize>,
    default: Option<usize>,
}

/// An endpoint's number and what the path's `{names}` stood for.
pub(crate) type Matched = (usize, Vec<(String, String)>);

impl Routes {
    /// Reads the patterns; says which one cannot be served and why.
    pub(crate) fn new(endpoints: &[Endpoint]) -> Result<Self, String> {
        let mut routes = Routes { router: Router::new(), default: None };
        for (number, endpoint) in endpoints.iter().enumerate() {
            let Some(path) = &endpoint.path else {
                routes.default = Some(number);
                continue;
            };
            if !path.starts_with('/') {
                return Err(format!("endpoint path {path:?} does not begin with '/'"));
            }
            routes.router.insert(path.as_str(), number).map_err(|error| format!("endpoint path {path:?}: {error}"))?;
        }
        Ok(routes)
    }

    pub(crate) fn find(&self, path: &str) -> Option<Matched> {
        match self.router.at(path) {
            Ok(found) => {
                let params = found.params.iter().map(|(name, value)| (name.into(), value.into()));
                Some((*found.value, params.collect()))
            }
            Err(_) => self.default.map(|number| (number, Vec::new())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(paths: &[Option<&str>]) -> Result<Routes, String> {
        let endpoint = |path: &Option<&str>| Endpoint { path: path.map(Into::into), ..Endpoint::default() };
        Routes::new(&paths.iter().map(endpoint).collect::<Vec<_>>())
    }

    #[test]
    fn a_path_finds_its_endpoint_or_the_default() {
        let routes = routes(&[None, Some("/chat/{room}"), Some("/chat/lobby")]).unwrap();
        assert_eq!(routes.find("/chat/red"), Some((1, vec![("room".into(), "red".into())])));
        assert_eq!(routes.find("/chat/lobby"), Some((2, vec![])));
        assert_eq!(routes.find("/elsewhere"), Some((0, vec![])));
    }

    #[test]
    fn without_a_default_other_paths_find_nothing() {
        assert_eq!(routes(&[Some("/a")]).unwrap().find("/b"), None);
    }

    #[test]
    fn a_bad_pattern_is_named() {
        assert!(routes(&[Some("/{a")]).unwrap_err().contains("/{a"));
        assert!(routes(&[Some("x")]).unwrap_err().contains("begin with '/'"));
        assert!(routes(&[Some("/{a}"), Some("/{b}")]).is_err());
    }
}
