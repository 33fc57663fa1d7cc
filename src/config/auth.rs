//! How users show who they are: the options of `--auth-token` and what goes with them.

use std::path::PathBuf;
use std::time::Duration;

use super::golang;

/// etcd's time for signed tokens.
const JWT_TTL: Duration = Duration::from_secs(5 * 60);
/// etcd's time for simple tokens, also where zero is configured.
const SIMPLE_TTL: Duration = Duration::from_secs(300);
/// etcd's work for a password.
const COST: u32 = 10;
/// Least and most work.
const COSTS: std::ops::RangeInclusive<u32> = 4..=31;

/// Methods of signing, as `sign-method` names them.
const METHODS: [&str; 13] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "HS256", "HS384",
    "HS512", "EdDSA", ES512,
];
/// Known, and not to be had here.
const ES512: &str = "ES512";

/// Users and their tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Which tokens are given out and taken.
    pub token: Token,
    /// How long a simple token holds that nobody shows.
    pub ttl: Duration,
    /// Work to hash a password.
    pub bcrypt_cost: u32,
}

impl Default for Auth {
    fn default() -> Self {
        Self { token: Token::default(), ttl: SIMPLE_TTL, bcrypt_cost: COST }
    }
}

/// A kind of token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Token {
    /// Random letters that members remember.
    #[default]
    Simple,
    /// None: a certificate is the only way to be known.
    Nothing,
    /// Signed by the member that gives it out.
    Jwt(Jwt),
}

/// How tokens are signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jwt {
    /// One of the methods there are, such as `RS256`.
    pub method: String,
    /// The file of the public key, PEM.
    pub public_key: Option<PathBuf>,
    /// The file of the private key, PEM, or of the secret.
    pub private_key: Option<PathBuf>,
    /// How long a token holds.
    pub ttl: Duration,
}

/// Reads `--auth-token`.
///
/// # Errors
/// What is wrong with it, in one line.
pub(super) fn token(text: &str) -> Result<Token, String> {
    let wrong = |why: String| format!("auth: invalid auth options: --auth-token={text}: {why}");
    let (kind, options) = text.split_once(',').unwrap_or((text, ""));
    let mut jwt = Jwt { ttl: JWT_TTL, ..Jwt::default() };
    let mut seen = Vec::new();
    for option in options.split(',').filter(|_| !options.is_empty()) {
        let pair = option.split_once('=').filter(|(_, value)| !value.contains('='));
        let Some((name, value)) = pair else {
            return Err(wrong(format!("expected name=value, got {option:?}")));
        };
        if seen.contains(&name) {
            return Err(wrong(format!("{name} is given twice")));
        }
        seen.push(name);
        let file = Some(value).filter(|file| !file.is_empty()).map(PathBuf::from);
        match name {
            "sign-method" => value.clone_into(&mut jwt.method),
            "pub-key" => jwt.public_key = file,
            "priv-key" => jwt.private_key = file,
            "ttl" if !value.is_empty() => {
                let ttl = golang::duration(value).ok().and_then(|ttl| u64::try_from(ttl).ok());
                let ttl = ttl.filter(|ttl| *ttl >= 1_000_000_000);
                let ttl = ttl.ok_or_else(|| {
                    wrong(format!(
                        "ttl: expected a duration of 1s or more such as 5m, got {value:?}"
                    ))
                })?;
                jwt.ttl = Duration::from_nanos(ttl);
            }
            // etcd takes any other name and makes nothing of it.
            _ => {}
        }
    }
    match kind {
        "simple" => Ok(Token::Simple),
        "" => Ok(Token::Nothing),
        "jwt" => checked(jwt).map(Token::Jwt).map_err(wrong),
        _ => Err(wrong(format!("expected simple, jwt or nothing, got {kind:?}"))),
    }
}

