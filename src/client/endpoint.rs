//! What users write as endpoints, and when a connection to one is encrypted.

use crate::types::url::{Scheme, Url};

use super::ClientError;

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The text as the user wrote it, which is how it is printed again.
    pub text: String,
    /// Where to connect and whether to encrypt.
    pub url: Url,
}

/// Reads endpoints as etcd's clients do: `https` and `unixs` are always encrypted, `http` never,
/// and an address without a scheme is when `prefer_tls` is set.
///
/// # Errors
/// If the list is empty or an endpoint is not `host:port` or a URL.
pub fn parse_endpoints(texts: &[String], prefer_tls: bool) -> Result<Vec<Endpoint>, ClientError> {
    let parsed: Vec<Endpoint> =
        texts.iter().map(|text| parse(text.trim(), prefer_tls)).collect::<Result<_, _>>()?;
    if parsed.is_empty() { Err(ClientError::NoEndpoints) } else { Ok(parsed) }
}

fn parse(text: &str, prefer_tls: bool) -> Result<Endpoint, ClientError> {
    let fault = |source| ClientError::Endpoint { text: text.to_owned(), source };
    let mut url = if text.contains("://") {
        // A trailing slash is often copied along with the address.
        let whole = text.trim_end_matches('/');
        Url::parse(if whole.ends_with(':') { text } else { whole }).map_err(fault)?
    } else {
        let scheme = if prefer_tls { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{text}")).map_err(fault)?
    };
    if url.scheme == Scheme::Unix && prefer_tls {
        url.scheme = Scheme::Unixs;
    }
    Ok(Endpoint { text: text.to_owned(), url })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemes(texts: &[&str], prefer_tls: bool) -> Vec<Scheme> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        let parsed = parse_endpoints(&texts, prefer_tls).unwrap();
        parsed.iter().map(|endpoint| endpoint.url.scheme).collect()
    }

    #[test]
    fn the_scheme_decides_and_its_absence_leaves_the_choice() {
        let texts = ["a:1", "http://a:1/", "https://a:1", " localhost:2379"];
        use Scheme::{Http, Https};
        assert_eq!(schemes(&texts, false), [Http, Http, Https, Http]);
        assert_eq!(schemes(&texts, true), [Https, Http, Https, Https]);
        assert_eq!(schemes(&["unix:///tmp/s"], true), [Scheme::Unixs]);
    }

    #[test]
    fn what_is_no_endpoint_is_quoted() {
        let error = parse_endpoints(&["localhost".to_owned()], false).unwrap_err();
        assert!(error.to_string().contains("\"localhost\""), "{error}");
        assert!(matches!(parse_endpoints(&[], false), Err(ClientError::NoEndpoints)));
    }
}
