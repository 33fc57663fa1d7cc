//! The URLs etcd accepts for listening and advertising: `http`, `https`, `unix`, `unixs`.

use std::fmt;

/// How a URL is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// TCP, plaintext.
    Http,
    /// TCP, TLS.
    Https,
    /// Unix socket, plaintext.
    Unix,
    /// Unix socket, TLS.
    Unixs,
}

impl Scheme {
    /// The word before `://`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Unix => "unix",
            Self::Unixs => "unixs",
        }
    }

    /// Whether connections are encrypted.
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Unixs)
    }

    /// Whether the URL names a Unix socket.
    pub const fn is_unix(self) -> bool {
        matches!(self, Self::Unix | Self::Unixs)
    }
}

/// A URL in canonical form: scheme and authority, no path. For Unix schemes the authority is the
/// path of the socket, which etcd writes as `unix://host:port` or `unix:///path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    /// How to speak.
    pub scheme: Scheme,
    /// `host:port`, or the socket's path.
    pub authority: String,
}

/// Why a text is not such a URL. The texts are etcd's, which scripts know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The list was empty.
    #[error("no valid URLs given")]
    Empty,
    /// Not `scheme://…` with a known scheme.
    #[error("URL scheme must be http, https, unix, or unixs: {0}")]
    Scheme(String),
    /// No `host:port`.
    #[error("URL address does not have the form \"host:port\": {0}")]
    Authority(String),
    /// Something behind the port.
    #[error("URL must not contain a path: {0}")]
    Path(String),
}

impl Url {
    /// Reads one URL; surrounding blanks are dropped.
    ///
    /// # Errors
    /// Says which part is not as it must be, with the text it was given.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| UrlError::Scheme(text.to_owned()))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "unix" => Scheme::Unix,
            "unixs" => Scheme::Unixs,
            _ => return Err(UrlError::Scheme(text.to_owned())),
        };
        if scheme.is_unix() {
            if rest.is_empty() {
                return Err(UrlError::Authority(text.to_owned()));
            }
            return Ok(Self { scheme, authority: rest.to_owned() });
        }
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if !has_host_and_port(authority) {
            return Err(UrlError::Authority(text.to_owned()));
        }
        if !path.is_empty() {
            return Err(UrlError::Path(text.to_owned()));
        }
        Ok(Self { scheme, authority: authority.to_owned() })
    }

    /// Reads a comma-separated list, sorted as etcd sorts it.
    ///
    /// # Errors
    /// The first URL that does not parse, or an empty list.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, UrlError> {
        if text.trim().is_empty() {
            return Err(UrlError::Empty);
        }
        let mut urls = text.split(',').map(Self::parse).collect::<Result<Vec<_>, _>>()?;
        urls.sort_by_key(ToString::to_string);
        Ok(urls)
    }

    /// Host part of a TCP URL, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let host =
            self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Whether only this machine is reached by it: a Unix socket or a loopback address.
    pub fn is_local(&self) -> bool {
        let host = self.host();
        self.scheme.is_unix()
            || host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// Port of a TCP URL.
    pub fn port(&self) -> Option<u16> {
        self.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
    }
}

fn has_host_and_port(authority: &str) -> bool {
    let Some((host, port)) = authority.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    port.parse::<u16>().is_ok() && (bracketed || !host.contains(':'))
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.scheme.as_str(), self.authority)
    }
}

impl std::str::FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_urls_print_in_canonical_form() {
        for text in
            ["http://localhost:2379", "https://[::1]:1", "unix:///tmp/x.sock", "unixs://a:1"]
        {
            assert_eq!(
                Url::parse(&format!(" {text} ")).map(|url| url.to_string()),
                Ok(text.into())
            );
        }
        assert_eq!(
            Url::parse("https://[::1]:7").map(|url| url.host().to_owned()),
            Ok("::1".into())
        );
    }

    #[test]
    fn refused_urls_name_their_fault() {
        assert!(matches!(Url::parse("ftp://a:1"), Err(UrlError::Scheme(_))));
        assert!(matches!(Url::parse("localhost:2379"), Err(UrlError::Scheme(_))));
        assert!(matches!(Url::parse("http://localhost"), Err(UrlError::Authority(_))));
        assert!(matches!(Url::parse("http://::1:5"), Err(UrlError::Authority(_))));
        assert!(matches!(Url::parse("http://a:1/x"), Err(UrlError::Path(_))));
        assert!(matches!(Url::parse_list(" "), Err(UrlError::Empty)));
    }
}