fn checked(jwt: Jwt) -> Result<Jwt, String> {
    let method = jwt.method.as_str();
    if !METHODS.contains(&method) {
        let known = METHODS.iter().filter(|known| **known != ES512).copied();
        let known: Vec<&str> = known.collect();
        return Err(format!("sign-method: expected one of {}, got {method:?}", known.join(", ")));
    }
    if method == ES512 {
        return Err(
            "sign-method: ES512 needs the curve P-521, which this build has not; use ES384 \
                    or EdDSA"
                .to_owned(),
        );
    }
    if method.starts_with("HS") {
        return match jwt.private_key {
            Some(_) => Ok(jwt),
            None => Err(format!("priv-key: {method} needs the file of the secret, got none")),
        };
    }
    match (&jwt.public_key, &jwt.private_key) {
        (None, None) => Err(format!(
            "{method} needs the file of a key: priv-key to sign, pub-key to \
                                     verify alone; got neither"
        )),
        _ => Ok(jwt),
    }
}

/// The work for a password; etcd's own where what is configured cannot be, with a line that says so.
pub(super) fn cost(configured: u64) -> (u32, Option<String>) {
    match u32::try_from(configured).ok().filter(|cost| COSTS.contains(cost)) {
        Some(cost) => (cost, None),
        None => {
            let (least, most) = (COSTS.start(), COSTS.end());
            let text = format!(
                "--bcrypt-cost={configured} is not between {least} and {most}; using {COST}"
            );
            (COST, Some(text))
        }
    }
}

/// How long a simple token holds.
pub(super) fn ttl(seconds: u64) -> Duration {
    // A century is for ever, and nothing overflows.
    const MOST: u64 = 100 * 365 * 86_400;
    if seconds == 0 { SIMPLE_TTL } else { Duration::from_secs(seconds.min(MOST)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_etcd_reads_them() {
        assert_eq!(token("simple"), Ok(Token::Simple));
        assert_eq!(token(""), Ok(Token::Nothing));
        let read = token("jwt,pub-key=/a.pem,priv-key=/b.pem,sign-method=RS256,ttl=10m,other=x");
        assert_eq!(
            read,
            Ok(Token::Jwt(Jwt {
                method: "RS256".into(),
                public_key: Some("/a.pem".into()),
                private_key: Some("/b.pem".into()),
                ttl: Duration::from_secs(600),
            }))
        );
        let read = token("jwt,priv-key=k,sign-method=HS512");
        assert!(matches!(read, Ok(Token::Jwt(jwt)) if jwt.ttl == JWT_TTL && jwt.method == "HS512"));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (text, why) in [
            ("bogus", "expected simple, jwt or nothing, got \"bogus\""),
            ("jwt,priv-key=a,sign-method", "expected name=value, got \"sign-method\""),
            ("jwt,priv-key=a=b,sign-method=RS256", "expected name=value, got \"priv-key=a=b\""),
            ("jwt,priv-key=a,priv-key=b", "priv-key is given twice"),
            ("jwt,priv-key=a", "sign-method: expected one of RS256, RS384"),
            ("jwt,priv-key=a,sign-method=ES512", "ES512 needs the curve P-521"),
            ("jwt,priv-key=a,sign-method=none", "sign-method: expected one of"),
            ("jwt,sign-method=RS256", "RS256 needs the file of a key"),
            ("jwt,pub-key=a,sign-method=HS256", "HS256 needs the file of the secret"),
            ("jwt,priv-key=a,sign-method=RS256,ttl=soon", "got \"soon\""),
            ("jwt,priv-key=a,sign-method=RS256,ttl=-1s", "got \"-1s\""),
        ] {
            let error = token(text).unwrap_err();
            assert!(error.starts_with("auth: invalid auth options: "), "{error}");
            assert!(error.contains(why) && error.lines().count() == 1, "{text}: {error}");
        }
    }

    #[test]
    fn a_cost_that_cannot_be_is_etcds_own() {
        assert_eq!(cost(4), (4, None));
        for wrong in [0, 3, 32, u64::MAX] {
            let (used, said) = cost(wrong);
            assert!(used == 10 && said.is_some_and(|said| said.contains("using 10")), "{wrong}");
        }
        assert_eq!((ttl(0).as_secs(), ttl(7).as_secs()), (300, 7));
    }
}
